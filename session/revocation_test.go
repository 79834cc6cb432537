package session_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stint-sts/stint/session"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// holder is a role session of a minute past noon, at the end of a chain of three.
func holder(change func(*session.Holder)) *session.Holder {
	h := &session.Holder{
		Account: "111122223333", AccessKeyID: "ASIA3", EntityID: "AROA1", Name: "build", IssuedAt: noon.Add(time.Minute),
		Issuer: "arn:aws:iam::111122223333:oidc-provider/idp.example.com", Subject: func() string { return "alice" },
		Parent: "ASIA2", Ancestors: []string{"AKIA0", "ASIA1"},
	}
	if change != nil {
		change(h)
	}
	return h
}

func revocation(change func(*session.Revocation)) *session.Revocation {
	made := noon.Add(time.Hour)
	r := &session.Revocation{ID: session.RevocationID(made, "chance"), Account: "111122223333", Before: made, Made: made}
	change(r)
	return r
}

func TestRevocations_Revoked(t *testing.T) {
	t.Parallel()
	issuer := holder(nil).Issuer
	cut := func(h *session.Holder) { h.Cut = true }
	for name, test := range map[string]struct {
		revoke func(*session.Revocation)
		holder func(*session.Holder)
		want   bool
	}{
		"the session itself":             {revoke: func(r *session.Revocation) { r.Credential = "ASIA3" }, want: true},
		"another session":                {revoke: func(r *session.Revocation) { r.Credential = "ASIA4" }},
		"the session that asked for it":  {revoke: func(r *session.Revocation) { r.Credential = "ASIA2" }, want: true},
		"a session further up":           {revoke: func(r *session.Revocation) { r.Credential = "ASIA1" }, want: true},
		"the key at the root":            {revoke: func(r *session.Revocation) { r.Credential = "AKIA0" }, want: true},
		"in a chain made after it ended": {revoke: func(r *session.Revocation) { r.Credential = "ASIA1"; r.Before = noon }, want: true},

		"a session that a cut chain may have led over": {
			revoke: func(r *session.Revocation) { r.Credential, r.Root = "ASIA9", "AKIA0" }, holder: cut, want: true,
		},
		"a session of another root than a cut chain's": {
			revoke: func(r *session.Revocation) { r.Credential, r.Root = "ASIA9", "AKIA9" }, holder: cut,
		},
		"a session of an unknown root, for a cut chain": {revoke: func(r *session.Revocation) { r.Credential = "ASIA9" }, holder: cut, want: true},
		"a session of an unknown root, for a whole chain": {
			revoke: func(r *session.Revocation) { r.Credential = "ASIA9" },
		},
		"a cut chain that went on after the revocation": {
			revoke: func(r *session.Revocation) { r.Credential, r.Root = "ASIA9", "AKIA0" },
			holder: func(h *session.Holder) { h.Cut, h.IssuedAt = true, noon.Add(2*time.Hour) },
		},

		"the role":                          {revoke: func(r *session.Revocation) { r.EntityID = "AROA1" }, want: true},
		"another role":                      {revoke: func(r *session.Revocation) { r.EntityID = "AROA2" }},
		"the role, before it was issued":    {revoke: func(r *session.Revocation) { r.EntityID, r.Before = "AROA1", noon }},
		"the role, at the very moment":      {revoke: func(r *session.Revocation) { r.EntityID, r.Before = "AROA1", noon.Add(time.Minute) }},
		"the role, a millisecond later":     {revoke: func(r *session.Revocation) { r.EntityID, r.Before = "AROA1", noon.Add(time.Minute+time.Millisecond) }, want: true},
		"its session name":                  {revoke: func(r *session.Revocation) { r.EntityID, r.Name = "AROA1", "build" }, want: true},
		"another session name":              {revoke: func(r *session.Revocation) { r.EntityID, r.Name = "AROA1", "deploy" }},
		"the session name of another role":  {revoke: func(r *session.Revocation) { r.EntityID, r.Name = "AROA2", "build" }},
		"the issuer":                        {revoke: func(r *session.Revocation) { r.Issuer = issuer }, want: true},
		"another issuer":                    {revoke: func(r *session.Revocation) { r.Issuer = issuer + "/2" }},
		"the subject":                       {revoke: func(r *session.Revocation) { r.Issuer, r.Subject = issuer, "alice" }, want: true},
		"another subject":                   {revoke: func(r *session.Revocation) { r.Issuer, r.Subject = issuer, "bob" }},
		"the subject, of a session without": {revoke: func(r *session.Revocation) { r.Issuer, r.Subject = issuer, "alice" }, holder: func(h *session.Holder) { h.Issuer = "" }},
		"the account":                       {revoke: func(r *session.Revocation) { r.All = true }, want: true},
		"another account":                   {revoke: func(r *session.Revocation) { r.All, r.Account = true, "444455556666" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := session.NewRevocations()
			if v.Revoked(holder(test.holder)) {
				t.Fatal("revoked before any revocation")
			}
			v.Add(noon.Add(time.Hour), revocation(test.revoke))
			if got := v.Revoked(holder(test.holder)); got != test.want {
				t.Errorf("revoked: %v, want %v", got, test.want)
			}
		})
	}
}

func TestRevocations_AnEarlierMomentTakesNothingBack(t *testing.T) {
	t.Parallel()
	v := session.NewRevocations()
	for i, before := range []time.Time{noon.Add(time.Hour), noon} {
		v.Add(noon, revocation(func(r *session.Revocation) { r.EntityID, r.Before, r.ID = "AROA1", before, fmt.Sprint(i) }))
		if !v.Revoked(holder(nil)) {
			t.Fatalf("not revoked after %d revocations", i+1)
		}
	}
}

func TestRevocations_AreForgottenOnceNothingCanBeAboutThem(t *testing.T) {
	t.Parallel()
	v := session.NewRevocations()
	r := revocation(func(r *session.Revocation) { r.Credential = "ASIA3" })
	v.Add(noon, r, r)
	if v.Len() != 1 {
		t.Fatalf("%d revocations, want 1", v.Len())
	}
	v.Forget(r.Until().Add(-1))
	if !v.Revoked(holder(nil)) {
		t.Fatal("forgotten while a session may live")
	}
	v.Forget(r.Until())
	if v.Len() != 0 || v.Revoked(holder(nil)) {
		t.Error("not forgotten")
	}
	if v.Add(r.Until(), r); v.Len() != 0 {
		t.Error("remembered though it is over")
	}
}

func TestRevocation_Check(t *testing.T) {
	t.Parallel()
	good := func(r *session.Revocation) { r.Credential = "ASIA3" }
	if err := revocation(good).Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*session.Revocation){
		"names nothing":          func(r *session.Revocation) { r.Credential = "" },
		"names two things":       func(r *session.Revocation) { r.All = true },
		"no id":                  func(r *session.Revocation) { r.ID = "" },
		"no account":             func(r *session.Revocation) { r.Account = "" },
		"no moment":              func(r *session.Revocation) { r.Before = time.Time{} },
		"not made":               func(r *session.Revocation) { r.Made = time.Time{} },
		"a name without entity":  func(r *session.Revocation) { r.Name = "build" },
		"a subject alone":        func(r *session.Revocation) { r.Subject = "alice" },
		"a root without session": func(r *session.Revocation) { r.Credential, r.Root, r.All = "", "AKIA0", true },
	} {
		r := revocation(good)
		change(r)
		v := session.NewRevocations()
		if v.Add(noon, r); !errors.Is(r.Check(), session.ErrInvalid) || v.Len() != 0 {
			t.Errorf("%s: Check gives %v, and %d revocations count", name, r.Check(), v.Len())
		}
	}
}

func TestRevocations_Room(t *testing.T) {
	t.Parallel()
	v := session.NewRevocations()
	single := revocation(func(r *session.Revocation) { r.Credential = "ASIA3" })
	role := revocation(func(r *session.Revocation) { r.EntityID = "AROA1" })
	for i := range session.MaxRevocations {
		v.Add(noon, revocation(func(r *session.Revocation) { r.ID, r.Credential = fmt.Sprint(i), fmt.Sprint("ASIA", i) }))
	}
	if err := v.Room(single); !errors.Is(err, session.ErrFull) {
		t.Errorf("room for one more: %v", err)
	}
	if err := v.Room(role); err != nil {
		t.Errorf("no room for a role: %v", err)
	}
	single.Account = "444455556666"
	if err := v.Room(single); err != nil {
		t.Errorf("no room for another account: %v", err)
	}
	v.Forget(single.Until())
	single.Account = role.Account
	if err := v.Room(single); err != nil {
		t.Errorf("no room after all are forgotten: %v", err)
	}
}

func BenchmarkRevoked(b *testing.B) {
	v := session.NewRevocations()
	h := holder(nil)
	b.Run("nothing is revoked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v.Revoked(h)
		}
	})
	for i := range 10_000 {
		v.Add(noon, revocation(func(r *session.Revocation) { r.ID, r.Credential = fmt.Sprint(i), fmt.Sprint("ASIA-", i) }),
			revocation(func(r *session.Revocation) { r.ID, r.EntityID = fmt.Sprint("e", i), fmt.Sprint("AROA-", i) }),
			revocation(func(r *session.Revocation) {
				r.ID, r.Issuer, r.Subject = fmt.Sprint("s", i), holder(nil).Issuer, fmt.Sprint("bob", i)
			}))
	}
	b.Run("thirty thousand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v.Revoked(h) {
				b.Fatal("revoked")
			}
		}
	})
}
