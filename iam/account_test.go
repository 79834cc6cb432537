package iam_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

func TestCreateAccount(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	created, err := f.CreateAccount(t.Context(), iam.CreateAccount{Name: "second"})
	f.ok(err)
	id := created.Account.ID
	if !arn.ValidAccount(id) || id[0] == '0' || created.Account.Name != "second" {
		t.Errorf("created %+v", created.Account)
	}
	if want := testTime.Truncate(time.Second); !created.Account.CreateDate.Equal(want) {
		t.Errorf("created at %s, want %s", created.Account.CreateDate, want)
	}
	keys, err := f.ListAccessKeys(t.Context(), rootOf(id), &iam.ListAccessKeysInput{})
	f.ok(err)
	if len(keys.AccessKeyMetadata) != 1 || keys.AccessKeyMetadata[0].AccessKeyID != created.AccessKeyID {
		t.Errorf("root has keys %+v, want %s", keys.AccessKeyMetadata, created.AccessKeyID)
	}
	if len(created.SecretAccessKey.Reveal()) != 40 {
		t.Errorf("secret has %d characters", len(created.SecretAccessKey.Reveal()))
	}
	got, err := f.Account(t.Context(), id)
	f.ok(err)
	if got.ID != id || got.Name != "second" {
		t.Errorf("Account: %+v", got)
	}
	all, err := f.ListAccounts(t.Context())
	f.ok(err)
	if len(all) != 2 || all[0].ID >= all[1].ID {
		t.Errorf("ListAccounts: %+v", all)
	}
}

func TestCreateAccount_Refuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.CreateAccount(t.Context(), iam.CreateAccount{ID: testAccount})
	if !errors.Is(err, iam.ErrAccountExists) || !strings.Contains(err.Error(), testAccount) {
		t.Errorf("an id that exists: %v", err)
	}
	for _, in := range []iam.CreateAccount{
		{ID: "12345678901"},
		{ID: "12345678901x"},
		{Name: strings.Repeat("é", 51)},
		{Name: "\xff"},
	} {
		if _, err := f.CreateAccount(t.Context(), in); err == nil {
			t.Errorf("%+v was accepted", in)
		}
	}
	_, err = f.CreateAccount(t.Context(), iam.CreateAccount{ID: "012345678901", Name: strings.Repeat("é", 50)})
	f.ok(err)
	if _, err := f.Account(t.Context(), "999999999999"); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("an account that does not exist: %v", err)
	}
}

func TestAccountAlias(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := f.other()
	create := func(c *authn.Caller, alias string) error {
		return f.CreateAccountAlias(t.Context(), c, &iam.CreateAccountAliasInput{AccountAlias: alias})
	}
	remove := func(c *authn.Caller, alias string) error {
		return f.DeleteAccountAlias(t.Context(), c, &iam.DeleteAccountAliasInput{AccountAlias: alias})
	}
	has := func(c *authn.Caller, want ...string) {
		t.Helper()
		out, err := f.ListAccountAliases(t.Context(), c, &iam.ListAccountAliasesInput{})
		f.ok(err)
		if fmt.Sprint(out.AccountAliases) != fmt.Sprint(want) || out.IsTruncated {
			t.Errorf("aliases %v, want %v", out.AccountAliases, want)
		}
	}
	has(f.root())
	f.ok(create(f.root(), "acme"))
	f.ok(create(f.root(), "acme")) // again
	has(f.root(), "acme")
	f.refused(create(other, "acme"), awserr.EntityAlreadyExists, "The account alias acme already exists.")
	f.refused(remove(other, "acme"), awserr.NoSuchEntity, "The account alias acme cannot be found.")
	f.ok(create(f.root(), "acme-2")) // replaces, and frees the old one
	has(f.root(), "acme-2")
	f.ok(create(other, "acme"))
	f.refused(create(f.root(), "123456789012"), awserr.ValidationError, "An account alias cannot be 12 digits.")
	f.refused(remove(f.root(), "acme"), awserr.NoSuchEntity, "The account alias acme cannot be found.")
	f.ok(remove(f.root(), "acme-2"))
	has(f.root())
	has(other, "acme")
}

func TestGetAccountSummary(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice")
	f.user("bob")
	f.group("g", "")
	policy, err := f.CreatePolicy(t.Context(), f.root(), &iam.CreatePolicyInput{PolicyName: "p", PolicyDocument: allActions})
	f.ok(err)
	for _, name := range []string{"used", "bounds"} {
		_, err := f.CreatePolicy(t.Context(), f.root(), &iam.CreatePolicyInput{PolicyName: name, PolicyDocument: allActions})
		f.ok(err)
	}
	prefix := strings.TrimSuffix(policy.Policy.ARN, "p")
	for _, name := range []string{prefix + "used", "arn:aws:iam::aws:policy/ReadOnlyAccess"} {
		for _, user := range []string{"alice", "bob"} {
			f.ok(f.AttachUserPolicy(t.Context(), f.root(), &iam.AttachUserPolicyInput{UserName: user, PolicyARN: name}))
		}
	}
	f.ok(f.PutUserPermissionsBoundary(t.Context(), f.root(), &iam.PutUserPermissionsBoundaryInput{
		UserName: "alice", PermissionsBoundary: prefix + "bounds",
	}))
	f.devices(iam.MFADevice{Serial: "a"}, iam.MFADevice{Serial: "b", Owner: testAccount}, iam.MFADevice{Serial: "c", Owner: "AIDAX"})
	out, err := f.GetAccountSummary(t.Context(), f.root(), &iam.GetAccountSummaryInput{})
	f.ok(err)
	want := map[string]int{
		"Users": 2, "UsersQuota": 5000, "Groups": 1, "GroupsQuota": 300, "Roles": 0, "RolesQuota": 1000,
		"Policies": 3, "PoliciesQuota": 1500, "PolicySizeQuota": 6144, "PolicyVersionsInUse": 3, "PolicyVersionsInUseQuota": 10000,
		"VersionsPerPolicyQuota": 5, "UserPolicySizeQuota": 2048, "GroupPolicySizeQuota": 5120, "RolePolicySizeQuota": 10240,
		"AssumeRolePolicySizeQuota": 2048, "AttachedPoliciesPerUserQuota": 10, "AttachedPoliciesPerGroupQuota": 10,
		"AttachedPoliciesPerRoleQuota": 10, "GroupsPerUserQuota": 10, "AccessKeysPerUserQuota": 2,
		"SigningCertificatesPerUserQuota": 0, "ServerCertificates": 0, "ServerCertificatesQuota": 0,
		"InstanceProfiles": 0, "InstanceProfilesQuota": 1000, "Providers": 0, "MFADevices": 3, "MFADevicesInUse": 2,
		"AccountMFAEnabled": 1, "AccountAccessKeysPresent": 1, "AccountPasswordPresent": 0, "AccountSigningCertificatesPresent": 0,
		"GlobalEndpointTokenVersion": 2,
	}
	if diff := cmp.Diff(want, out.SummaryMap); diff != "" {
		t.Error(diff)
	}
	empty, err := f.GetAccountSummary(t.Context(), f.other(), &iam.GetAccountSummaryInput{})
	f.ok(err)
	for _, key := range []string{"Users", "Groups", "Policies", "PolicyVersionsInUse", "MFADevices", "AccountMFAEnabled"} {
		if empty.SummaryMap[key] != 0 {
			t.Errorf("another account has %s = %d", key, empty.SummaryMap[key])
		}
	}
}

// devices stores MFA devices of the account.
func (f *fixture) devices(devices ...iam.MFADevice) {
	f.t.Helper()
	f.ok(f.directory.Update(f.t.Context(), func(tx iam.Tx) error {
		for _, d := range devices {
			d.Account, d.EnableDate = testAccount, testTime.Truncate(time.Second)
			d.Serial = arn.Entity(testAccount, "mfa", "/", d.Serial)
			if err := iam.PutMFADevice(tx, d); err != nil {
				return err
			}
		}
		return nil
	}))
}
