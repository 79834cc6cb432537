package iam_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/seal"
)

// The world of these tests: one account with a user in a group, a role, managed policies, and a key of user and root.
const (
	account   = "111122223333"
	userID    = "AIDAUSER"
	roleID    = "AROAROLE"
	groupID   = "AGPAGROUP"
	policyID  = "ANPAPOLICY"
	userKey   = "AKIAUSERKEY000000000"
	rootKey   = "AKIAROOTKEY000000000"
	policyARN = "arn:aws:iam::111122223333:policy/team/Shared"
	boundARN  = "arn:aws:iam::111122223333:policy/Bound"
	awsARN    = "arn:aws:iam::aws:policy/ReadOnlyAccess"
	roleARN   = "arn:aws:iam::111122223333:role/team/Worker"
)

// awsDocuments are the policies of AWS that the world knows.
type awsDocuments map[string]string

func (a awsDocuments) Document(arn string) (string, bool) { text, ok := a[arn]; return text, ok }

// allowAction is a policy that allows one action; tests tell policies apart by it.
func allowAction(action string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"test:` + action + `","Resource":"*"}]}`
}

func trustIn(principal string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"sts:AssumeRole"}]}`
}

// watchedStore counts the snapshots that were taken, and can hold them back after they were read.
type watchedStore struct {
	iam.Store
	views atomic.Int64
	after func(context.Context) // runs at the end of every View; nil: nothing
}

func (w *watchedStore) View(ctx context.Context, f func(iam.Tx) error) error {
	w.views.Add(1)
	err := w.Store.View(ctx, f)
	if w.after != nil {
		w.after(ctx)
	}
	return err
}

// world is a Directory over a store with records.
type world struct {
	*iam.Directory
	t      testing.TB
	store  *watchedStore
	master *seal.Key
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "directory.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	master, err := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: &watchedStore{Store: s}, master: master}
	w.Directory = w.newDirectory(0)
	w.write(func(tx iam.Tx) error { return w.found(tx) })
	return w
}

func (w *world) newDirectory(cacheSize int) *iam.Directory {
	w.t.Helper()
	d, err := iam.NewDirectory(iam.DirectoryConfig{
		Store: w.store, Master: w.master, Managed: awsDocuments{awsARN: allowAction("aws")}, CacheSize: cacheSize,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) write(f func(iam.Tx) error) {
	w.t.Helper()
	if err := w.Update(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
}

// found puts the records that the tests begin with.
func (w *world) found(tx iam.Tx) error {
	return errors.Join(
		tx.Put(iam.Record{Kind: iam.KindAccount, Name: account, ID: account, Body: body(iam.Account{ID: account})}),
		tx.Put(userRecord("Alice")),
		tx.Put(iam.Record{Kind: iam.KindGroup, Account: account, Name: "group", ID: groupID, Path: "/", Body: body(iam.Group{Account: account, ID: groupID, Name: "Group", Path: "/"})}),
		tx.Put(roleRecord(roleID, "Worker", trustIn(account))),
		putPolicy(tx, policyID, "/team/", "Shared", allowAction("shared")),
		putPolicy(tx, "ANPABOUND", "/", "Bound", allowAction("bound")),
		tx.Put(inlineRecord(userID, "p", allowAction("user-inline"))),
		tx.Put(inlineRecord(roleID, "p", allowAction("role-inline"))),
		tx.Put(inlineRecord(groupID, "p", allowAction("group-inline"))),
		tx.Put(attachmentRecord(userID, policyARN)),
		tx.Put(attachmentRecord(roleID, policyARN)),
		tx.Put(attachmentRecord(groupID, awsARN)),
		tx.Put(membershipRecord()),
		tx.Put(w.keyRecord(userKey, userID)),
		tx.Put(w.keyRecord(rootKey, account)),
	)
}

func body(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func userRecord(name string) iam.Record {
	u := iam.User{Account: account, ID: userID, Name: name, Path: "/", Tags: []iam.Tag{{Key: "team", Value: "a"}}}
	return iam.Record{Kind: iam.KindUser, Account: account, Name: strings.ToLower(name), ID: userID, Path: "/", Body: body(u)}
}

func roleRecord(id, name, trust string) iam.Record {
	r := iam.Role{Account: account, ID: id, Name: name, Path: "/team/", Trust: trust, MaxSessionDuration: time.Hour}
	return iam.Record{Kind: iam.KindRole, Account: account, Name: strings.ToLower(name), ID: id, Path: r.Path, Body: body(r)}
}

func inlineRecord(entity, name, document string) iam.Record {
	p := iam.InlinePolicy{Account: account, Entity: entity, Name: name, Document: document}
	return iam.Record{Kind: iam.KindInlinePolicy, Account: account, Parent: entity, Name: name, Body: body(p)}
}

func attachmentRecord(entity, policy string) iam.Record {
	a := iam.Attachment{Account: account, Entity: entity, PolicyARN: policy}
	return iam.Record{Kind: iam.KindAttachment, Account: account, Parent: entity, Name: policy, Target: policy, Body: body(a)}
}

func membershipRecord() iam.Record {
	m := iam.Membership{Account: account, UserID: userID, GroupID: groupID}
	return iam.Record{Kind: iam.KindMembership, Account: account, Parent: userID, Name: groupID, Target: groupID, Body: body(m)}
}

func (w *world) keyRecord(id, owner string) iam.Record {
	sealed, err := w.master.Seal([]byte("secret of "+id), "access-key/"+id)
	if err != nil {
		w.t.Fatal(err)
	}
	k := iam.AccessKey{ID: id, Account: account, Owner: owner, Active: true, SealedSecret: sealed}
	return iam.Record{Kind: iam.KindAccessKey, Account: account, Parent: owner, Name: id, ID: id, Body: body(k)}
}

func putPolicy(tx iam.Tx, id, path, name, document string) error {
	p := iam.Policy{Account: account, ID: id, Path: path, Name: name, DefaultVersion: 1, LastVersion: 1}
	return errors.Join(
		tx.Put(iam.Record{Kind: iam.KindPolicy, Account: account, Name: strings.ToLower(name), ID: id, Path: path, Body: body(p)}),
		tx.Put(versionRecord(id, 1, document)))
}

func versionRecord(id string, number int, document string) iam.Record {
	v := iam.PolicyVersion{Account: account, PolicyID: id, Number: number, Document: document}
	return iam.Record{Kind: iam.KindPolicyVersion, Account: account, Parent: id, Name: fmt.Sprintf("v%06d", number), Body: body(v)}
}

// edit changes the object of the record with the id.
func edit[T any](tx iam.Tx, kind iam.Kind, id string, change func(*T)) error {
	r, err := tx.ByID(kind, id)
	if err != nil {
		return err
	}
	return rewrite(tx, r, change)
}

// editUnder changes the object of the record with that parent and name.
func editUnder[T any](tx iam.Tx, kind iam.Kind, parent, name string, change func(*T)) error {
	r, err := tx.Get(kind, account, parent, name)
	if err != nil {
		return err
	}
	return rewrite(tx, r, change)
}

func rewrite[T any](tx iam.Tx, r iam.Record, change func(*T)) error {
	o := new(T)
	if err := json.Unmarshal(r.Body, o); err != nil {
		return err
	}
	change(o)
	r.Body = body(o)
	return tx.Put(r)
}

// picture is all that a directory says of the world, as text.
func (w *world) picture(d *iam.Directory) map[string]string {
	w.t.Helper()
	ctx := w.t.Context()
	picture := map[string]string{}
	for _, id := range []string{userKey, rootKey, "AKIANEW"} {
		k, err := d.AccessKey(ctx, id)
		picture["key "+id] = outcome(err, func() string { return fmt.Sprint(k.Owner, k.Active, k.Secret.Reveal()) })
	}
	for _, id := range []string{userID, roleID, account, "AROANEW"} {
		e, err := d.Entity(ctx, account, id)
		picture["entity "+id] = outcome(err, func() string { return describe(e) })
	}
	for _, text := range []string{roleARN, "arn:aws:iam::111122223333:role/team/New"} {
		a, err := arn.Parse(text)
		if err != nil {
			w.t.Fatal(err)
		}
		e, err := d.RoleByARN(ctx, a)
		picture["role "+text] = outcome(err, func() string { return describe(e) })
	}
	for _, a := range []string{policyARN, boundARN, awsARN, "arn:aws:iam::111122223333:policy/New"} {
		p, err := d.ManagedPolicy(ctx, account, a)
		picture["policy "+a] = outcome(err, func() string { return p.Text() })
	}
	return picture
}

func outcome(err error, describe func() string) string {
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return "none"
	case err != nil:
		return "error"
	}
	return describe()
}

func describe(e *authn.Entity) string {
	texts := make([]string, len(e.Identity))
	for i, p := range e.Identity {
		texts[i] = p.Text()
	}
	return fmt.Sprint(e.Type, e.ID, e.ARN, e.Tags, e.MaxSessionDuration, texts, "boundary", text(e.Boundary), "trust", text(e.Trust))
}

func text(d *policy.Document) string {
	if d == nil {
		return "none"
	}
	return d.Text()
}

func TestDirectory_Reads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := map[string]string{
		"key " + userKey:      userID + " true secret of " + userKey,
		"key " + rootKey:      account + " true secret of " + rootKey,
		"key AKIANEW":         "none",
		"entity " + account:   fmt.Sprint(authn.AccountEntity, account, arn.Root(account), []authn.Tag(nil), time.Duration(0), []string{}, "boundary", "none", "trust", "none"),
		"entity " + userID:    fmt.Sprint(authn.UserEntity, userID, "arn:aws:iam::111122223333:user/Alice", []authn.Tag{{Key: "team", Value: "a"}}, time.Duration(0), []string{allowAction("user-inline"), allowAction("shared"), allowAction("group-inline"), allowAction("aws")}, "boundary", "none", "trust", "none"),
		"entity " + roleID:    fmt.Sprint(authn.RoleEntity, roleID, roleARN, []authn.Tag(nil), time.Hour, []string{allowAction("role-inline"), allowAction("shared")}, "boundary", "none", "trust", trustIn(account)),
		"entity AROANEW":      "none",
		"policy " + policyARN: allowAction("shared"),
		"policy " + boundARN:  allowAction("bound"),
		"policy " + awsARN:    allowAction("aws"),
		"policy arn:aws:iam::111122223333:policy/New":  "none",
		"role arn:aws:iam::111122223333:role/team/New": "none",
	}
	want["role "+roleARN] = want["entity "+roleID]
	want["key "+userKey] = fmt.Sprint(userID, true, "secret of "+userKey)
	want["key "+rootKey] = fmt.Sprint(account, true, "secret of "+rootKey)
	for _, round := range []string{"from the store", "from the cache"} {
		if diff := cmp.Diff(want, w.picture(w.Directory)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", round, diff)
		}
	}
	views := w.store.views.Load()
	w.picture(w.Directory)
	if n := w.store.views.Load() - views; n != 0 {
		t.Errorf("reads of what is cached looked %d times into the store", n)
	}
}

func TestDirectory_NotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	if _, err := w.Entity(ctx, account, roleID); err != nil { // the positive twin
		t.Fatal(err)
	}
	for name, id := range map[string][2]string{
		"entity of another account": {"444455556666", roleID}, "another account": {"444455556666", account},
		"no id": {account, ""}, "an id of another kind": {account, policyID}, "a group": {account, groupID},
		"a long id": {account, "AROA" + strings.Repeat("A", 200)}, "an access key": {account, userKey},
	} {
		if _, err := w.Entity(ctx, id[0], id[1]); !errors.Is(err, iam.ErrNotFound) || !errors.Is(err, authn.ErrUnknown) {
			t.Errorf("Entity, %s: %v, want ErrNotFound", name, err)
		}
	}
	for name, text := range map[string]string{
		"other case of the name": "arn:aws:iam::111122223333:role/team/worker", "other case of the path": "arn:aws:iam::111122223333:role/Team/Worker",
		"without its path": "arn:aws:iam::111122223333:role/Worker", "another path": "arn:aws:iam::111122223333:role/a/team/Worker",
		"doubled slash": "arn:aws:iam::111122223333:role//team/Worker", "another account": "arn:aws:iam::444455556666:role/team/Worker",
		"another partition": "arn:aws-cn:iam::111122223333:role/team/Worker", "a region": "arn:aws:iam:us-east-1:111122223333:role/team/Worker",
		"a user": "arn:aws:iam::111122223333:user/Alice", "a session": "arn:aws:sts::111122223333:assumed-role/Worker/s",
		"another service": "arn:aws:s3::111122223333:role/team/Worker",
	} {
		a, err := arn.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.RoleByARN(ctx, a); !errors.Is(err, iam.ErrNotFound) {
			t.Errorf("RoleByARN, %s: %v, want ErrNotFound", name, err)
		}
	}
	for name, text := range map[string]string{
		"other case": "arn:aws:iam::111122223333:policy/team/shared", "without its path": "arn:aws:iam::111122223333:policy/Shared",
		"unknown policy of AWS": "arn:aws:iam::aws:policy/Nothing", "a role": roleARN, "no ARN": "Shared",
	} {
		if _, err := w.ManagedPolicy(ctx, account, text); !errors.Is(err, iam.ErrNotFound) {
			t.Errorf("ManagedPolicy, %s: %v, want ErrNotFound", name, err)
		}
	}
	if _, err := w.ManagedPolicy(ctx, "444455556666", policyARN); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("ManagedPolicy of another account: %v, want ErrNotFound", err)
	}
	for name, id := range map[string]string{"unknown": "AKIANOTHING000000000", "empty": "", "long": strings.Repeat("A", 200), "a role": roleID} {
		if _, err := w.AccessKey(ctx, id); !errors.Is(err, iam.ErrNotFound) {
			t.Errorf("AccessKey, %s: %v, want ErrNotFound", name, err)
		}
	}
}

// TestDirectory_Invalidation makes every kind of write with everything cached. What is read then must be what a directory without
// any cache reads, and must show the write.
func TestDirectory_Invalidation(t *testing.T) {
	t.Parallel()
	remove := func(kind iam.Kind, parent, name string) func(*world, iam.Tx) error {
		return func(_ *world, tx iam.Tx) error { return tx.Delete(kind, account, parent, name) }
	}
	put := func(r iam.Record) func(*world, iam.Tx) error {
		return func(_ *world, tx iam.Tx) error { return tx.Put(r) }
	}
	tests := []struct {
		name  string
		write func(*world, iam.Tx) error
		shows []string // parts of the picture that change; no others may
	}{
		{"user is renamed", func(_ *world, tx iam.Tx) error {
			r := userRecord("Bob")
			r.Version = 1
			return tx.Put(r)
		}, []string{"entity " + userID}},
		{"user is tagged", func(_ *world, tx iam.Tx) error {
			return edit(tx, iam.KindUser, userID, func(u *iam.User) { u.Tags = nil })
		}, []string{"entity " + userID}},
		{"user gets an inline policy", put(inlineRecord(userID, "q", allowAction("q"))), []string{"entity " + userID}},
		{"inline policy of a user changes", func(_ *world, tx iam.Tx) error {
			return editUnder(tx, iam.KindInlinePolicy, userID, "p", func(p *iam.InlinePolicy) { p.Document = allowAction("changed") })
		}, []string{"entity " + userID}},
		{"inline policy of a user goes", remove(iam.KindInlinePolicy, userID, "p"), []string{"entity " + userID}},
		{"policy is attached to a user", put(attachmentRecord(userID, awsARN)), []string{"entity " + userID}},
		{"policy is detached from a user", remove(iam.KindAttachment, userID, policyARN), []string{"entity " + userID}},
		{"user leaves the group", remove(iam.KindMembership, userID, groupID), []string{"entity " + userID}},
		{"inline policy of a group changes", func(_ *world, tx iam.Tx) error {
			return editUnder(tx, iam.KindInlinePolicy, groupID, "p", func(p *iam.InlinePolicy) { p.Document = allowAction("changed") })
		}, []string{"entity " + userID}},
		{"policy is attached to a group", put(attachmentRecord(groupID, policyARN)), []string{"entity " + userID}},
		{"policy is detached from a group", remove(iam.KindAttachment, groupID, awsARN), []string{"entity " + userID}},
		{"boundary of a user is set", func(_ *world, tx iam.Tx) error {
			return edit(tx, iam.KindUser, userID, func(u *iam.User) { u.Boundary = boundARN })
		}, []string{"entity " + userID}},
		{"boundary of a role is set", func(_ *world, tx iam.Tx) error {
			return edit(tx, iam.KindRole, roleID, func(r *iam.Role) { r.Boundary = boundARN })
		}, []string{"entity " + roleID, "role " + roleARN}},
		{"trust policy changes", func(_ *world, tx iam.Tx) error {
			return edit(tx, iam.KindRole, roleID, func(r *iam.Role) { r.Trust = trustIn("444455556666") })
		}, []string{"entity " + roleID, "role " + roleARN}},
		{"role is renamed", func(_ *world, tx iam.Tx) error {
			r := roleRecord(roleID, "New", trustIn(account))
			r.Version = 1
			return tx.Put(r)
		}, []string{"entity " + roleID, "role " + roleARN, "role arn:aws:iam::111122223333:role/team/New"}},
		{"role is created", put(roleRecord("AROANEW", "New", trustIn(account))), []string{"entity AROANEW", "role arn:aws:iam::111122223333:role/team/New"}},
		{"role is deleted", remove(iam.KindRole, "", "worker"), []string{"entity " + roleID, "role " + roleARN}},
		{"role is replaced by a namesake", func(_ *world, tx iam.Tx) error {
			return errors.Join(tx.Delete(iam.KindRole, account, "", "worker"), tx.Put(roleRecord("AROANEW", "Worker", trustIn(account))))
		}, []string{"entity " + roleID, "entity AROANEW", "role " + roleARN}},
		{"user is deleted", remove(iam.KindUser, "", "alice"), []string{"entity " + userID, "key " + userKey}},
		{"account is deleted", func(_ *world, tx iam.Tx) error { return tx.Delete(iam.KindAccount, "", "", account) },
			[]string{"entity " + account, "key " + rootKey}},
		{"managed policy gets a version that is not the default", put(versionRecord(policyID, 2, allowAction("v2"))), nil},
		{"managed policy gets a new default version", func(_ *world, tx iam.Tx) error {
			return errors.Join(tx.Put(versionRecord(policyID, 2, allowAction("v2"))),
				edit(tx, iam.KindPolicy, policyID, func(p *iam.Policy) { p.DefaultVersion = 2 }))
		}, []string{"entity " + userID, "entity " + roleID, "role " + roleARN, "policy " + policyARN}},
		{"managed policy is deleted under its attachments", func(_ *world, tx iam.Tx) error {
			return errors.Join(tx.Delete(iam.KindPolicy, account, "", "shared"), tx.Delete(iam.KindPolicyVersion, account, policyID, "v000001"))
		}, []string{"entity " + userID, "entity " + roleID, "role " + roleARN, "policy " + policyARN}},
		{"managed policy is created", func(_ *world, tx iam.Tx) error { return putPolicy(tx, "ANPANEW", "/", "New", allowAction("new")) },
			[]string{"policy arn:aws:iam::111122223333:policy/New"}},
		{"key is created", func(w *world, tx iam.Tx) error { return tx.Put(w.keyRecord("AKIANEW", userID)) }, []string{"key AKIANEW"}},
		{"key is made inactive", func(_ *world, tx iam.Tx) error {
			return edit(tx, iam.KindAccessKey, userKey, func(k *iam.AccessKey) { k.Active = false })
		}, []string{"key " + userKey}},
		{"key is deleted", remove(iam.KindAccessKey, userID, userKey), []string{"key " + userKey}},
		{"root key is deleted", remove(iam.KindAccessKey, account, rootKey), []string{"key " + rootKey}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			before := w.picture(w.Directory)
			w.write(func(tx iam.Tx) error { return test.write(w, tx) })
			after := w.picture(w.Directory)
			if diff := cmp.Diff(w.picture(w.newDirectory(0)), after); diff != "" {
				t.Errorf("cache against store (-store +cache):\n%s", diff)
			}
			shows := map[string]bool{}
			for _, part := range test.shows {
				shows[part] = true
			}
			for part := range before {
				if changed := before[part] != after[part]; changed != shows[part] {
					t.Errorf("%s: changed %v, want %v: %s", part, changed, shows[part], after[part])
				}
			}
		})
	}
}

func TestDirectory_UpdateThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.picture(w.Directory)
	cause := errors.New("cause")
	err := w.Update(t.Context(), func(tx iam.Tx) error {
		return errors.Join(tx.Delete(iam.KindRole, account, "", "worker"), cause)
	})
	if !errors.Is(err, cause) {
		t.Errorf("Update: %v, want its function's error", err)
	}
	if diff := cmp.Diff(before, w.picture(w.Directory)); diff != "" {
		t.Errorf("after a rollback (-want +got):\n%s", diff)
	}
	if err := w.Update(t.Context(), func(tx iam.Tx) error { return tx.Delete(iam.KindRole, account, "", "nobody") }); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("Delete: %v, want ErrNotFound", err)
	}
}

// TestDirectory_FailsClosed spoils one policy at a time: the entity must not be usable without it.
func TestDirectory_FailsClosed(t *testing.T) {
	t.Parallel()
	const malformed = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny"`
	for name, spoil := range map[string]func(tx iam.Tx) error{
		"inline policy":            func(tx iam.Tx) error { return tx.Put(inlineRecord(userID, "bad", malformed)) },
		"inline policy of a group": func(tx iam.Tx) error { return tx.Put(inlineRecord(groupID, "bad", malformed)) },
		"managed policy": func(tx iam.Tx) error {
			return errors.Join(putPolicy(tx, "ANPABAD", "/", "Bad", malformed), tx.Put(attachmentRecord(userID, "arn:aws:iam::111122223333:policy/Bad")))
		},
		"managed policy that is missing": func(tx iam.Tx) error {
			return tx.Put(attachmentRecord(userID, "arn:aws:iam::111122223333:policy/Missing"))
		},
		"managed policy of another account": func(tx iam.Tx) error {
			return tx.Put(attachmentRecord(userID, "arn:aws:iam::444455556666:policy/Shared"))
		},
		"policy of AWS that is missing":   func(tx iam.Tx) error { return tx.Put(attachmentRecord(userID, "arn:aws:iam::aws:policy/Missing")) },
		"default version that is missing": func(tx iam.Tx) error { return tx.Delete(iam.KindPolicyVersion, account, policyID, "v000001") },
		"boundary that is missing": func(tx iam.Tx) error {
			return edit(tx, iam.KindUser, userID, func(u *iam.User) { u.Boundary = "arn:aws:iam::111122223333:policy/Missing" })
		},
		"group that is missing": func(tx iam.Tx) error { return tx.Delete(iam.KindGroup, account, "", "group") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.Entity(t.Context(), account, userID); err != nil {
				t.Fatal(err)
			}
			w.write(spoil)
			for range 2 {
				e, err := w.Entity(t.Context(), account, userID)
				if e != nil || err == nil || errors.Is(err, iam.ErrNotFound) {
					t.Errorf("Entity: %v, %v; want an error that is not ErrNotFound", e, err)
				}
			}
		})
	}
	t.Run("trust policy", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.write(func(tx iam.Tx) error {
			return edit(tx, iam.KindRole, roleID, func(r *iam.Role) { r.Trust = malformed })
		})
		if e, err := w.Entity(t.Context(), account, roleID); e != nil || err == nil || errors.Is(err, iam.ErrNotFound) {
			t.Errorf("Entity: %v, %v; want an error that is not ErrNotFound", e, err)
		}
	})
}

func TestDirectory_WrongMasterKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.AccessKey(t.Context(), userKey); err != nil {
		t.Fatal(err)
	}
	other, err := seal.NewKey(bytes.Repeat([]byte{8}, seal.KeySize), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.master = other
	d := w.newDirectory(0)
	if _, err := d.AccessKey(t.Context(), userKey); !errors.Is(err, seal.ErrWrongKey) || !strings.Contains(err.Error(), userKey) {
		t.Errorf("AccessKey: %v, want seal.ErrWrongKey with the key's id", err)
	}
	// A sealed secret of another row does not open either.
	w.write(func(tx iam.Tx) error {
		moved := w.keyRecord(rootKey, account)
		return edit(tx, iam.KindAccessKey, userKey, func(k *iam.AccessKey) {
			var from iam.AccessKey
			if err := json.Unmarshal(moved.Body, &from); err != nil {
				t.Fatal(err)
			}
			k.SealedSecret = from.SealedSecret
		})
	})
	if _, err := d.AccessKey(t.Context(), userKey); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("AccessKey with the secret of another: %v, want seal.ErrDamaged", err)
	}
}

func TestDirectory_SharesPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, errUser := w.Entity(t.Context(), account, userID)
	role, errRole := w.Entity(t.Context(), account, roleID)
	session, errSession := w.ManagedPolicy(t.Context(), account, policyARN)
	if err := errors.Join(errUser, errRole, errSession); err != nil {
		t.Fatal(err)
	}
	if user.Identity[1] != role.Identity[1] || role.Identity[1] != session {
		t.Error("a managed policy was compiled more than once")
	}
}

func TestDirectory_ReadsOnceForMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		w.store.after = func(context.Context) { <-release }
		views := w.store.views.Load()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := w.Entity(t.Context(), account, roleID); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // one reads, and the others wait for it
		close(release)
		wg.Wait()
		if n := w.store.views.Load() - views; n != 1 {
			t.Errorf("50 readers of one role looked %d times into the store, want once", n)
		}
	})
}

// TestDirectory_OvertakenRead commits a write while a load, which has read the old state, has not ended yet.
func TestDirectory_OvertakenRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		var once sync.Once
		w.store.after = func(context.Context) { once.Do(func() { <-release }) }
		var wg sync.WaitGroup
		wg.Go(func() { // either answer is right for this one
			if _, err := w.Entity(t.Context(), account, roleID); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		w.write(func(tx iam.Tx) error { return tx.Delete(iam.KindInlinePolicy, account, roleID, "p") })
		for range 10 {
			wg.Go(func() { // but these begin after the write was acknowledged
				e, err := w.Entity(t.Context(), account, roleID)
				if err != nil || len(e.Identity) != 1 {
					t.Errorf("Entity: %v, %v; want the role without its inline policy", e, err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if e, err := w.Entity(t.Context(), account, roleID); err != nil || len(e.Identity) != 1 {
			t.Errorf("Entity: %v, %v; the load that was overtaken stayed in the cache", e, err)
		}
	})
}

// TestDirectory_ReaderThatFails lets the one who reads for all give up, fail or panic: the others do not suffer from it.
func TestDirectory_ReaderThatFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(context.Context){
		"gives up": func(ctx context.Context) { <-ctx.Done() },
		"panics":   func(ctx context.Context) { <-ctx.Done(); panic("on purpose") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var once sync.Once
				w.store.after = func(ctx context.Context) { once.Do(func() { fail(ctx) }) }
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() {
					defer func() { _ = recover() }()
					_, _ = w.Entity(ctx, account, roleID)
				})
				synctest.Wait()
				for range 5 {
					wg.Go(func() {
						if _, err := w.Entity(t.Context(), account, roleID); err != nil {
							t.Errorf("Entity: %v", err)
						}
					})
				}
				gone, cancelGone := context.WithCancel(t.Context())
				cancelGone()
				if _, err := w.Entity(gone, account, roleID); !errors.Is(err, context.Canceled) {
					t.Errorf("Entity with a context that ended: %v, want context.Canceled", err)
				}
				synctest.Wait()
				cancel()
				wg.Wait()
			})
		})
	}
}

// TestDirectory_Flood asks for keys and roles that do not exist: what does exist stays cached.
func TestDirectory_Flood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.newDirectory(16)
	w.picture(d)
	for i := range 3000 {
		if _, err := d.AccessKey(t.Context(), fmt.Sprintf("AKIA%016d", i)); !errors.Is(err, iam.ErrNotFound) {
			t.Fatal(err)
		}
		a := arn.ARN{Partition: "aws", Service: "iam", Account: account, Resource: fmt.Sprintf("role/none-%d", i)}
		if _, err := d.RoleByARN(t.Context(), a); !errors.Is(err, iam.ErrNotFound) {
			t.Fatal(err)
		}
	}
	views := w.store.views.Load()
	if _, err := d.AccessKey(t.Context(), "AKIA0000000000002999"); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("AccessKey: %v, want ErrNotFound", err)
	}
	for _, read := range []func() error{
		func() error { _, err := d.AccessKey(t.Context(), userKey); return err },
		func() error { _, err := d.Entity(t.Context(), account, roleID); return err },
		func() error { _, err := d.ManagedPolicy(t.Context(), account, policyARN); return err },
	} {
		if err := read(); err != nil {
			t.Error(err)
		}
	}
	if n := w.store.views.Load() - views; n != 0 {
		t.Errorf("after the flood the store was looked into %d times for what had been cached", n)
	}
}

// TestDirectory_Bounded reads more than the cache holds: it stays exact, and what is used again and again stays in it.
func TestDirectory_Bounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n, size = 300, 20
	w.write(func(tx iam.Tx) error {
		for i := range n {
			id := fmt.Sprintf("AROA%d", i)
			if err := errors.Join(tx.Put(roleRecord(id, fmt.Sprintf("r%d", i), trustIn(account))), tx.Put(attachmentRecord(id, policyARN))); err != nil {
				return err
			}
		}
		return nil
	})
	d := w.newDirectory(size)
	hot := 0
	for i := range n {
		if e, err := d.Entity(t.Context(), account, fmt.Sprintf("AROA%d", i)); err != nil || e.Name != fmt.Sprintf("r%d", i) {
			t.Fatalf("role %d: %v, %v", i, e, err)
		}
		views := w.store.views.Load()
		if _, err := d.Entity(t.Context(), account, roleID); err != nil {
			t.Fatal(err)
		}
		hot += int(w.store.views.Load() - views)
	}
	if hot != 1 {
		t.Errorf("a role in constant use was read %d times, want once", hot)
	}
	views := w.store.views.Load()
	for i := range n {
		if _, err := d.Entity(t.Context(), account, fmt.Sprintf("AROA%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if missed := w.store.views.Load() - views; missed < n-size {
		t.Errorf("%d of %d roles were cached, the limit is %d", n-missed, n, size)
	}
	// Evicted entries leave nothing behind that an invalidation could stumble over.
	if err := d.Update(t.Context(), func(tx iam.Tx) error {
		return edit(tx, iam.KindPolicy, policyID, func(p *iam.Policy) { p.Description = "changed" })
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Entity(t.Context(), account, "AROA7"); err != nil {
		t.Error(err)
	}
}

// TestDirectory_Race lets readers check that they never see less than what was acknowledged before they asked.
func TestDirectory_Race(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const writes = 60
	type subject struct {
		write func(tx iam.Tx, n int) error
		read  func() (string, error)
	}
	entityText := func(id string, i int) func() (string, error) {
		return func() (string, error) {
			e, err := w.Entity(t.Context(), account, id)
			if err != nil {
				return "", err
			}
			return e.Identity[i].Text(), nil
		}
	}
	numbered := func(n int) string { return allowAction(fmt.Sprintf("n%06d", n)) }
	role, err := arn.Parse(roleARN)
	if err != nil {
		t.Fatal(err)
	}
	subjects := map[string]subject{
		"inline policy of a role": {
			func(tx iam.Tx, n int) error {
				return editUnder(tx, iam.KindInlinePolicy, roleID, "p", func(p *iam.InlinePolicy) { p.Document = numbered(n) })
			},
			entityText(roleID, 0),
		},
		"inline policy of a user's group": {
			func(tx iam.Tx, n int) error {
				return editUnder(tx, iam.KindInlinePolicy, groupID, "p", func(p *iam.InlinePolicy) { p.Document = numbered(n) })
			},
			entityText(userID, 2),
		},
		"managed policy of a user": {
			func(tx iam.Tx, n int) error {
				return editUnder(tx, iam.KindPolicyVersion, policyID, "v000001", func(v *iam.PolicyVersion) { v.Document = numbered(n) })
			},
			entityText(userID, 1),
		},
		"role by its name": {
			func(tx iam.Tx, n int) error {
				return edit(tx, iam.KindRole, roleID, func(r *iam.Role) { r.Tags = []iam.Tag{{Key: "n", Value: fmt.Sprintf("n%06d", n)}} })
			},
			func() (string, error) {
				e, err := w.RoleByARN(t.Context(), role)
				if err != nil || len(e.Tags) == 0 {
					return "n000000", err
				}
				return e.Tags[0].Value, nil
			},
		},
	}
	for name, s := range subjects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var acknowledged atomic.Int64
			var wg sync.WaitGroup
			w.write(func(tx iam.Tx) error { return s.write(tx, 0) })
			wg.Go(func() {
				for n := 1; n <= writes; n++ {
					if err := w.Update(t.Context(), func(tx iam.Tx) error { return s.write(tx, n) }); err != nil {
						t.Error(err)
						break
					}
					acknowledged.Store(int64(n))
				}
				acknowledged.Store(writes)
			})
			for range 3 {
				wg.Go(func() {
					for seen := int64(0); seen < writes; {
						seen = acknowledged.Load()
						got, err := s.read()
						if err != nil {
							t.Error(err)
							return
						}
						var n int64
						_, digits, _ := strings.Cut(got, "n0")
						if _, err := fmt.Sscanf(digits, "%05d", &n); err != nil {
							t.Errorf("%s: %v", got, err)
							return
						}
						if n < seen {
							t.Errorf("read %d after %d was acknowledged", n, seen)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestDirectory_RaceDelete checks that nobody sees a role after its deletion was acknowledged, nor misses one after its creation
// was, with the cache too small for all and readers everywhere.
func TestDirectory_RaceDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Directory = w.newDirectory(2)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			name := fmt.Sprintf("Race%d", i)
			a := arn.ARN{Partition: "aws", Service: "iam", Account: account, Resource: "role/team/" + name}
			for round := range 20 {
				id := fmt.Sprintf("AROA%dX%d", i, round)
				if err := w.Update(t.Context(), func(tx iam.Tx) error { return tx.Put(roleRecord(id, name, trustIn(account))) }); err != nil {
					t.Error(err)
				}
				if e, err := w.RoleByARN(t.Context(), a); err != nil || e.ID != id {
					t.Errorf("created: %v, %v", e, err)
				}
				if err := w.Update(t.Context(), func(tx iam.Tx) error {
					return tx.Delete(iam.KindRole, account, "", strings.ToLower(name))
				}); err != nil {
					t.Error(err)
				}
				if e, err := w.RoleByARN(t.Context(), a); !errors.Is(err, iam.ErrNotFound) {
					t.Errorf("deleted: %v, %v", e, err)
				}
				if e, err := w.Entity(t.Context(), account, id); !errors.Is(err, iam.ErrNotFound) {
					t.Errorf("deleted: %v, %v", e, err)
				}
			}
		})
		wg.Go(func() { // one that asks all the time, so that loads are under way when writes commit
			a := arn.ARN{Partition: "aws", Service: "iam", Account: account, Resource: fmt.Sprintf("role/team/Race%d", i)}
			for range 200 {
				if _, err := w.RoleByARN(t.Context(), a); err != nil && !errors.Is(err, iam.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestDirectory_LastUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.picture(w.Directory)
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	w.Used(userKey, "sts", "us-east-1", at)
	w.Used(userKey, "iam", "eu-west-1", at.Add(time.Minute))
	w.Used(userKey, "s3", "late", at.Add(-time.Hour)) // came late
	w.Used(roleID, "sts", "us-east-1", at)
	w.Used("AKIADELETEDMEANWHILE", "sts", "us-east-1", at)
	for i := range 3000 { // more than one batch
		w.Used(fmt.Sprintf("AKIA%016d", i), "sts", "us-east-1", at)
	}
	stop := func() {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Run(ctx); err != nil { // writes what is left
			t.Fatal(err)
		}
	}
	stop()
	want := map[string]iam.Use{
		userKey: {ID: userKey, At: at.Add(time.Minute), Service: "iam", Region: "eu-west-1"},
		roleID:  {ID: roleID, At: at, Service: "sts", Region: "us-east-1"},
	}
	if diff := cmp.Diff(want, lastUses(t, w)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.Used(userKey, "sts", "us-east-1", at) // earlier than what is written
	stop()
	w.Used(roleID, "iam\x00", strings.Repeat("r", 1000), at.Add(time.Second)) // a credential scope that no database should meet
	stop()
	want[roleID] = iam.Use{ID: roleID, At: at.Add(time.Second)}
	if diff := cmp.Diff(want, lastUses(t, w)); diff != "" {
		t.Errorf("later (-want +got):\n%s", diff)
	}
	views := w.store.views.Load()
	w.picture(w.Directory)
	if n := w.store.views.Load() - views; n != 0 {
		t.Errorf("writing last uses threw %d entries out of the cache", n)
	}
}

// TestDirectory_Run lets an hour pass on the bubble's clock.
func TestDirectory_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		at := time.Now()
		w.Used(roleID, "sts", "us-east-1", at)
		time.Sleep(61 * time.Second)
		if got := lastUses(t, w)[roleID].At; !got.Equal(at) {
			t.Errorf("after a minute: last use %v, want %v", got, at)
		}
		later := time.Now()
		w.Used(roleID, "sts", "us-east-1", later)
		cancel()
		wg.Wait()
		if got := lastUses(t, w)[roleID].At; !got.Equal(later) {
			t.Errorf("after the end: last use %v, want %v", got, later)
		}
	})
}

// lastUses reads what was noted, and shows that the records are as they were made.
func lastUses(t *testing.T, w *world) (noted map[string]iam.Use) {
	t.Helper()
	err := w.View(t.Context(), func(tx iam.Tx) (err error) {
		for kind, id := range map[iam.Kind]string{iam.KindAccessKey: userKey, iam.KindRole: roleID} {
			if r, err := tx.ByID(kind, id); err != nil || r.Version != 1 {
				t.Errorf("%s: version %d, %v", id, r.Version, err)
			}
		}
		noted, err = tx.Uses(userKey, roleID, "AKIADELETEDMEANWHILE", "AKIA0000000000000001")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return noted
}

// TestDirectory_ForeignWrites writes to the store behind the directory's back, as a command line tool does.
func TestDirectory_ForeignWrites(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "directory.db")
	open := func() *world {
		s, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		master, err := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		d, err := iam.NewDirectory(iam.DirectoryConfig{Store: s, Master: master, Managed: awsDocuments{awsARN: allowAction("aws")}})
		if err != nil {
			t.Fatal(err)
		}
		return &world{t: t, store: &watchedStore{Store: s}, master: master, Directory: d}
	}
	ours, theirs := open(), open()
	theirs.write(theirs.found)
	before := ours.picture(ours.Directory)
	if err := ours.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ours.picture(ours.Directory)
	theirs.write(func(tx iam.Tx) error { return tx.Delete(iam.KindInlinePolicy, account, roleID, "p") })
	if err := ours.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := ours.picture(ours.Directory)
	if before["entity "+roleID] == after["entity "+roleID] {
		t.Error("a foreign write is not seen after Refresh")
	}
	if diff := cmp.Diff(theirs.picture(theirs.Directory), after); diff != "" {
		t.Errorf("-theirs +ours:\n%s", diff)
	}
}

func TestNewDirectory_Refuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := iam.DirectoryConfig{Store: w.store, Master: w.master, Managed: awsDocuments{}}
	if _, err := iam.NewDirectory(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*iam.DirectoryConfig){
		"store": func(c *iam.DirectoryConfig) { c.Store = nil }, "master": func(c *iam.DirectoryConfig) { c.Master = nil },
		"managed": func(c *iam.DirectoryConfig) { c.Managed = nil }, "size": func(c *iam.DirectoryConfig) { c.CacheSize = -1 },
		"interval": func(c *iam.DirectoryConfig) { c.FlushInterval = -1 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := iam.NewDirectory(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
