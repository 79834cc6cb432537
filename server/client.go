package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/stint-sts/stint/iam/apply"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/signer"
)

// Admin is a client of the admin API.
type Admin struct {
	http  *http.Client
	close func() error
}

// DialAdmin reaches the stint that has cfg's data directory open, or, when none runs, opens the directory itself. Close
// releases it.
func DialAdmin(ctx context.Context, cfg *Config, version string, log *slog.Logger) (*Admin, error) {
	socket := filepath.Join(cfg.DataDir, adminSocket)
	var dialer net.Dialer
	if conn, err := dialer.DialContext(ctx, "unix", socket); err == nil {
		_ = conn.Close()
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
		return &Admin{http: &http.Client{Transport: &http.Transport{DialContext: dial}}, close: func() error { return nil }}, nil
	}
	if m, err := (&dataDir{path: cfg.DataDir}).readMarker(); err != nil || !m.Bootstrapped {
		return nil, fmt.Errorf("no stint runs on %s and it holds no installation: start one with \"stint serve\", or say --data-dir", cfg.DataDir)
	}
	s, err := Open(ctx, cfg, version, log)
	if err != nil {
		return nil, err
	}
	return &Admin{http: &http.Client{Transport: inProcess{s.adminHandler()}}, close: s.Close}, nil
}

// inProcess answers requests by a handler, without a network.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := answer{header: make(http.Header), status: http.StatusOK}
	p.handler.ServeHTTP(&w, r)
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Body: io.NopCloser(&w.body), ContentLength: -1, Request: r,
	}, nil
}

// answer collects what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answer) Header() http.Header         { return w.header }
func (w *answer) WriteHeader(status int)      { w.status = status }
func (w *answer) Write(b []byte) (int, error) { return w.body.Write(b) }

// Close releases what DialAdmin opened.
func (a *Admin) Close() error { return a.close() }

// CreateAccount makes an account; an empty id is chosen at random.
func (a *Admin) CreateAccount(ctx context.Context, id, name string) (out AdminAccount, err error) {
	err = a.call(ctx, http.MethodPost, "/accounts", map[string]string{"id": id, "name": name}, &out)
	return out, err
}

// ListAccounts lists all accounts.
func (a *Admin) ListAccounts(ctx context.Context) (out []AdminAccount, err error) {
	err = a.call(ctx, http.MethodGet, "/accounts", nil, &out)
	return out, err
}

// ListSessions returns one page of the live sessions of an account, or of one user or role of it.
func (a *Admin) ListSessions(ctx context.Context, account, entity, after string, limit int) (out AdminSessions, err error) {
	q := url.Values{"account": {account}, "entity": {entity}, "after": {after}, "limit": {strconv.Itoa(limit)}}
	err = a.call(ctx, http.MethodGet, "/sessions?"+q.Encode(), nil, &out)
	return out, err
}

// GetSession returns a live session by its access key id.
func (a *Admin) GetSession(ctx context.Context, accessKeyID string) (out AdminSession, err error) {
	err = a.call(ctx, http.MethodGet, "/sessions/"+url.PathEscape(accessKeyID), nil, &out)
	return out, err
}

// RevokeSessions ends sessions before their time.
func (a *Admin) RevokeSessions(ctx context.Context, in AdminRevocation) (out AdminRevoked, err error) {
	err = a.call(ctx, http.MethodPost, "/sessions/revoke", in, &out)
	return out, err
}

// InspectToken explains a session token.
func (a *Admin) InspectToken(ctx context.Context, token string) (out AdminToken, err error) {
	err = a.call(ctx, http.MethodPost, "/tokens/inspect", map[string]string{"token": token}, &out)
	return out, err
}

// Explain tells why a past call went as it did.
func (a *Admin) Explain(ctx context.Context, requestID string) (out dispatch.Explanation, err error) {
	err = a.call(ctx, http.MethodGet, "/calls/"+url.PathEscape(requestID), nil, &out)
	return out, err
}

// ListKeys lists the key ring.
func (a *Admin) ListKeys(ctx context.Context) (out []signer.KeyInfo, err error) {
	err = a.call(ctx, http.MethodGet, "/keys", nil, &out)
	return out, err
}

// RotateKey prepares a new key of the purpose, which signs once every node has had the time to learn it.
func (a *Admin) RotateKey(ctx context.Context, p signer.Purpose) (out signer.KeyInfo, err error) {
	err = a.call(ctx, http.MethodPost, "/keys/rotate", adminKeyRequest{Purpose: p}, &out)
	return out, err
}

// RetireKey prepares the successor of a key that signs, and returns it; once every node knows it, it signs and the key is retired.
func (a *Admin) RetireKey(ctx context.Context, id string) (successor signer.KeyInfo, err error) {
	err = a.call(ctx, http.MethodPost, "/keys/retire", adminKeyRequest{ID: id}, &successor)
	return successor, err
}

// RemoveKey takes a key out of the ring at once, and ends every session that needs it.
func (a *Admin) RemoveKey(ctx context.Context, id string) error {
	return a.call(ctx, http.MethodPost, "/keys/remove", adminKeyRequest{ID: id}, &struct{}{})
}

// Apply brings accounts to the state that documents say.
func (a *Admin) Apply(ctx context.Context, documents []apply.Document, options apply.Options) (out apply.Result, err error) {
	err = a.call(ctx, http.MethodPost, "/apply", AdminApply{documents, options}, &out)
	return out, err
}

func (a *Admin) call(ctx context.Context, method, path string, in, out any) error {
	body, _, err := a.open(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return json.NewDecoder(body).Decode(out)
}

// open makes a call and returns the body of its answer, with its size or -1.
func (a *Admin) open(ctx context.Context, method, path string, in any) (_ io.ReadCloser, size int64, err error) {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return nil, 0, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://stint"+path, &body)
	if err != nil {
		return nil, 0, err
	}
	response, err := a.http.Do(r)
	if err != nil {
		return nil, 0, fmt.Errorf("the stint that has the data directory open does not answer: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, response.ContentLength, nil
	}
	defer func() { _ = response.Body.Close() }()
	var e adminError
	if err := json.NewDecoder(response.Body).Decode(&e); err != nil || e.Error == "" {
		return nil, 0, fmt.Errorf("the server answered %s", response.Status)
	}
	return nil, 0, errors.New(e.Error)
}
