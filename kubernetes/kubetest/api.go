// Package kubetest is as much of the Kubernetes API as the webhook asks, for tests: ServiceAccounts got, listed by pages and watched,
// over TLS on loopback, as unreliable as a test wants.
package kubetest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// API is an API server with ServiceAccounts only. It is safe for concurrent use.
type API struct {
	URL       string
	CAFile    string // vouches for it
	TokenFile string // with the token that it accepts

	t    testing.TB
	done chan struct{}

	mu       sync.Mutex
	token    string
	pageSize int
	version  int
	oldest   int // watches from before this version get 410 Gone
	accounts map[string]any
	events   []event
	changed  chan struct{} // closed at the next change of what watches wait for
	cut      int           // how often all watches were cut off
	down     int           // status of every answer, if not 0
	count    Count
}

type event struct {
	version int
	text    string
}

// Count is how often the API was asked for what.
type Count struct{ Lists, Watches, Gets int }

// New starts an API without accounts until the test ends. Lists come in pages of two.
func New(t testing.TB) *API {
	t.Helper()
	dir := t.TempDir()
	a := &API{
		CAFile: filepath.Join(dir, "ca.crt"), TokenFile: filepath.Join(dir, "token"), t: t, done: make(chan struct{}),
		pageSize: 2, version: 100, accounts: make(map[string]any), changed: make(chan struct{}),
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(a.serve))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() { close(a.done); server.Close() })
	a.URL = server.URL
	a.write(a.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	a.RenewToken("first")
	return a
}

func (a *API) write(file, text string) {
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// RenewToken makes token the only one that is accepted, and puts it into TokenFile.
func (a *API) RenewToken(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = token
	a.write(a.TokenFile, token+"\n")
}

// Put makes or changes an account.
func (a *API) Put(namespace, name string, annotations map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kind := "ADDED"
	if _, there := a.accounts[namespace+"/"+name]; there {
		kind = "MODIFIED"
	}
	a.version++
	account := a.account(namespace, name, annotations)
	a.accounts[namespace+"/"+name] = account
	a.emit(kind, account)
}

// Delete deletes an account.
func (a *API) Delete(namespace, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	delete(a.accounts, namespace+"/"+name)
	a.emit("DELETED", a.account(namespace, name, nil))
}

func (a *API) account(namespace, name string, annotations map[string]string) any {
	return map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{
		"namespace": namespace, "name": name, "resourceVersion": strconv.Itoa(a.version), "annotations": annotations,
	}}
}

func (a *API) emit(kind string, object any) {
	text, err := json.Marshal(map[string]any{"type": kind, "object": object})
	if err != nil {
		a.t.Error(err)
	}
	a.events = append(a.events, event{a.version, string(text)})
	a.wake()
}

func (a *API) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// Emit sends text on all watches as if it were an event.
func (a *API) Emit(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	a.events = append(a.events, event{a.version, text})
	a.wake()
}

// Disconnect ends all watches.
func (a *API) Disconnect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut++
	a.wake()
}

// Compact forgets what happened so far: who wants to watch from before has to list again. Events are the only way by which a watch
// learns of accounts, so an account that changes quietly before Compact is found by a list alone.
func (a *API) Compact() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	a.oldest, a.events = a.version, nil
	a.cut++
	a.wake()
}

// Down gives every request that answer; 0: none, all works.
func (a *API) Down(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = status
	a.cut++
	a.wake()
}

// Count is how often the API was asked so far.
func (a *API) Count() Count {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	down, authorized := a.down, r.Header.Get("Authorization") == "Bearer "+a.token
	a.mu.Unlock()
	query := r.URL.Query()
	namespace, name, one := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/"), "/serviceaccounts/")
	switch {
	case r.Method != http.MethodGet:
		fail(w, http.StatusMethodNotAllowed, "the webhook only reads")
	case down != 0:
		fail(w, down, "out of order")
	case !authorized:
		fail(w, http.StatusUnauthorized, "Unauthorized")
	case one:
		a.get(w, namespace+"/"+name)
	case r.URL.Path != "/api/v1/serviceaccounts":
		fail(w, http.StatusForbidden, "the webhook needs no "+r.URL.Path)
	case query.Get("watch") == "true":
		a.watch(w, r, query.Get("resourceVersion"))
	default:
		a.list(w, query.Get("continue"))
	}
}

func fail(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "code": status, "message": message})
}

func (a *API) get(w http.ResponseWriter, key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count.Gets++
	account, there := a.accounts[key]
	if !there {
		fail(w, http.StatusNotFound, fmt.Sprintf("serviceaccounts %q not found", key))
		return
	}
	_ = json.NewEncoder(w).Encode(account)
}

func (a *API) list(w http.ResponseWriter, from string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if from == "" {
		a.count.Lists++
	}
	metadata := map[string]any{"resourceVersion": strconv.Itoa(a.version)}
	items := []any{}
	for _, key := range slices.Sorted(maps.Keys(a.accounts)) {
		if key < from {
			continue
		}
		if len(items) == a.pageSize {
			metadata["continue"] = key
			break
		}
		items = append(items, a.accounts[key])
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "ServiceAccountList", "metadata": metadata, "items": items})
}

func (a *API) watch(w http.ResponseWriter, r *http.Request, from string) {
	last, err := strconv.Atoi(from)
	a.mu.Lock()
	a.count.Watches++
	cut, oldest := a.cut, a.oldest
	a.mu.Unlock()
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, "resourceVersion")
		return
	case last < oldest:
		fail(w, http.StatusGone, "too old resource version")
		return
	}
	w.WriteHeader(http.StatusOK)
	for flush := http.NewResponseController(w); flush.Flush() == nil; {
		a.mu.Lock()
		changed, ended := a.changed, a.cut != cut
		for _, e := range a.events {
			if e.version > last {
				last = e.version
				_, _ = fmt.Fprintln(w, e.text)
			}
		}
		a.mu.Unlock()
		if ended || flush.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-a.done:
			return
		}
	}
}
