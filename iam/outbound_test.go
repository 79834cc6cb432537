package iam_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

// keyMaker is an Outbound that counts how often it is asked for keys.
type keyMaker struct {
	mu    sync.Mutex
	asked int
	err   error
}

func (k *keyMaker) EnsureIdentityKeys(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	return k.err
}

func (*keyMaker) IssuerURL(id string) string { return "https://sts.example.com/oidc/" + id }

func outbound(k *keyMaker) func(*iam.Config) { return func(cfg *iam.Config) { cfg.Outbound = k } }

func (f *fixture) enableOutbound(c *authn.Caller) (string, error) {
	out, err := f.EnableOutboundWebIdentityFederation(f.t.Context(), c, &iam.EnableOutboundWebIdentityFederationInput{})
	if err != nil {
		return "", err
	}
	return out.IssuerIdentifier, nil
}

func (f *fixture) disableOutbound(c *authn.Caller) error {
	return f.DisableOutboundWebIdentityFederation(f.t.Context(), c, &iam.DisableOutboundWebIdentityFederationInput{})
}

func (f *fixture) outboundInfo(c *authn.Caller) (*iam.GetOutboundWebIdentityFederationInfoOutput, error) {
	return f.GetOutboundWebIdentityFederationInfo(f.t.Context(), c, &iam.GetOutboundWebIdentityFederationInfoInput{})
}

const (
	outboundOff = "Outbound web identity federation is not enabled for this account."
	outboundOn  = "Outbound web identity federation is already enabled for this account."
)

func TestOutbound_EnableDisable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, outbound(&keyMaker{}))
	other := f.other()
	off := func(account string) {
		t.Helper()
		if o, err := f.directory.OutboundIssuer(t.Context(), account); err == nil && o.Enabled {
			t.Errorf("account %s: issuer %s is enabled", account, o.ID)
		}
	}
	_, err := f.outboundInfo(f.root())
	f.refused(err, awserr.FeatureDisabled, outboundOff)
	f.refused(f.disableOutbound(f.root()), awserr.FeatureDisabled, outboundOff)
	off(testAccount) // remembered as missing

	issuer, err := f.enableOutbound(f.root())
	f.ok(err)
	id, ok := strings.CutPrefix(issuer, "https://sts.example.com/oidc/")
	if !ok || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("issuer is %s", issuer)
	}
	_, err = f.enableOutbound(f.root())
	f.refused(err, awserr.FeatureEnabled, outboundOn)
	info, err := f.outboundInfo(f.root())
	f.ok(err)
	if info.IssuerIdentifier != issuer || info.JWTVendingEnabled == nil || !*info.JWTVendingEnabled {
		t.Errorf("info: %+v", info)
	}
	o, err := f.directory.OutboundIssuer(t.Context(), testAccount)
	f.ok(err)
	if o.ID != id || !o.Enabled || o.Account != testAccount {
		t.Errorf("the request path sees %+v", o)
	}
	byID, err := f.directory.OutboundIssuerByID(t.Context(), id)
	f.ok(err)
	if byID.Account != testAccount {
		t.Errorf("by id: %+v", byID)
	}

	_, err = f.outboundInfo(other)
	f.refused(err, awserr.FeatureDisabled, outboundOff)
	off(otherAccount)
	second, err := f.enableOutbound(other)
	f.ok(err)
	if second == issuer {
		t.Error("two accounts have one issuer")
	}

	f.ok(f.disableOutbound(f.root()))
	f.refused(f.disableOutbound(f.root()), awserr.FeatureDisabled, outboundOff)
	_, err = f.outboundInfo(f.root())
	f.refused(err, awserr.FeatureDisabled, outboundOff)
	off(testAccount)
	if byID, err = f.directory.OutboundIssuerByID(t.Context(), id); err != nil || byID.Enabled {
		t.Errorf("a disabled issuer is still there to verify by: %+v, %v", byID, err)
	}
	again, err := f.enableOutbound(f.root())
	f.ok(err)
	if again != issuer {
		t.Errorf("enabled again, the issuer is %s, was %s", again, issuer)
	}
	if o, err = f.directory.OutboundIssuer(t.Context(), testAccount); err != nil || !o.Enabled {
		t.Errorf("enabled again: %+v, %v", o, err)
	}
}

func TestOutbound_Permission(t *testing.T) {
	t.Parallel()
	keys := &keyMaker{}
	f := newFixture(t, outbound(keys))
	nobody := f.user("nobody")
	denied := func(err error, action string) {
		t.Helper()
		f.refused(err, awserr.AccessDenied, "User: "+nobody.ARN+" is not authorized to perform: "+action+
			" on resource: * because no identity-based policy allows the "+action+" action")
	}
	_, err := f.enableOutbound(nobody)
	denied(err, "iam:EnableOutboundWebIdentityFederation")
	if keys.asked != 0 {
		t.Error("keys were made for somebody who may not enable the feature")
	}
	admin := f.user("admin", allow("*", "iam:EnableOutboundWebIdentityFederation", "iam:DisableOutboundWebIdentityFederation",
		"iam:GetOutboundWebIdentityFederationInfo"))
	_, err = f.enableOutbound(admin)
	f.ok(err)
	_, err = f.outboundInfo(nobody)
	denied(err, "iam:GetOutboundWebIdentityFederationInfo")
	denied(f.disableOutbound(nobody), "iam:DisableOutboundWebIdentityFederation")
	_, err = f.outboundInfo(admin)
	f.ok(err)
	f.ok(f.disableOutbound(admin))
}

// Without keys nothing is enabled: a token could not be signed.
func TestOutbound_NoKeys(t *testing.T) {
	t.Parallel()
	keys := &keyMaker{err: errors.New("no randomness")}
	f := newFixture(t, outbound(keys))
	if _, err := f.enableOutbound(f.root()); !errors.Is(err, keys.err) {
		t.Errorf("enable: %v", err)
	}
	_, err := f.outboundInfo(f.root())
	f.refused(err, awserr.FeatureDisabled, outboundOff)
	keys.err = nil
	_, err = f.enableOutbound(f.root())
	f.ok(err)
}

// Of those who enable it at once one does, and all see one issuer.
func TestOutbound_Race(t *testing.T) {
	t.Parallel()
	f := newFixture(t, outbound(&keyMaker{}))
	var all sync.WaitGroup
	issuers := make([]string, 8)
	for i := range issuers {
		all.Go(func() {
			issuer, err := f.enableOutbound(rootOf(testAccount))
			if err != nil && !errors.Is(err, awserr.FeatureEnabled) && !errors.Is(err, awserr.ConcurrentModification) {
				t.Error(err)
			}
			issuers[i] = issuer
			_, err = f.directory.OutboundIssuer(context.Background(), testAccount) // fills the cache with what may change under it
			if err != nil && !errors.Is(err, iam.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	info, err := f.outboundInfo(f.root())
	f.ok(err)
	made := 0
	for _, issuer := range issuers {
		if issuer != "" {
			made++
			if issuer != info.IssuerIdentifier {
				t.Errorf("issuer %s, not %s", issuer, info.IssuerIdentifier)
			}
		}
	}
	if made != 1 {
		t.Errorf("%d calls made the issuer", made)
	}
	if o, err := f.directory.OutboundIssuer(t.Context(), testAccount); err != nil || !o.Enabled {
		t.Errorf("the request path sees %+v, %v", o, err)
	}
}

func TestOutboundIssuerByID_Unknown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, outbound(&keyMaker{}))
	issuer, err := f.enableOutbound(f.root())
	f.ok(err)
	id := issuer[strings.LastIndexByte(issuer, '/')+1:]
	if _, err := f.directory.OutboundIssuerByID(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", testAccount, id[1:], id + "0", strings.ToUpper(id), "01234567-89ab-4def-8123-456789abcdef", strings.Repeat("x", 36)} {
		if o, err := f.directory.OutboundIssuerByID(t.Context(), id); !errors.Is(err, iam.ErrNotFound) {
			t.Errorf("%q: %+v, %v", id, o, err)
		}
	}
}
