package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

// AdminRevocation says which sessions to revoke, as the parameters of RevokeSessions do.
type AdminRevocation struct {
	AccessKeyID  string `json:"access_key_id,omitempty"`
	PrincipalARN string `json:"principal_arn,omitempty"`
	SessionName  string `json:"session_name,omitempty"`
	ProviderARN  string `json:"provider_arn,omitempty"`
	Subject      string `json:"subject,omitempty"`
	IssuedBefore string `json:"issued_before,omitempty"` // RFC 3339
	Reason       string `json:"reason,omitempty"`
	Wait         bool   `json:"wait,omitempty"`
}

// AdminRevoked is a revocation that is in force.
type AdminRevoked struct {
	RevocationID string `json:"revocation_id"`
	IssuedBefore string `json:"issued_before"`
	Nodes        int    `json:"nodes,omitempty"` // that have confirmed; when that was asked for
}

// account is whose sessions are meant.
func (r *AdminRevocation) account() (string, error) {
	if r.AccessKeyID != "" {
		return signer.AccountOf(r.AccessKeyID)
	}
	a, err := arn.Parse(r.PrincipalARN + r.ProviderARN)
	return a.Account, err
}

// adminRevokeSessions revokes as the root user of the account whose sessions they are.
func (s *Server) adminRevokeSessions(w http.ResponseWriter, r *http.Request) {
	var in AdminRevocation
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		s.adminAnswer(w, nil, awserr.Newf(awserr.ValidationError, "the request is not JSON: %v", err))
		return
	}
	out, err := s.revokeAsRoot(r, &in)
	s.adminAnswer(w, out, err)
}

func (s *Server) revokeAsRoot(r *http.Request, in *AdminRevocation) (*AdminRevoked, error) {
	account, err := in.account()
	if err != nil {
		return nil, awserr.Newf(awserr.ValidationError, "this names no sessions: %v", err)
	}
	root, err := s.rootUser(r.Context(), account)
	if errors.Is(err, authn.ErrUnknown) {
		return nil, awserr.Newf(awserr.ValidationError, "there is no account %s", account)
	}
	if err != nil {
		return nil, err
	}
	out, err := s.asOperator("stint-cli/"+s.version)(r.Context(), root, "sts", "RevokeSessions", &sts.RevokeSessionsInput{
		AccessKeyID: in.AccessKeyID, PrincipalARN: in.PrincipalARN, SessionName: in.SessionName, ProviderARN: in.ProviderARN,
		Subject: in.Subject, IssuedBefore: in.IssuedBefore, Reason: in.Reason, Wait: in.Wait,
	})
	if err != nil {
		return nil, err
	}
	made := out.(*sts.RevokeSessionsOutput)
	revoked := &AdminRevoked{RevocationID: made.RevocationID, IssuedBefore: made.IssuedBefore.UTC().Format(time.RFC3339Nano)}
	if made.Nodes != nil {
		revoked.Nodes = int(*made.Nodes)
	}
	return revoked, nil
}
