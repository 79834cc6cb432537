package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	iamops "github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// ring is the key ring in the data directory of a node that does not run.
type ring struct{ store *store.Store }

func (r ring) LoadRing(ctx context.Context) (sealed []byte, version int64, err error) {
	err = r.store.View(ctx, func(tx iamops.Tx) error {
		record, err := tx.Get(iamops.KindKeyRing, "", "", "ring")
		if errors.Is(err, iamops.ErrNotFound) {
			return nil
		}
		sealed, version = record.Body, record.Version
		return err
	})
	return sealed, version, err
}

func (r ring) SaveRing(ctx context.Context, sealed []byte, version int64) error {
	return r.store.Update(ctx, func(tx iamops.Tx) error {
		return tx.Put(iamops.Record{Kind: iamops.KindKeyRing, Name: "ring", Version: version, Body: sealed})
	})
}

// ringOf gives the stopped node's data directory a new key ring, made at that moment.
func ringOf(t *testing.T, dir string, moment time.Time) *signer.Signer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	master, err := seal.NewKey(raw, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(dir, "directory.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Update(t.Context(), func(tx iamops.Tx) error { return tx.Delete(iamops.KindKeyRing, "", "", "ring") }); err != nil {
		t.Fatal(err)
	}
	s, err := signer.Open(t.Context(), signer.Config{
		Store: ring{db}, Master: master, Issuer: "https://stint.invalid", Now: func() time.Time { return moment },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Sessions that stint's own keys made, some of which are over.
func TestExpiry(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333")
	root := n.root()
	alice := root.user(n, "alice", allowEverything)
	role := root.role("reader", trustFor("arn:aws:iam::111122223333:user/alice"))
	genuine := alice.mustAssume(role, nil)
	inspected, err := signer.InspectUnverified(secret.New(*genuine.SessionToken), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	n.stop()
	now := time.Now()
	past := ringOf(t, dir, now.Add(-3*time.Hour))
	n = start(t, dir)

	const (
		expired = "The security token included in the request is expired"
		invalid = "The security token included in the request is invalid"
	)
	for _, row := range []struct {
		name            string
		issued, expires time.Duration // from now
		change          func(*signer.Claims)
		wrongSecret     bool
		code, text      string // empty: it works
	}{
		{name: "an hour's session", expires: time.Hour},
		{name: "made long ago, ends in two minutes: less than clocks may differ", issued: -2 * time.Hour, expires: 2 * time.Minute},
		{name: "over for a second", issued: -2 * time.Hour, expires: -time.Second, code: "ExpiredToken", text: expired},
		{name: "over for an hour", issued: -2 * time.Hour, expires: -time.Hour, code: "ExpiredToken", text: expired},
		{name: "over, and signed with another secret", issued: -2 * time.Hour, expires: -time.Hour, wrongSecret: true, code: "ExpiredToken", text: expired},
		{
			name: "over, of a role that never was", issued: -2 * time.Hour, expires: -time.Hour, code: "InvalidClientTokenId", text: invalid,
			change: func(c *signer.Claims) { c.EntityID = "AROAWDB7XWLS3OBANPCEA" },
		},
		{
			name: "of a role that never was", expires: time.Hour, code: "InvalidClientTokenId", text: invalid,
			change: func(c *signer.Claims) { c.EntityID = "AROAWDB7XWLS3OBANPCEA" },
		},
		{name: "made an hour from now", issued: time.Hour, expires: 2 * time.Hour, code: "InvalidClientTokenId", text: invalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			claims := *inspected.Claims
			claims.IssuedAt, claims.ExpiresAt = now.Add(row.issued), now.Add(row.expires)
			if row.change != nil {
				row.change(&claims)
			}
			creds, err := past.Mint(&claims)
			if err != nil {
				t.Fatal(err)
			}
			secretKey := creds.SecretAccessKey.Reveal()
			if row.wrongSecret {
				secretKey = strings.Repeat("x", 40)
			}
			c := n.client(creds.AccessKeyID, secretKey, creds.SessionToken.Reveal())
			out, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			if row.code != "" {
				wantCode(t, err, row.code, row.text)
				_, err = c.iam.ListUsers(ctx, &iam.ListUsersInput{})
				wantCode(t, err, row.code, row.text)
				return
			}
			if err != nil || *out.Arn != "arn:aws:sts::111122223333:assumed-role/reader/session" {
				t.Errorf("%v, %v", out, err)
			}
		})
	}
	// The session of the ring that was thrown away is none of this node's any more.
	_, err = n.with(genuine).sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	wantCode(t, err, "InvalidClientTokenId", invalid)
}
