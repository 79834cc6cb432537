package server

import (
	"context"
	"net/http"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/sigv4"
)

// PublicHandler is what the public listener of s serves, without listening. Calls arrive when now says, but signatures and tokens are
// judged by the real clock, so that credentials which are over can be had.
func PublicHandler(s *Server, now func() time.Time, maxPerAccount int) (http.Handler, error) {
	verifier, err := sigv4.New(sigv4.Config{Services: []string{"sts", "iam"}})
	if err != nil {
		return nil, err
	}
	d := dispatch.New(dispatch.Config{
		Authenticator: authn.New(authn.Config{Directory: s.directory, Tokens: s.signer, Verifier: verifier}),
		Recorder:      s.audit, Log: s.log, EncodeDenial: s.encodeDenial(), Used: s.used, MaxPerAccount: maxPerAccount,
	})
	front := s.front(d, newMetrics("test", s.audit.Stats))
	front.Now = now
	return s.publicHandler(front, nil), nil
}

// CreateAccount makes an account and returns the access key of its root user.
func CreateAccount(ctx context.Context, s *Server, id string) (sigv4.Credentials, error) {
	a, err := s.iam.CreateAccount(ctx, iam.CreateAccount{ID: id, Name: "member"})
	if err != nil {
		return sigv4.Credentials{}, err
	}
	return sigv4.Credentials{AccessKeyID: a.AccessKeyID, SecretAccessKey: a.SecretAccessKey}, nil
}

// Operations are the operations of the table, as "sts:AssumeRole".
func Operations(s *Server) []string {
	var names []string
	for o := range s.table.All {
		names = append(names, o.Service+":"+o.Name)
	}
	return names
}

// LoseSessions and LoseDirectory make a server that can reach the one or the other no more.
func LoseSessions(s *Server) error  { return s.sessions.Close() }
func LoseDirectory(s *Server) error { return s.store.Close() }
