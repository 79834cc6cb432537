package sts

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
)

// Sealer encrypts what only this installation may read.
type Sealer interface {
	// Seal encrypts plaintext for the place that context names.
	Seal(plaintext []byte, context string) ([]byte, error)
	// Open decrypts what Seal made for the same context.
	Open(sealed []byte, context string) ([]byte, error)
}

const (
	messagePlace    = "authorization-message"
	messageLifetime = 24 * time.Hour // DESIGN.md section 11
	maxMessage      = 10240          // characters (AWS STS API Reference, "DecodeAuthorizationMessage")
	maxMessageText  = 256 << 10      // bytes of the decoded document
)

// sealedMessage is what an encoded authorization message holds.
type sealedMessage struct {
	Expires  int64           `json:"exp"` // Unix seconds
	Accounts []string        `json:"acc"` // who may decode it: the accounts of caller and resource
	Document json.RawMessage `json:"doc"`
}

// The document of a decoded message (AWS STS API Reference, "DecodeAuthorizationMessage").
type (
	message struct {
		Allowed           bool             `json:"allowed"`
		ExplicitDeny      bool             `json:"explicitDeny"`
		MatchedStatements items[statement] `json:"matchedStatements"`
		Failures          items[any]       `json:"failures"`
		Context           messageContext   `json:"context"`
	}
	items[T any] struct {
		Items []T `json:"items"`
	}
	value struct {
		Value string `json:"value"`
	}
	statement struct {
		StatementID     string       `json:"statementId"`
		Effect          string       `json:"effect"`
		Principals      items[value] `json:"principals"`
		PrincipalGroups items[value] `json:"principalGroups"`
		Actions         items[value] `json:"actions"`
		Resources       items[value] `json:"resources"`
		Conditions      items[any]   `json:"conditions"`
	}
	messageContext struct {
		Principal  messagePrincipal   `json:"principal"`
		Action     string             `json:"action"`
		Resource   string             `json:"resource"`
		Conditions items[messageKeys] `json:"conditions"`
	}
	messagePrincipal struct {
		ID   string `json:"id"`
		Name string `json:"name,omitempty"`
		ARN  string `json:"arn"`
	}
	messageKeys struct {
		Key    string       `json:"key"`
		Values items[value] `json:"values"`
	}
)

// EncodeAuthorizationMessage seals why a decision denied c, for DecodeAuthorizationMessage. It returns "" when the
// explanation is too long to be decoded.
func (s *Service) EncodeAuthorizationMessage(c *authn.Caller, d *authn.Decision) (string, error) {
	document, err := json.Marshal(describe(c, d))
	if err != nil {
		return "", fmt.Errorf("authorization message: %w", err)
	}
	accounts := []string{c.Account}
	if d.Request.ResourceAccount != c.Account {
		accounts = append(accounts, d.Request.ResourceAccount)
	}
	plain, err := json.Marshal(sealedMessage{Expires: c.Request.Time.Add(messageLifetime).Unix(), Accounts: accounts, Document: document})
	if err != nil {
		return "", fmt.Errorf("authorization message: %w", err)
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(plain); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	sealed, err := s.sealer.Seal(packed.Bytes(), messagePlace)
	if err != nil {
		return "", fmt.Errorf("authorization message: %w", err)
	}
	encoded := base64.RawURLEncoding.EncodeToString(sealed)
	if len(encoded) > maxMessage {
		return "", nil
	}
	return encoded, nil
}

// describe is the document of a decision. The statement is named only when it denies: what is missing matches nothing.
func describe(c *authn.Caller, d *authn.Decision) *message {
	m := &message{
		ExplicitDeny:      d.Outcome.Effect == policy.ExplicitDeny,
		MatchedStatements: items[statement]{[]statement{}},
		Failures:          items[any]{[]any{}},
		Context: messageContext{
			Principal:  messagePrincipal{ID: c.UserID, ARN: c.ARN},
			Action:     d.Request.Action,
			Resource:   d.Request.Resource,
			Conditions: items[messageKeys]{[]messageKeys{}},
		},
	}
	if c.Kind == authn.User {
		m.Context.Principal.Name = c.Entity.Name
	}
	if m.ExplicitDeny {
		m.MatchedStatements.Items = append(m.MatchedStatements.Items, statement{
			StatementID: d.Outcome.Reason.Sid,
			Effect:      "DENY",
			Principals:  items[value]{[]value{{c.Entity.ID}}}, PrincipalGroups: items[value]{[]value{}},
			Actions:   items[value]{[]value{{d.Request.Action}}},
			Resources: items[value]{[]value{{d.Request.Resource}}}, Conditions: items[any]{[]any{}},
		})
	}
	d.Request.Context.All(func(key string, values []string, _ bool) bool {
		list := make([]value, len(values))
		for i, v := range values {
			list[i] = value{v}
		}
		m.Context.Conditions.Items = append(m.Context.Conditions.Items, messageKeys{key, items[value]{list}})
		return true
	})
	slices.SortFunc(m.Context.Conditions.Items, func(a, b messageKeys) int { return strings.Compare(a.Key, b.Key) })
	return m
}

// DecodeAuthorizationMessageInput are the parameters of DecodeAuthorizationMessage.
type DecodeAuthorizationMessageInput struct {
	EncodedMessage string `aws:"EncodedMessage,required" len:"1,10240"`
}

// DecodeAuthorizationMessageOutput is the result of DecodeAuthorizationMessage.
type DecodeAuthorizationMessageOutput struct {
	DecodedMessage string `aws:"DecodedMessage"` // JSON
}

// DecodeAuthorizationMessage tells why a request was denied, from the encoded message that came with the denial
// (AWS STS API Reference, "DecodeAuthorizationMessage"). Only the accounts of caller and resource can decode it, for 24
// hours; to all others, and afterwards, it reads like one that is not valid.
func (s *Service) DecodeAuthorizationMessage(_ context.Context, c *authn.Caller, in *DecodeAuthorizationMessageInput) (*DecodeAuthorizationMessageOutput, error) {
	if err := authz.Require(c, &authz.Question{Action: "sts:DecodeAuthorizationMessage", Resource: "*"}); err != nil {
		return nil, err
	}
	m, err := s.openMessage(in.EncodedMessage)
	switch {
	case err != nil:
	case !slices.Contains(m.Accounts, c.Account):
		err = errors.New("message of other accounts")
	case !c.Request.Time.Before(time.Unix(m.Expires, 0)):
		err = errors.New("message has expired")
	}
	if err != nil {
		return nil, awserr.Wrap(awserr.InvalidAuthorizationMessageException, "Message is not valid", err)
	}
	return &DecodeAuthorizationMessageOutput{DecodedMessage: string(m.Document)}, nil
}

func (s *Service) openMessage(encoded string) (*sealedMessage, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	packed, err := s.sealer.Open(sealed, messagePlace)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxMessageText))
	if err != nil {
		return nil, err
	}
	var m sealedMessage
	if err := json.Unmarshal(plain, &m); err != nil {
		return nil, err
	}
	return &m, nil
}
