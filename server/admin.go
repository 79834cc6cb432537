package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/session"
)

// The admin API is how the stint command talks to the running server: JSON over a unix socket in the data directory. Who
// may open the socket (mode 0600) owns the installation; there is no other authentication.

// AdminAccount is an account as the admin API shows it. The key is set only in the answer to its creation.
type AdminAccount struct {
	AccountID       string `json:"account_id"`
	Name            string `json:"name"`
	Alias           string `json:"alias,omitempty"`
	Created         string `json:"created"`
	AccessKeyID     string `json:"access_key_id,omitempty"`
	SecretAccessKey string `json:"secret_access_key,omitempty"`
}

// AdminSession is a live session as the admin API shows it.
type AdminSession struct {
	AccessKeyID    string `json:"access_key_id"`
	Account        string `json:"account"`
	Kind           string `json:"kind"`
	ARN            string `json:"arn"`
	EntityARN      string `json:"entity_arn"`
	EntityID       string `json:"entity_id"`
	SessionName    string `json:"session_name,omitempty"`
	SourceIdentity string `json:"source_identity,omitempty"`
	Parent         string `json:"parent,omitempty"`
	Issuer         string `json:"issuer,omitempty"`
	Subject        string `json:"subject,omitempty"`
	MFA            bool   `json:"mfa"`
	Chained        bool   `json:"chained"`
	Issued         string `json:"issued"`
	Expires        string `json:"expires"`
}

// AdminSessions is one page of sessions.
type AdminSessions struct {
	Sessions []AdminSession `json:"sessions"`
	Next     string         `json:"next,omitempty"`
}

// AdminToken is what a session token says.
type AdminToken struct {
	Text string `json:"text"`
}

// adminError is the answer to a call that failed.
type adminError struct {
	Error string `json:"error"`
}

// instant is how the admin API writes times: RFC 3339 in UTC, whole seconds.
const instant = "2006-01-02T15:04:05Z"

func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /accounts", s.adminListAccounts)
	mux.HandleFunc("POST /accounts", s.adminCreateAccount)
	mux.HandleFunc("GET /sessions", s.adminListSessions)
	mux.HandleFunc("GET /sessions/{id}", s.adminGetSession)
	mux.HandleFunc("POST /sessions/revoke", s.adminRevokeSessions)
	mux.HandleFunc("POST /tokens/inspect", s.adminInspectToken)
	mux.HandleFunc("GET /calls/{id}", s.adminExplain)
	mux.HandleFunc("POST /apply", s.adminApply)
	mux.HandleFunc("GET /backup", s.adminBackup)
	mux.HandleFunc("GET /keys", s.adminListKeys)
	mux.HandleFunc("POST /keys/rotate", s.adminRotateKey)
	mux.HandleFunc("POST /keys/retire", s.adminRetireKey)
	mux.HandleFunc("POST /keys/remove", s.adminRemoveKey)
	mux.HandleFunc("POST /keys/rewrap", s.adminRewrap)
	mux.HandleFunc("POST /keys/rewrap/confirm", s.adminConfirmRewrap)
	return mux
}

func (s *Server) adminListAccounts(w http.ResponseWriter, r *http.Request) {
	accounts, err := s.iam.ListAccounts(r.Context())
	out := make([]AdminAccount, len(accounts))
	for i, a := range accounts {
		out[i] = AdminAccount{AccountID: a.ID, Name: a.Name, Alias: a.Alias, Created: a.CreateDate.UTC().Format(instant)}
	}
	s.adminAnswer(w, out, err)
}

func (s *Server) adminCreateAccount(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		s.adminAnswer(w, nil, awserr.Newf(awserr.ValidationError, "the request is not JSON: %v", err))
		return
	}
	a, err := s.iam.CreateAccount(r.Context(), iam.CreateAccount{ID: in.ID, Name: in.Name})
	if err != nil {
		s.adminAnswer(w, nil, err)
		return
	}
	s.adminAnswer(w, AdminAccount{
		AccountID: a.Account.ID, Name: a.Account.Name, Created: a.Account.CreateDate.UTC().Format(instant),
		AccessKeyID: a.AccessKeyID, SecretAccessKey: a.SecretAccessKey.Reveal(),
	}, nil)
}

func (s *Server) adminListSessions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit")) // 0 means the default
	page, err := s.sessions.List(r.Context(), session.Query{
		Account: q.Get("account"), EntityID: q.Get("entity"), After: q.Get("after"), Limit: limit,
	})
	out := AdminSessions{Sessions: make([]AdminSession, len(page.Records)), Next: page.Next}
	for i, record := range page.Records {
		out.Sessions[i] = adminSession(record)
	}
	s.adminAnswer(w, out, err)
}

func (s *Server) adminGetSession(w http.ResponseWriter, r *http.Request) {
	record, err := s.sessions.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.adminAnswer(w, nil, err)
		return
	}
	s.adminAnswer(w, adminSession(record), nil)
}

func (s *Server) adminInspectToken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		s.adminAnswer(w, nil, awserr.New(awserr.ValidationError, "the request is not JSON"))
		return
	}
	inspection, err := s.signer.Inspect(secret.New(in.Token))
	if err != nil {
		s.adminAnswer(w, nil, awserr.Newf(awserr.ValidationError, "%v", err))
		return
	}
	s.adminAnswer(w, AdminToken{Text: inspection.String()}, nil)
}

// adminExplain tells why a call went as it did: in full when the call is remembered, otherwise what the audit log has of it.
func (s *Server) adminExplain(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if e := s.history.Explain(id); e != nil {
		s.adminAnswer(w, e, nil)
		return
	}
	line, err := audit.Find(s.auditDir(), id)
	if err != nil {
		s.adminAnswer(w, nil, err)
		return
	}
	e, err := dispatch.Recorded(line)
	s.adminAnswer(w, e, err)
}

func adminSession(r *session.Record) AdminSession {
	return AdminSession{
		AccessKeyID: r.AccessKeyID, Account: r.Account, Kind: r.Kind, ARN: r.ARN, EntityARN: r.EntityARN, EntityID: r.EntityID,
		SessionName: r.SessionName, SourceIdentity: r.SourceIdentity, Parent: r.Parent, Issuer: r.Issuer, Subject: r.Subject,
		MFA: r.MFA, Chained: r.Chained, Issued: r.IssuedAt.UTC().Format(instant), Expires: r.ExpiresAt.UTC().Format(instant),
	}
}

// adminAnswer writes v, or err in words that the operator may read.
func (s *Server) adminAnswer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		e, ok := errors.AsType[*awserr.Error](err)
		status, text := http.StatusInternalServerError, err.Error()
		switch {
		case ok:
			status, text = e.Kind.HTTPStatus, e.Message
		case errors.Is(err, session.ErrNotFound), errors.Is(err, audit.ErrNoEvent):
			status = http.StatusNotFound
		case errors.Is(err, session.ErrInvalid):
			status = http.StatusBadRequest
		}
		v = adminError{text}
		w.WriteHeader(status)
	}
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.Error("admin answer", "error", err)
	}
}

// listenAdmin makes the admin socket. Only the owner of the process may open it: the socket is made in a directory that
// nobody else can enter, and has mode 0600 itself.
func listenAdmin(ctx context.Context, path string) (net.Listener, error) {
	// The lock on the data directory is ours, so a socket that is there belongs to a process that is gone.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return l, nil
}
