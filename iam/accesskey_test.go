package iam_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/signer"
)

func (f *fixture) accessKey(caller *authn.Caller, user string) iam.NewAccessKey {
	f.t.Helper()
	out, err := f.CreateAccessKey(f.t.Context(), caller, &iam.CreateAccessKeyInput{UserName: user})
	f.ok(err)
	return out.AccessKey
}

// stored reads a key's record as the request path does.
func (f *fixture) stored(owner, id string) (*iam.AccessKey, error) {
	var k *iam.AccessKey
	err := f.directory.View(f.t.Context(), func(tx iam.Tx) (err error) {
		k, err = iam.GetAccessKey(tx, testAccount, owner, id)
		return err
	})
	return k, err
}

func TestCreateAccessKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := f.user("alice", allActions)
	for _, row := range []struct {
		name           string
		caller         *authn.Caller
		in, user, owns string
	}{
		{"for a named user", f.root(), "ALICE", "alice", alice.UserID},
		{"for the calling user", alice, "", "alice", alice.UserID},
		{"for root itself", f.root(), "", "", testAccount},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := f.accessKey(row.caller, row.in)
			if k.UserName != row.user || k.Status != "Active" || len(k.AccessKeyID) != 20 || len(k.SecretAccessKey.Reveal()) != 40 {
				t.Errorf("created %+v", k)
			}
			if account, err := signer.AccountOf(k.AccessKeyID); err != nil || account != testAccount {
				t.Errorf("id %s carries account %q, %v", k.AccessKeyID, account, err)
			}
			stored, err := f.stored(row.owns, k.AccessKeyID)
			f.ok(err)
			plain, err := f.master.Open(stored.SealedSecret, "access-key/"+k.AccessKeyID)
			f.ok(err)
			if string(plain) != k.SecretAccessKey.Reveal() {
				t.Error("the sealed secret is not the one that was shown")
			}
			if strings.Contains(string(stored.SealedSecret), k.SecretAccessKey.Reveal()) {
				t.Error("the secret is stored in the clear")
			}
			if _, err := f.master.Open(stored.SealedSecret, "access-key/AKIAOTHER"); err == nil {
				t.Error("the sealed secret opens in another row")
			}
		})
	}
	_, err := f.CreateAccessKey(t.Context(), f.root(), &iam.CreateAccessKeyInput{UserName: "alice"})
	f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for AccessKeysPerUser: 2")
	_, err = f.CreateAccessKey(t.Context(), f.root(), &iam.CreateAccessKeyInput{}) // the account came with one
	f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for AccessKeysPerUser: 2")
	_, err = f.CreateAccessKey(t.Context(), f.session(allActions), &iam.CreateAccessKeyInput{})
	f.refused(err, awserr.ValidationError, "Must specify userName when calling with non-User credentials")
}

func TestCreateAccessKey_QuotaHoldsInARace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice")
	const callers = 8
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			_, errs[i] = f.CreateAccessKey(t.Context(), f.root(), &iam.CreateAccessKeyInput{UserName: "alice"})
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, awserr.LimitExceeded) && !errors.Is(err, awserr.ConcurrentModification):
			t.Error(err)
		}
	}
	if made != 2 {
		t.Errorf("%d keys were made, the quota is 2", made)
	}
}

// An id that another key has is not given twice, however unlucky the chance.
func TestCreateAccessKey_NewIDWhenTheFirstIsTaken(t *testing.T) {
	t.Parallel()
	chance := new(stutter)
	f := newFixture(t, func(cfg *iam.Config) { cfg.Rand = chance })
	f.user("alice")
	f.user("bob")
	chance.stuck = true
	a, b := f.accessKey(f.root(), "alice"), f.accessKey(f.root(), "bob")
	if a.AccessKeyID == b.AccessKeyID || chance.reads < 4 {
		t.Errorf("keys %s and %s after %d readings of chance", a.AccessKeyID, b.AccessKeyID, chance.reads)
	}
}

// stutter is chance that, once stuck, says everything three times: for an id, for its secret, and for the next id.
type stutter struct {
	stuck bool
	reads int
}

func (s *stutter) Read(p []byte) (int, error) {
	if !s.stuck {
		return rand.Read(p)
	}
	for i := range p {
		p[i] = byte(s.reads / 3)
	}
	s.reads++
	return len(p), nil
}

func TestListAccessKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := f.user("alice", allActions)
	ids := []string{f.accessKey(f.root(), "alice").AccessKeyID, f.accessKey(f.root(), "alice").AccessKeyID}
	f.ok(f.UpdateAccessKey(t.Context(), alice, &iam.UpdateAccessKeyInput{AccessKeyID: ids[1], Status: "Inactive"}))
	size := int32(1)
	in := &iam.ListAccessKeysInput{UserName: "alice", PageInput: iam.PageInput{MaxItems: &size}}
	status := map[string]string{}
	for pages := 1; ; pages++ {
		out, err := f.ListAccessKeys(t.Context(), f.root(), in)
		f.ok(err)
		for _, k := range out.AccessKeyMetadata {
			status[k.AccessKeyID] = k.UserName + " " + k.Status
		}
		if !out.IsTruncated {
			if pages != 2 {
				t.Errorf("%d pages, want 2", pages)
			}
			break
		}
		in.Marker = out.Marker
	}
	if len(status) != 2 || status[ids[0]] != "alice Active" || status[ids[1]] != "alice Inactive" {
		t.Errorf("listed %v", status)
	}
	own, err := f.ListAccessKeys(t.Context(), alice, &iam.ListAccessKeysInput{})
	f.ok(err)
	if len(own.AccessKeyMetadata) != 2 {
		t.Errorf("alice sees %d keys of her own", len(own.AccessKeyMetadata))
	}
	root, err := f.ListAccessKeys(t.Context(), f.root(), &iam.ListAccessKeysInput{})
	f.ok(err)
	if got := fmt.Sprint(root.AccessKeyMetadata[0].UserName, root.AccessKeyMetadata[0].AccessKeyID); got != f.first.AccessKeyID {
		t.Errorf("root sees %s, want %s", got, f.first.AccessKeyID)
	}
}

func TestUpdateAndDeleteAccessKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := f.user("alice", allActions)
	f.user("bob")
	k := f.accessKey(f.root(), "alice")
	update := func(status string) error {
		return f.UpdateAccessKey(t.Context(), alice, &iam.UpdateAccessKeyInput{AccessKeyID: k.AccessKeyID, Status: status})
	}
	for _, status := range []string{"Inactive", "Inactive", "Active"} {
		f.ok(update(status))
		stored, err := f.stored(alice.UserID, k.AccessKeyID)
		f.ok(err)
		read, err := f.directory.AccessKey(t.Context(), k.AccessKeyID)
		f.ok(err)
		if want := status == "Active"; stored.Active != want || read.Active != want {
			t.Errorf("after %s the key is active: stored %t, on the request path %t", status, stored.Active, read.Active)
		}
	}
	missing := "The Access Key with id " + k.AccessKeyID + " cannot be found."
	bobs := &iam.UpdateAccessKeyInput{UserName: "bob", AccessKeyID: k.AccessKeyID, Status: "Inactive"}
	err := f.UpdateAccessKey(t.Context(), f.root(), bobs)
	f.refused(err, awserr.NoSuchEntity, missing) // not bob's
	err = f.DeleteAccessKey(t.Context(), f.root(), &iam.DeleteAccessKeyInput{AccessKeyID: k.AccessKeyID})
	f.refused(err, awserr.NoSuchEntity, missing) // not root's
	f.ok(f.DeleteAccessKey(t.Context(), f.root(), &iam.DeleteAccessKeyInput{UserName: "alice", AccessKeyID: k.AccessKeyID}))
	if _, err := f.stored(alice.UserID, k.AccessKeyID); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("the deleted key: %v", err)
	}
	if _, err := f.directory.AccessKey(t.Context(), k.AccessKeyID); !errors.Is(err, authn.ErrUnknown) {
		t.Errorf("the deleted key on the request path: %v", err)
	}
	f.refused(update("Active"), awserr.NoSuchEntity, missing)
	f.ok(f.DeleteAccessKey(t.Context(), f.root(), &iam.DeleteAccessKeyInput{AccessKeyID: f.first.AccessKeyID}))
}

func TestGetAccessKeyLastUsed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice")
	k := f.accessKey(f.root(), "alice")
	get := func(c *authn.Caller, id string) (*iam.GetAccessKeyLastUsedOutput, error) {
		return f.GetAccessKeyLastUsed(t.Context(), c, &iam.GetAccessKeyLastUsedInput{AccessKeyID: id})
	}
	out, err := get(f.root(), k.AccessKeyID)
	f.ok(err)
	if out.UserName != "alice" || out.AccessKeyLastUsed != (iam.AccessKeyLastUsed{ServiceName: "N/A", Region: "N/A"}) {
		t.Errorf("never used: %+v", out)
	}
	out, err = get(f.root(), f.first.AccessKeyID)
	f.ok(err)
	if out.UserName != "" {
		t.Errorf("root's key belongs to %q", out.UserName)
	}
	reader := f.user("reader", allow("arn:aws:iam::111122223333:user/alice", "iam:GetAccessKeyLastUsed"))
	_, err = get(reader, k.AccessKeyID)
	f.ok(err)
	// Not allowed, unknown and foreign read alike.
	for _, id := range []string{f.first.AccessKeyID, "AKIAQAAAAAAAAAAAAAAA"} {
		_, err = get(reader, id)
		f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/reader is not authorized to perform: "+
			"iam:GetAccessKeyLastUsed on resource: access key "+id)
	}
	_, err = get(f.other(), k.AccessKeyID)
	f.refused(err, awserr.AccessDenied, "User: arn:aws:iam::444455556666:root is not authorized to perform: "+
		"iam:GetAccessKeyLastUsed on resource: access key "+k.AccessKeyID)
}
