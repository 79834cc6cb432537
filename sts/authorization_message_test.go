package sts_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/sts"
)

func TestDecodeAuthorizationMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, err := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	service := sts.New(sts.Config{Directory: w, Minter: w, Sessions: w, Sealer: key})
	bob := w.user(accountA, "bob", `"Sid":"No","Effect":"Deny","Action":"iam:CreateUser","Resource":"*"`)
	if d := authz.Decide(bob, &authz.Question{Action: "iam:CreateUser", Resource: "arn:aws:iam::111111111111:user/x"}); d.Effect != policy.ExplicitDeny {
		t.Fatalf("decision is %v", d)
	}
	encoded, err := service.EncodeAuthorizationMessage(bob, &bob.Request.Decisions[0])
	if err != nil || encoded == "" {
		t.Fatalf("%q, %v", encoded, err)
	}
	const may = `"Effect":"Allow","Action":"sts:DecodeAuthorizationMessage","Resource":"*"`
	decode := func(c *authn.Caller, text string) (string, error) {
		out, err := service.DecodeAuthorizationMessage(context.Background(), c, &sts.DecodeAuthorizationMessageInput{EncodedMessage: text})
		if err != nil {
			return "", err
		}
		return out.DecodedMessage, nil
	}
	text, err := decode(w.user(accountA, "alice", may), encoded)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Allowed           bool
		ExplicitDeny      bool
		MatchedStatements struct {
			Items []struct{ StatementID, Effect string }
		}
		Context struct {
			Principal        struct{ ID, Name, Arn string }
			Action, Resource string
			Conditions       struct {
				Items []struct {
					Key    string
					Values struct{ Items []struct{ Value string } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Allowed || !got.ExplicitDeny || len(got.MatchedStatements.Items) != 1 || got.MatchedStatements.Items[0].StatementID != "No" ||
		got.Context.Principal.ID != "AIDABOB" || got.Context.Action != "iam:CreateUser" || len(got.Context.Conditions.Items) < 5 {
		t.Errorf("decoded: %s", text)
	}

	for _, row := range []struct {
		name   string
		caller *authn.Caller
		text   string
		kind   *awserr.Kind
	}{
		{"without permission", w.user(accountA, "eve"), encoded, awserr.AccessDenied},
		{"of other accounts", w.user(accountB, "mallory", may), encoded, awserr.InvalidAuthorizationMessageException},
		{"not one", w.user(accountA, "alice", may), "abc", awserr.InvalidAuthorizationMessageException},
		{"changed", w.user(accountA, "alice", may), "A" + encoded[1:len(encoded)-2] + "AA", awserr.InvalidAuthorizationMessageException},
	} {
		_, err := decode(row.caller, row.text)
		wantError(t, err, row.kind, "")
	}
	late := w.user(accountA, "alice", may)
	late.Request.Time = now.Add(24 * time.Hour)
	_, err = decode(late, encoded)
	wantError(t, err, awserr.InvalidAuthorizationMessageException, "Message is not valid")
}
