package iam_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/session"
)

func TestDirectory_Revocations(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	start := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var all []*session.Revocation
	const many = 2500 // several pages
	for i := range many {
		made := start.Add(time.Duration(i) * time.Second)
		r := &session.Revocation{
			ID: session.RevocationID(made, fmt.Sprint(i)), Account: "111122223333", Issuer: "arn:x", Subject: "bob", Before: made.Add(-time.Hour), Made: made,
			By: "arn:aws:iam::111122223333:root", Reason: "left",
		}
		if err := f.directory.AddRevocation(ctx, r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	select {
	case <-f.directory.RevocationsChanged():
	default:
		t.Error("nobody is told of revocations")
	}
	found, err := f.directory.RevocationsSince(ctx, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, found); diff != "" {
		t.Errorf("revocations (-want +got):\n%s", diff)
	}
	if found, err = f.directory.RevocationsSince(ctx, all[many-2].Made); err != nil || len(found) != 2 {
		t.Errorf("of the last two moments there are %d, %v", len(found), err)
	}
	if err := f.directory.AddRevocation(ctx, all[0]); err == nil {
		t.Error("the same id twice")
	}
	if err := f.directory.DropRevocations(ctx, all[many-10].Until()); err != nil {
		t.Fatal(err)
	}
	if found, err = f.directory.RevocationsSince(ctx, time.Time{}); err != nil || len(found) != 9 {
		t.Errorf("%d revocations are left, %v; want 9", len(found), err)
	}
}
