package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// accounts knows the annotations of all ServiceAccounts: it lists them once and then watches ("Kubernetes API Concepts", "Efficient
// detection of changes"). It is safe for concurrent use.
type accounts struct {
	client   *client
	relevant func(annotations map[string]string) map[string]string // which to keep; nil: none
	pause    time.Duration
	log      *slog.Logger

	listed atomic.Bool // once
	live   atomic.Bool // a watch is open: what known holds is true

	mu    sync.RWMutex
	known map[accountName]map[string]string

	asked singleflight.Group
	slots chan struct{} // one for each account being asked for by itself
}

type accountName struct{ namespace, name string }

// account is a ServiceAccount.
type account struct {
	Metadata struct {
		Namespace       string            `json:"namespace"`
		Name            string            `json:"name"`
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// Bounds of what the API can make this process hold and wait for.
const (
	maxAccounts  = 200_000 // known at once; those beyond are asked for one by one
	pageSize     = 500
	maxPage      = 64 << 20 // bytes
	maxEvent     = 4 << 20  // bytes; etcd holds objects of 1.5 MiB by default
	listTimeout  = 30 * time.Second
	watchTime    = 5 * time.Minute // asked for, at least; up to twice as long
	lookUpTime   = 2 * time.Second
	maxLookUps   = 10
	maxPause     = 60          // times pause
	shortestLife = time.Second // of a watch without events that ended well
)

func newAccounts(c *client, relevant func(map[string]string) map[string]string, pause time.Duration, log *slog.Logger) *accounts {
	return &accounts{
		client: c, relevant: relevant, pause: pause, log: log, known: make(map[accountName]map[string]string), slots: make(chan struct{}, maxLookUps),
	}
}

// watching is 1 while a watch is open, else 0.
func (a *accounts) watching() float64 {
	if a.live.Load() {
		return 1
	}
	return 0
}

// annotations are the relevant ones of a ServiceAccount, nil when it has none. While no watch is open, and for an account that is too
// new to be known, the API is asked; when it does not answer, or knows no such account, that is an error.
func (a *accounts) annotations(ctx context.Context, namespace, name string) (map[string]string, error) {
	key := accountName{namespace, name}
	if a.live.Load() {
		a.mu.RLock()
		annotations, known := a.known[key]
		a.mu.RUnlock()
		if known {
			return annotations, nil
		}
	}
	result := a.asked.DoChan(namespace+"/"+name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUpTime) // others may wait for the same answer
		defer cancel()
		return a.lookUp(ctx, key)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return nil, fmt.Errorf("ServiceAccount %s/%s: %w", namespace, name, r.Err)
		}
		return r.Val.(map[string]string), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *accounts) lookUp(ctx context.Context, key accountName) (map[string]string, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, errors.New("too many look-ups are under way")
	}
	body, err := a.client.get(ctx, "/api/v1/namespaces/"+url.PathEscape(key.namespace)+"/serviceaccounts/"+url.PathEscape(key.name), nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	var found account
	if err := json.NewDecoder(io.LimitReader(body, maxEvent)).Decode(&found); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	if found.Metadata.Namespace != key.namespace || found.Metadata.Name != key.name {
		return nil, errors.New("the API answers for another one")
	}
	return a.relevant(found.Metadata.Annotations), nil
}

// errStale tells that the watch cannot go on from where it was: everything has to be listed again.
var errStale = errors.New("list again")

// Run keeps known up to date until ctx ends. What fails is tried again, at growing intervals.
func (a *accounts) Run(ctx context.Context) error {
	version, failures := "", 0
	for ctx.Err() == nil {
		var err error
		progress := false
		if version == "" {
			version, err = a.list(ctx)
		}
		if err == nil {
			version, progress, err = a.watch(ctx, version)
		}
		if progress {
			failures = 0
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, errStale) {
			version = ""
		}
		a.log.Warn("service accounts not followed", "error", err, "failures", failures+1)
		wait(ctx, backoff(a.pause, failures))
		failures++
	}
	return nil
}

// backoff doubles from pause to maxPause times as long, and takes from half of that to all of it.
func backoff(pause time.Duration, failures int) time.Duration {
	longest := min(pause<<min(failures, 10), maxPause*pause)
	return longest/2 + rand.N(longest/2+1)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// list replaces what is known and returns the resource version to watch from.
func (a *accounts) list(ctx context.Context) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	known := make(map[accountName]map[string]string)
	for next := ""; ; {
		query := url.Values{"limit": {strconv.Itoa(pageSize)}}
		if next != "" {
			query.Set("continue", next)
		}
		version, next, err = a.page(ctx, query, known)
		if err != nil {
			return "", fmt.Errorf("list: %w", err)
		}
		if next == "" || len(known) >= maxAccounts {
			break
		}
	}
	a.mu.Lock()
	a.known = known
	a.mu.Unlock()
	a.listed.Store(true)
	return version, nil
}

// page adds a part of the list to known. version is the same on all pages of a list.
func (a *accounts) page(ctx context.Context, query url.Values, known map[accountName]map[string]string) (version, next string, err error) {
	body, err := a.client.get(ctx, "/api/v1/serviceaccounts", query)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = body.Close() }()
	var page struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
			Continue        string `json:"continue"`
		} `json:"metadata"`
		Items []account `json:"items"`
	}
	if err := json.NewDecoder(io.LimitReader(body, maxPage)).Decode(&page); err != nil {
		return "", "", fmt.Errorf("answer: %w", err)
	}
	if page.Metadata.ResourceVersion == "" {
		return "", "", errors.New("answer without a resource version")
	}
	for _, found := range page.Items {
		known[accountName{found.Metadata.Namespace, found.Metadata.Name}] = a.relevant(found.Metadata.Annotations)
	}
	return page.Metadata.ResourceVersion, page.Metadata.Continue, nil
}

// watch applies changes after version until the API ends the watch, as it does from time to time, and returns the version to go on
// from. progress tells that the watch was of use.
func (a *accounts) watch(ctx context.Context, version string) (last string, progress bool, err error) {
	length := watchTime + rand.N(watchTime) // so that the API is not asked by all replicas at once
	ctx, cancel := context.WithTimeout(ctx, length+listTimeout)
	defer cancel()
	opened := time.Now()
	body, err := a.client.get(ctx, "/api/v1/serviceaccounts", url.Values{
		"watch": {"true"}, "resourceVersion": {version}, "allowWatchBookmarks": {"true"}, "timeoutSeconds": {strconv.Itoa(int(length.Seconds()))},
	})
	switch {
	case isStatus(err, http.StatusGone):
		return version, false, fmt.Errorf("watch: %w: %w", errStale, err)
	case err != nil:
		return version, false, fmt.Errorf("watch: %w", err)
	}
	defer func() { _ = body.Close() }()
	a.live.Store(true)
	defer a.live.Store(false)
	bounded := &io.LimitedReader{R: body}
	for events := json.NewDecoder(bounded); ; progress = true {
		bounded.N = maxEvent
		changed, err := a.apply(events)
		switch {
		case err == nil:
			version = changed
		case bounded.N <= 0:
			return version, progress, fmt.Errorf("watch: event of more than %d bytes: %w", maxEvent, errStale)
		case !errors.Is(err, io.EOF):
			return version, progress, fmt.Errorf("watch: %w", err)
		case !progress && time.Since(opened) < shortestLife:
			return version, false, errors.New("watch: ended at once")
		default:
			return version, true, nil
		}
	}
}

// apply reads one event and returns the version that it leads to.
func (a *accounts) apply(events *json.Decoder) (version string, err error) {
	var event struct {
		Type   string          `json:"type"`
		Object json.RawMessage `json:"object"`
	}
	if err := events.Decode(&event); err != nil {
		var syntax *json.SyntaxError
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &syntax) || errors.As(err, &mismatch) {
			return "", fmt.Errorf("%w: event: %w", errStale, err)
		}
		return "", err
	}
	if event.Type == "ERROR" {
		var told status
		_ = json.Unmarshal(event.Object, &told) // whatever it says, the watch is over
		return "", fmt.Errorf("%w: %w", errStale, &statusError{told.Code, told.Message})
	}
	var changed account
	if err := json.Unmarshal(event.Object, &changed); err != nil || changed.Metadata.ResourceVersion == "" {
		return "", fmt.Errorf("%w: event %q without a ServiceAccount", errStale, event.Type)
	}
	key := accountName{changed.Metadata.Namespace, changed.Metadata.Name}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch event.Type {
	case "ADDED", "MODIFIED":
		if len(a.known) < maxAccounts {
			a.known[key] = a.relevant(changed.Metadata.Annotations)
		} else {
			delete(a.known, key) // it is asked for when it is needed
		}
	case "DELETED":
		delete(a.known, key)
	case "BOOKMARK":
	default:
		return "", fmt.Errorf("%w: event of unknown type %q", errStale, event.Type)
	}
	return changed.Metadata.ResourceVersion, nil
}
