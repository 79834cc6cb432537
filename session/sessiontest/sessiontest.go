// Package sessiontest is the conformance suite of session.Store, session.Guard and session.Throttle: what every backend promises, in
// tests.
package sessiontest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/session"
)

// patience bounds how long a test waits for something that must happen.
const patience = 20 * time.Second

// Run tests a backend's records. Every call of open returns an empty store that lives on the machine's clock, and cleans up after itself.
// The tests are parallel.
func Run(t *testing.T, open func(t *testing.T) session.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s session.Store)
	}{
		{"what was put is got", testPutGet},
		{"records are copies", testCopies},
		{"unknown session", testUnknown},
		{"record out of bounds", testInvalid},
		{"second record of an access key id replaces the first", testReplace},
		{"expired record is dropped", testExpired},
		{"record ends at its instant", testEnds},
		{"list by account and by entity", testList},
		{"pages of every size", testPages},
		{"ended sessions leave no hole in a page", testPageOfLive},
		{"query out of bounds", testBadQuery},
		{"ping", testPing},
		{"racing puts, gets and lists", testRace},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// RunGuard tests a backend's replay guard. Every call of open returns a guard that has consumed nothing.
func RunGuard(t *testing.T, open func(t *testing.T) session.Guard) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, g session.Guard)
	}{
		{"a name passes once", testConsumeOnce},
		{"a name passes again after its time", testConsumeAgain},
		{"names and times out of bounds", testConsumeInvalid},
		{"racing for a name has one winner", testConsumeRace},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := open(t)
			if err := g.Found(t.Context()); err != nil {
				t.Fatal(err)
			}
			test.run(t, g)
		})
	}
	t.Run("a backend that is new to an installation that is not", func(t *testing.T) {
		t.Parallel()
		testForgetful(t, open(t))
	})
}

// testForgetful tests a guard that cannot know what was consumed before.
func testForgetful(t *testing.T, g session.Guard) {
	hour := time.Now().Add(time.Hour)
	if err := g.Consume(t.Context(), "of before", time.Now().Add(-time.Second), hour); !errors.Is(err, session.ErrConsumed) {
		t.Errorf("a proof that may have been used before: %v, want ErrConsumed", err)
	}
	later := time.Now().Add(2 * session.BirthMargin)
	if err := g.Consume(t.Context(), "of later", later, hour); err != nil {
		t.Errorf("a proof that was made later: %v", err)
	}
	if err := g.Consume(t.Context(), "of later", later, hour); !errors.Is(err, session.ErrConsumed) {
		t.Errorf("the same again: %v, want ErrConsumed", err)
	}
}

// NewRecord returns a role session of the given account and entity that lives for an hour from now. Equal arguments give equal
// identifiers.
func NewRecord(account, entityID string, n int) *session.Record {
	now := time.Now().UTC().Truncate(time.Millisecond)
	name := fmt.Sprintf("session-%d", n)
	return &session.Record{
		AccessKeyID: fmt.Sprintf("ASIA%sA%010d", entityID[len(entityID)-5:], n), Account: account, Kind: session.KindRole, EntityID: entityID,
		EntityARN: "arn:aws:iam::" + account + ":role/teams/" + entityID, ARN: "arn:aws:sts::" + account + ":assumed-role/" + entityID + "/" + name,
		SessionName: name, Parent: "AKIAQEFWAZTKHPHHHTHG", IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

const (
	account = "123456789012"
	roleA   = "AROAQEFWAZTKHPHHHTHGA"
	roleB   = "AROAQEFWAZTKHPHHHTHGB"
)

func testPutGet(t *testing.T, s session.Store) {
	for i, change := range []func(*session.Record){
		func(*session.Record) {},
		func(r *session.Record) { r.MFA, r.SourceIdentity = true, "alice@example.com" },
		func(r *session.Record) { r.Chained, r.Parent = true, "ASIAQEFWAZTKHPHHHTHG" },
		func(r *session.Record) { r.Parent, r.Issuer, r.Subject = "", "https://token.example.com", "Zoë \x00" },
		func(r *session.Record) {
			r.Kind, r.EntityID, r.SessionName = session.KindUser, r.Account, ""
			r.EntityARN, r.ARN = "arn:aws:iam::"+account+":root", "arn:aws:iam::"+account+":root"
		},
		func(r *session.Record) {
			r.Kind, r.ARN = session.KindFederation, "arn:aws:sts::"+account+":federated-user/"+r.SessionName
		},
		func(r *session.Record) { r.ExpiresAt = r.IssuedAt.Add(session.MaxLifetime) },
		func(r *session.Record) { r.IssuedAt = r.ExpiresAt.Add(-session.MaxLifetime) },
	} {
		want := NewRecord(account, roleA, i)
		change(want)
		put(t, s, want)
		got, err := s.Get(t.Context(), want.AccessKeyID)
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record %d differs (-put +got):\n%s", i, diff)
		}
	}
}

func testCopies(t *testing.T, s session.Store) {
	r := NewRecord(account, roleA, 1)
	id := r.AccessKeyID
	put(t, s, r)
	r.SessionName = "changed after Put"
	got, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got.SessionName != "session-1" {
		t.Errorf("a change after Put shows: %q", got.SessionName)
	}
	got.SessionName = "changed after Get"
	if again, err := s.Get(t.Context(), id); err != nil || again.SessionName != "session-1" {
		t.Errorf("a change after Get shows: %v, %v", again, err)
	}
}

func testUnknown(t *testing.T, s session.Store) {
	r := NewRecord(account, roleA, 1)
	put(t, s, r)
	if _, err := s.Get(t.Context(), r.AccessKeyID); err != nil {
		t.Fatalf("the known twin: %v", err)
	}
	for _, id := range []string{"ASIAQEFWAZTKHPHHHTHG", r.AccessKeyID[:19], "", "{x}", strings.Repeat("A", 1<<16)} {
		if got, err := s.Get(t.Context(), id); !errors.Is(err, session.ErrNotFound) || got != nil {
			t.Errorf("unknown id of %d bytes: %v, %v, want ErrNotFound", len(id), got, err)
		}
	}
}

func testInvalid(t *testing.T, s session.Store) {
	r := NewRecord(account, roleA, 1)
	r.Kind = "service"
	if err := s.Put(t.Context(), r); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("Put of an unknown kind: %v, want ErrInvalid", err)
	}
	if _, err := s.Get(t.Context(), r.AccessKeyID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Get after a refused Put: %v, want ErrNotFound", err)
	}
	r.Kind = session.KindRole
	put(t, s, r)
}

func testReplace(t *testing.T, s session.Store) {
	first := NewRecord(account, roleA, 1)
	put(t, s, first)
	wantKeys(t, s, session.Query{Account: account, EntityID: roleA}, first)
	second := NewRecord(account, roleB, 2)
	second.AccessKeyID = first.AccessKeyID
	put(t, s, second)
	got, err := s.Get(t.Context(), first.AccessKeyID)
	if err != nil || got.EntityID != roleB {
		t.Errorf("Get: %v, %v, want the second record", got, err)
	}
	wantKeys(t, s, session.Query{Account: account, EntityID: roleA})
	wantKeys(t, s, session.Query{Account: account}, second)
	put(t, s, second) // as after a retry
	wantKeys(t, s, session.Query{Account: account}, second)
}

func testExpired(t *testing.T, s session.Store) {
	live, expired := NewRecord(account, roleA, 1), NewRecord(account, roleA, 2)
	expired.IssuedAt, expired.ExpiresAt = expired.IssuedAt.Add(-time.Hour), expired.IssuedAt.Add(-time.Millisecond)
	put(t, s, live)
	put(t, s, expired)
	if _, err := s.Get(t.Context(), expired.AccessKeyID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	wantKeys(t, s, session.Query{Account: account}, live)
}

// testEnds watches a record until it is gone: never before its instant, never after it.
func testEnds(t *testing.T, s session.Store) {
	r := NewRecord(account, roleA, 1)
	r.ExpiresAt = time.Now().Add(300 * time.Millisecond).UTC().Truncate(time.Millisecond)
	put(t, s, r)
	seen := false
	poll(t, func() bool {
		before := time.Now()
		_, err := s.Get(t.Context(), r.AccessKeyID)
		after := time.Now()
		switch {
		case err == nil && !before.Before(r.ExpiresAt):
			t.Fatalf("the record is there %s after its end", before.Sub(r.ExpiresAt))
		case errors.Is(err, session.ErrNotFound) && after.Before(r.ExpiresAt):
			t.Fatalf("the record is gone %s before its end", r.ExpiresAt.Sub(after))
		case err != nil && !errors.Is(err, session.ErrNotFound):
			t.Fatal(err)
		}
		seen = seen || err == nil
		return err != nil
	})
	if !seen {
		t.Skip("the machine was too slow to see the record alive")
	}
	wantKeys(t, s, session.Query{Account: account})
}

func testList(t *testing.T, s session.Store) {
	var a, b, others []*session.Record
	for n := range 5 {
		a = append(a, NewRecord(account, roleA, n))
		b = append(b, NewRecord(account, roleB, n))
		others = append(others, NewRecord("123456789013", "AROAQEFWAZTKHPHHHTHGC", n), NewRecord("12345678901", roleA+"X", n))
	}
	prefix := NewRecord(account, "AROAQEFWAZTKHPHHHTHG", 9) // the id of roleA begins with it
	all := slices.Concat(a, b, others, []*session.Record{prefix})
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, r := range all {
		put(t, s, r)
	}
	wantKeys(t, s, session.Query{Account: account, EntityID: roleA}, a...)
	wantKeys(t, s, session.Query{Account: account, EntityID: roleB}, b...)
	wantKeys(t, s, session.Query{Account: account, EntityID: prefix.EntityID}, prefix)
	wantKeys(t, s, session.Query{Account: account}, slices.Concat([]*session.Record{prefix}, a, b)...)
	wantKeys(t, s, session.Query{Account: account, EntityID: "AROAUNKNOWN"})
	wantKeys(t, s, session.Query{Account: "999999999999"})
	page, err := s.List(t.Context(), session.Query{Account: account, EntityID: roleA, Limit: 1})
	if err != nil || len(page.Records) != 1 {
		t.Fatalf("a page of one: %d records, %v", len(page.Records), err)
	}
	if diff := cmp.Diff(a[0], page.Records[0]); diff != "" {
		t.Errorf("listed record differs (-put +listed):\n%s", diff)
	}
}

func testPages(t *testing.T, s session.Store) {
	var want []*session.Record
	for n := range 40 {
		entity := roleA
		if n >= 20 {
			entity = roleB
		}
		r := NewRecord(account, entity, n)
		r.ExpiresAt = r.IssuedAt.Add(time.Duration(15+n*54) * time.Minute) // lives of every length
		want = append(want, r)
		put(t, s, r)
	}
	for _, limit := range []int{2, 7, 20, 39, 40, 41} {
		wantKeys(t, s, session.Query{Account: account, Limit: limit}, want...)
		wantKeys(t, s, session.Query{Account: account, EntityID: roleB, Limit: limit}, want[20:]...)
	}
}

func testPageOfLive(t *testing.T, s session.Store) {
	end := time.Now().Add(200 * time.Millisecond).UTC().Truncate(time.Millisecond)
	var live []*session.Record
	for n := range 100 {
		r := NewRecord(account, roleA, n)
		if n%10 == 9 {
			live = append(live, r)
		} else {
			r.IssuedAt, r.ExpiresAt = end.Add(-time.Hour), end
		}
		put(t, s, r)
	}
	poll(t, func() bool { return !time.Now().Before(end) })
	page, err := s.List(t.Context(), session.Query{Account: account, Limit: 9})
	if err != nil || len(page.Records) != 9 || page.Next == "" {
		t.Errorf("a page of 9 among 10 live sessions: %d records, next %q, %v", len(page.Records), page.Next, err)
	}
	wantKeys(t, s, session.Query{Account: account, Limit: 3}, live...)
}

func testBadQuery(t *testing.T, s session.Store) {
	if _, err := s.List(t.Context(), session.Query{Account: account}); err != nil {
		t.Fatalf("the good twin: %v", err)
	}
	for _, q := range []session.Query{{}, {Account: "*"}, {Account: account, Limit: session.MaxLimit + 1}, {Account: account, After: "x"}} {
		if _, err := s.List(t.Context(), q); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("%+v: %v, want ErrInvalid", q, err)
		}
	}
}

func testPing(t *testing.T, s session.Store) {
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// testRace puts from many goroutines, each reading what it wrote at once, while others list.
func testRace(t *testing.T, s session.Store) {
	const writers, each = 8, 60
	want := make([]*session.Record, writers*each)
	var putting, listing sync.WaitGroup
	var done atomic.Bool
	for range 2 {
		listing.Go(func() {
			for !done.Load() {
				page, err := s.List(t.Context(), session.Query{Account: account, Limit: 50})
				if err != nil {
					t.Errorf("List: %v", err)
					return
				}
				if !slices.IsSortedFunc(page.Records, func(a, b *session.Record) int { return strings.Compare(a.Key(), b.Key()) }) {
					t.Error("a page is out of order")
				}
			}
		})
	}
	for w := range writers {
		putting.Go(func() {
			for i := range each {
				r := NewRecord(account, fmt.Sprintf("AROAQEFWAZTKHPHHHT%03d", w%3), w*each+i)
				want[w*each+i] = r
				if err := s.Put(t.Context(), r); err != nil {
					t.Errorf("Put: %v", err)
					return
				}
				if got, err := s.Get(t.Context(), r.AccessKeyID); err != nil || got.SessionName != r.SessionName {
					t.Errorf("Get after Put: %v, %v", got, err)
				}
			}
		})
	}
	putting.Wait()
	done.Store(true)
	listing.Wait()
	if t.Failed() {
		return
	}
	slices.SortFunc(want, func(a, b *session.Record) int { return strings.Compare(a.Key(), b.Key()) })
	wantKeys(t, s, session.Query{Account: account}, want...)
}

// long is long before the backend was made.
var long = time.Now().Add(-time.Hour)

func testConsumeOnce(t *testing.T, g session.Guard) {
	until := time.Now().Add(time.Hour)
	names := []string{"totp/AIDAX/1", "totp/AIDAX/2", "totp/AIDAX/10", "saml\x00\xff", strings.Repeat("x", session.MaxGuardName), "{a}b", "{a}c"}
	for _, name := range names {
		if err := g.Consume(t.Context(), name, long, until); err != nil {
			t.Errorf("first for a name of %d bytes: %v", len(name), err)
		}
	}
	for _, name := range names {
		for range 2 {
			if err := g.Consume(t.Context(), name, long, until.Add(time.Hour)); !errors.Is(err, session.ErrConsumed) {
				t.Errorf("again for a name of %d bytes: %v, want ErrConsumed", len(name), err)
			}
		}
	}
}

func testConsumeAgain(t *testing.T, g session.Guard) {
	until := time.Now().Add(200 * time.Millisecond)
	if err := g.Consume(t.Context(), "name", long, until); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool {
		err := g.Consume(t.Context(), "name", long, time.Now().Add(time.Hour))
		if err != nil && !errors.Is(err, session.ErrConsumed) {
			t.Fatal(err)
		}
		if after := time.Now(); err == nil && after.Before(until) {
			t.Fatalf("the name passed again %s before its time", until.Sub(after))
		}
		return err == nil
	})
	if err := g.Consume(t.Context(), "name", long, time.Now().Add(time.Hour)); !errors.Is(err, session.ErrConsumed) {
		t.Errorf("after it passed again: %v, want ErrConsumed", err)
	}
}

func testConsumeInvalid(t *testing.T, g session.Guard) {
	hour := time.Now().Add(time.Hour)
	for _, row := range []struct {
		name  string
		guard string
		until time.Time
	}{
		{"no name", "", hour},
		{"name too long", strings.Repeat("x", session.MaxGuardName+1), hour},
		{"time that has passed", "n", time.Now().Add(-time.Second)},
		{"no time", "n", time.Time{}},
		{"time too far away", "n", time.Now().Add(session.MaxGuardTime + time.Hour)},
	} {
		if err := g.Consume(t.Context(), row.guard, long, row.until); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", row.name, err)
		}
	}
	if err := g.Consume(t.Context(), "n", long, hour); err != nil {
		t.Errorf("the name after refused calls: %v", err)
	}
}

func testConsumeRace(t *testing.T, g session.Guard) {
	const runners, names = 16, 20
	until := time.Now().Add(time.Hour)
	for n := range names {
		var winners, losers atomic.Int32
		var racing sync.WaitGroup
		start := make(chan struct{})
		for range runners {
			racing.Go(func() {
				<-start
				switch err := g.Consume(t.Context(), fmt.Sprintf("name-%d", n), long, until); {
				case err == nil:
					winners.Add(1)
				case errors.Is(err, session.ErrConsumed):
					losers.Add(1)
				default:
					t.Errorf("Consume: %v", err)
				}
			})
		}
		close(start)
		racing.Wait()
		if winners.Load() != 1 || losers.Load() != runners-1 {
			t.Fatalf("%d winners and %d losers of %d", winners.Load(), losers.Load(), runners)
		}
	}
}

func put(t *testing.T, s session.Store, r *session.Record) {
	t.Helper()
	if err := s.Put(t.Context(), r); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// wantKeys walks all pages of q and compares what it finds, in order.
func wantKeys(t *testing.T, s session.Store, q session.Query, want ...*session.Record) {
	t.Helper()
	limit := q.Limit
	if limit == 0 {
		limit = session.DefaultLimit
	}
	var got, wanted []string
	for {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatalf("List %+v: %v", q, err)
		}
		if len(page.Records) > limit || (page.Next != "" && len(page.Records) < limit) {
			t.Fatalf("List %+v: a page of %d records, next %q", q, len(page.Records), page.Next)
		}
		for _, r := range page.Records {
			got = append(got, r.Key())
		}
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	for _, r := range want {
		wanted = append(wanted, r.Key())
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("List %+v (-want +got):\n%s", q, diff)
	}
}

// poll calls done once a millisecond until it answers true.
func poll(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s", patience)
		}
		<-tick.C
	}
}
