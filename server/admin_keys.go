package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/signer"
)

// adminKeyRequest names a key or a purpose.
type adminKeyRequest struct {
	Purpose signer.Purpose `json:"purpose,omitempty"`
	ID      string         `json:"id,omitempty"`
}

func (s *Server) adminListKeys(w http.ResponseWriter, _ *http.Request) {
	s.adminAnswer(w, s.signer.Keys(), nil)
}

// adminRotateKey prepares a key; the ring's maintenance lets it sign once every node has had the time to learn it.
func (s *Server) adminRotateKey(w http.ResponseWriter, r *http.Request) {
	in, err := readKeyRequest(w, r)
	if err != nil {
		s.adminAnswer(w, nil, err)
		return
	}
	if all := signer.AllPurposes(); !slices.Contains(all, in.Purpose) {
		s.adminAnswer(w, nil, awserr.Newf(awserr.ValidationError, "there are no keys for %q, only for %v", in.Purpose, all))
		return
	}
	key, err := s.signer.Prepare(r.Context(), in.Purpose)
	err = s.recordKeys(r.Context(), "RotateKey", err, audit.String("purpose", string(in.Purpose)), audit.String("preparedKey", key.ID))
	s.adminAnswer(w, key, err)
}

// adminRetireKey prepares the successor of a key that signs; once that one signs, the key is retired.
func (s *Server) adminRetireKey(w http.ResponseWriter, r *http.Request) {
	in, err := readKeyRequest(w, r)
	var successor signer.KeyInfo
	if err == nil {
		successor, err = s.signer.RetireKey(r.Context(), in.ID)
	}
	if errors.Is(err, signer.ErrNoKey) || errors.Is(err, signer.ErrNotSigning) {
		err = awserr.New(awserr.ValidationError, err.Error())
	}
	err = s.recordKeys(r.Context(), "RetireKey", err, audit.String("key", in.ID), audit.String("preparedKey", successor.ID))
	s.adminAnswer(w, successor, err)
}

func (s *Server) adminRemoveKey(w http.ResponseWriter, r *http.Request) {
	in, err := readKeyRequest(w, r)
	if err == nil {
		err = s.signer.Remove(r.Context(), in.ID)
	}
	if errors.Is(err, signer.ErrNoKey) || errors.Is(err, signer.ErrKeySigns) {
		err = awserr.New(awserr.ValidationError, err.Error())
	}
	err = s.recordKeys(r.Context(), "RemoveKey", err, audit.String("key", in.ID))
	s.adminAnswer(w, struct{}{}, err)
}

func readKeyRequest(w http.ResponseWriter, r *http.Request) (in adminKeyRequest, err error) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		return in, awserr.Newf(awserr.ValidationError, "the request is not JSON: %v", err)
	}
	return in, nil
}

// recordKeys puts what the operator did with keys in the audit log, and returns the error of the operation or, when it cannot be
// recorded, that one.
func (s *Server) recordKeys(ctx context.Context, operation string, err error, parameters ...audit.Attr) error {
	e := &audit.Event{
		Time: time.Now(), Source: "keys.stint", Name: operation, UserAgent: "stint keys", RequestParameters: parameters,
		Identity: audit.Identity{Type: "Operator"}, // who may open the admin socket
	}
	if err != nil {
		seen := awserr.From(err)
		e.ErrorCode, e.ErrorMessage = seen.Kind.Code, seen.Message
	}
	if recorded := s.audit.Record(context.WithoutCancel(ctx), e); recorded != nil {
		return errors.Join(err, fmt.Errorf("not recorded in the audit log: %w", recorded))
	}
	return err
}
