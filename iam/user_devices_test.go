package iam_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

func TestListMFADevices(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := f.user("alice", allActions)
	f.user("bob")
	f.devices(
		iam.MFADevice{Serial: "z", Owner: alice.UserID}, iam.MFADevice{Serial: "a", Owner: alice.UserID},
		iam.MFADevice{Serial: "r", Owner: testAccount}, iam.MFADevice{Serial: "free"},
	)
	enabled := testTime.Truncate(time.Second)
	for _, row := range []struct {
		name       string
		caller     *authn.Caller
		user       string
		wantUser   string
		wantSerial []string
	}{
		{"of a named user", f.root(), "alice", "alice", []string{"a", "z"}},
		{"of the calling user", alice, "", "alice", []string{"a", "z"}},
		{"of root", f.root(), "", "", []string{"r"}},
		{"of a user without any", f.root(), "bob", "bob", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var want []iam.MFADeviceInfo
			for _, serial := range row.wantSerial {
				want = append(want, iam.MFADeviceInfo{
					UserName: row.wantUser, SerialNumber: "arn:aws:iam::111122223333:mfa/" + serial, EnableDate: enabled,
				})
			}
			out, err := f.ListMFADevices(t.Context(), row.caller, &iam.ListMFADevicesInput{UserName: row.user})
			f.ok(err)
			if diff := cmp.Diff(want, out.MFADevices); diff != "" {
				t.Error(diff)
			}
		})
	}
	err := f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "alice"})
	f.refused(err, awserr.DeleteConflict, "Cannot delete entity, must delete MFA device first.")
	size := int32(1)
	in := &iam.ListMFADevicesInput{UserName: "alice", PageInput: iam.PageInput{MaxItems: &size}}
	first, err := f.ListMFADevices(t.Context(), f.root(), in)
	f.ok(err)
	in.Marker = first.Marker
	second, err := f.ListMFADevices(t.Context(), f.root(), in)
	f.ok(err)
	if !first.IsTruncated || second.IsTruncated || first.MFADevices[0] == second.MFADevices[0] {
		t.Errorf("pages %+v and %+v", first, second)
	}
}

// Tools ask for these before they delete a user: the answer for a user that exists is empty, for another NoSuchEntity.
func TestCredentialsThatStintDoesNotHave(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice")
	for _, row := range []struct {
		name string
		call func(t *testing.T, user string) (truncated bool, items int, err error)
	}{
		{"signing certificates", func(t *testing.T, user string) (bool, int, error) {
			out, err := f.ListSigningCertificates(t.Context(), f.root(), &iam.ListSigningCertificatesInput{UserName: user})
			if err != nil {
				return false, 0, err
			}
			return out.IsTruncated, len(out.Certificates), nil
		}},
		{"SSH public keys", func(t *testing.T, user string) (bool, int, error) {
			out, err := f.ListSSHPublicKeys(t.Context(), f.root(), &iam.ListSSHPublicKeysInput{UserName: user})
			if err != nil {
				return false, 0, err
			}
			return out.IsTruncated, len(out.SSHPublicKeys), nil
		}},
		{"service-specific credentials", func(t *testing.T, user string) (bool, int, error) {
			in := &iam.ListServiceSpecificCredentialsInput{UserName: user}
			out, err := f.ListServiceSpecificCredentials(t.Context(), f.root(), in)
			if err != nil {
				return false, 0, err
			}
			return out.IsTruncated, len(out.ServiceSpecificCredentials), nil
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			truncated, items, err := row.call(t, "alice")
			f.ok(err)
			if truncated || items != 0 {
				t.Errorf("%d items, truncated %t", items, truncated)
			}
			_, _, err = row.call(t, "zoe")
			refused(t, err, awserr.NoSuchEntity, "The user with name zoe cannot be found.")
		})
	}
	_, err := f.GetLoginProfile(t.Context(), f.root(), &iam.GetLoginProfileInput{UserName: "ALICE"})
	f.refused(err, awserr.NoSuchEntity, "Login Profile for User alice cannot be found.")
	_, err = f.GetLoginProfile(t.Context(), f.root(), &iam.GetLoginProfileInput{UserName: "zoe"})
	f.refused(err, awserr.NoSuchEntity, "The user with name zoe cannot be found.")
	_, err = f.ListServiceSpecificCredentials(t.Context(), f.root(), &iam.ListServiceSpecificCredentialsInput{AllUsers: true})
	f.ok(err)
	both := &iam.ListServiceSpecificCredentialsInput{AllUsers: true, UserName: "alice"}
	_, err = f.ListServiceSpecificCredentials(t.Context(), f.root(), both)
	f.refused(err, awserr.ValidationError, "UserName and AllUsers cannot be given together.")
}
