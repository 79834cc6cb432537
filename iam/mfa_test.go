package iam_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
)

const (
	invalidCode = "Authentication code for device is not valid."
	mfaARNs     = "arn:aws:iam::111122223333:mfa/"
)

// devicesFixture is a fixture with codes, and an authenticator that remembers the seeds of the devices it was shown.
type devicesFixture struct {
	*fixture
	seeds map[string]string // by serial number
	codes *codes
}

// codes is session state, which a test may break.
type codes struct {
	*embedded.Store
	broken error
}

func (c *codes) Consume(ctx context.Context, name string, since, until time.Time) error {
	return errors.Join(c.broken, c.Store.Consume(ctx, name, since, until))
}

func newDevicesFixture(t *testing.T, configure ...func(*iam.Config)) *devicesFixture {
	t.Helper()
	now := func() time.Time { return testTime }
	store, err := embedded.New(embedded.Config{Dir: t.TempDir(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Found(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	f := &devicesFixture{seeds: make(map[string]string), codes: &codes{Store: store}}
	verifier := mfa.New(mfa.Config{Guard: session.Once{Guard: f.codes}, Throttle: f.codes, Now: now})
	f.fixture = newFixture(t, append(configure, func(cfg *iam.Config) { cfg.Codes = verifier })...)
	return f
}

// create makes a device and returns its serial number.
func (f *devicesFixture) create(name string) string {
	f.t.Helper()
	out, err := f.CreateVirtualMFADevice(f.t.Context(), f.root(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: name})
	f.ok(err)
	f.seeds[out.VirtualMFADevice.SerialNumber] = string(out.VirtualMFADevice.Base32StringSeed)
	return out.VirtualMFADevice.SerialNumber
}

// code is what a device shows so many steps from now.
func (f *devicesFixture) code(serial string, step int) secret.String {
	f.t.Helper()
	code, err := totp.GenerateCode(f.seeds[serial], testTime.Add(time.Duration(step)*30*time.Second))
	f.ok(err)
	return secret.New(code)
}

// enable assigns a device by its codes of the given step and the one before.
func (f *devicesFixture) enable(c *authn.Caller, user, serial string, step int) error {
	return f.EnableMFADevice(f.t.Context(), c, &iam.EnableMFADeviceInput{
		UserName: user, SerialNumber: serial, AuthenticationCode1: f.code(serial, step-1), AuthenticationCode2: f.code(serial, step),
	})
}

func (f *devicesFixture) deactivate(user, serial string) error {
	return f.DeactivateMFADevice(f.t.Context(), f.root(), &iam.DeactivateMFADeviceInput{UserName: user, SerialNumber: serial})
}

func (f *devicesFixture) delete(serial string) error {
	return f.DeleteVirtualMFADevice(f.t.Context(), f.root(), &iam.DeleteVirtualMFADeviceInput{SerialNumber: serial})
}

func TestCreateVirtualMFADevice(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t)
	in := &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: "alice", Path: "/ops/eu/", Tags: []iam.Tag{{Key: "team", Value: "red"}}}
	out, err := f.CreateVirtualMFADevice(t.Context(), f.root(), in)
	f.ok(err)
	d := out.VirtualMFADevice
	seed := string(d.Base32StringSeed)
	if d.SerialNumber != mfaARNs+"ops/eu/alice" || d.User != nil || !d.EnableDate.IsZero() || len(d.Tags) != 1 {
		t.Errorf("device %+v", d)
	}
	if len(seed) != 64 || strings.Trim(seed, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		t.Errorf("a seed of %d characters", len(seed))
	}
	if _, err := png.Decode(bytes.NewReader(d.QRCodePNG)); err != nil {
		t.Errorf("QR code: %v", err)
	}
	_, err = f.CreateVirtualMFADevice(t.Context(), f.root(), in)
	f.refused(err, awserr.EntityAlreadyExists, "MFADevice entity at the same path and name already exists.")
	in.Path = ""
	other, err := f.CreateVirtualMFADevice(t.Context(), f.root(), in)
	f.ok(err)
	if bytes.Equal(other.VirtualMFADevice.Base32StringSeed, d.Base32StringSeed) {
		t.Error("two devices have one seed")
	}
	if f.stored(seed) {
		t.Error("the seed is in the directory as it is")
	}
	for _, in := range []iam.CreateVirtualMFADeviceInput{
		{VirtualMFADeviceName: strings.Repeat("n", 225), Path: "/p/"}, {VirtualMFADeviceName: "n", Path: "/" + strings.Repeat("p", 250) + "/"},
		{VirtualMFADeviceName: "n", Path: "/a*b/"}, {VirtualMFADeviceName: "n", Path: "/a b/"},
	} {
		if _, err := f.CreateVirtualMFADevice(t.Context(), f.root(), &in); awserr.From(err).Kind != awserr.ValidationError {
			t.Errorf("path %q and a name of %d characters: %v", in.Path, len(in.VirtualMFADeviceName), err)
		}
	}
	_, err = f.CreateVirtualMFADevice(t.Context(), f.root(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: strings.Repeat("n", 226)})
	f.ok(err)
}

// stored reports whether a text is in a device's record.
func (f *devicesFixture) stored(text string) bool {
	f.t.Helper()
	found, seen := false, 0
	f.ok(f.directory.View(f.t.Context(), func(tx iam.Tx) error {
		records, err := tx.List(iam.Query{Kind: iam.KindMFADevice, Account: testAccount})
		for _, r := range records {
			seen++
			found = found || strings.Contains(string(r.Body), text)
		}
		return err
	}))
	if seen == 0 {
		f.t.Error("no device is stored")
	}
	return found
}

// A sealed seed does not open in another device's row.
func TestMFADevice_SeedIsBoundToItsRow(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t)
	alice := f.user("alice")
	serial := f.create("a")
	f.ok(f.enable(f.root(), "alice", serial, 0))
	if _, err := f.directory.MFADevice(t.Context(), testAccount, alice.UserID, serial); err != nil {
		t.Fatal(err)
	}
	swapped := mfaARNs + "b"
	f.ok(f.directory.Update(t.Context(), func(tx iam.Tx) error {
		r, err := tx.Get(iam.KindMFADevice, testAccount, "", serial)
		if err != nil {
			return err
		}
		r.Name, r.ID, r.Version = swapped, swapped, 0
		r.Body = bytes.ReplaceAll(r.Body, []byte(serial), []byte(swapped))
		return tx.Put(r)
	}))
	if d, err := f.directory.MFADevice(t.Context(), testAccount, alice.UserID, swapped); err == nil || errors.Is(err, authn.ErrUnknown) {
		t.Errorf("a seed of another row opens: %v, %v", d, err)
	}
}

func TestEnableMFADevice(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		user    string
		serial  string // empty: of the device
		codes   [2]int
		prepare func(*devicesFixture, string)
		kind    *awserr.Kind
		message string
	}{
		{name: "last code and this one", user: "alice", codes: [2]int{-1, 0}},
		{name: "this code and the next one", user: "alice", codes: [2]int{0, 1}},
		{name: "in the wrong order", user: "alice", codes: [2]int{0, -1}, kind: awserr.InvalidAuthenticationCode, message: invalidCode},
		{name: "one code twice", user: "alice", codes: [2]int{0, 0}, kind: awserr.InvalidAuthenticationCode, message: invalidCode},
		{name: "codes of long ago", user: "alice", codes: [2]int{-8, -7}, kind: awserr.InvalidAuthenticationCode, message: invalidCode},
		{name: "no such user", user: "zoe", codes: [2]int{-1, 0}, kind: awserr.NoSuchEntity, message: "The user with name zoe cannot be found."},
		{
			name: "no such device", user: "alice", serial: mfaARNs + "absent", codes: [2]int{-1, 0}, kind: awserr.NoSuchEntity,
			message: "MFA Device with serial number " + mfaARNs + "absent does not exist.",
		},
		{
			name: "device of another account", user: "alice", serial: "arn:aws:iam::444455556666:mfa/d", codes: [2]int{-1, 0},
			kind: awserr.NoSuchEntity, message: "MFA Device with serial number arn:aws:iam::444455556666:mfa/d does not exist.",
		},
		{
			name: "device in use", user: "alice", codes: [2]int{-1, 0},
			prepare: func(f *devicesFixture, serial string) { f.user("bob"); f.ok(f.enable(f.root(), "bob", serial, 1)) },
			kind:    awserr.EntityAlreadyExists, message: "MFA Device is already in use.",
		},
		{
			name: "a ninth device", user: "alice", codes: [2]int{-1, 0},
			prepare: func(f *devicesFixture, _ string) {
				for i := range 8 {
					f.ok(f.enable(f.root(), "alice", f.create(fmt.Sprintf("d%d", i)), 0))
				}
			},
			kind: awserr.LimitExceeded, message: "Cannot exceed quota for MFADevicesPerUser: 8",
		},
		{
			name: "guard out of reach", user: "alice", codes: [2]int{-1, 0},
			prepare: func(f *devicesFixture, _ string) { f.codes.broken = session.ErrUnavailable },
			kind:    awserr.ServiceUnavailable, message: "The request has failed due to a temporary failure of the server.",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newDevicesFixture(t)
			alice := f.user("alice")
			serial := f.create("d")
			if row.prepare != nil {
				row.prepare(f, serial)
			}
			in := &iam.EnableMFADeviceInput{
				UserName: row.user, SerialNumber: serial, AuthenticationCode1: f.code(serial, row.codes[0]), AuthenticationCode2: f.code(serial, row.codes[1]),
			}
			if row.serial != "" {
				in.SerialNumber = row.serial
			}
			err := f.EnableMFADevice(t.Context(), f.root(), in)
			device, lookup := f.directory.MFADevice(t.Context(), testAccount, alice.UserID, serial)
			if row.kind != nil {
				f.refused(err, row.kind, row.message)
				if !errors.Is(lookup, authn.ErrUnknown) {
					t.Errorf("the device is alice's: %v", lookup)
				}
				return
			}
			f.ok(err)
			f.ok(lookup)
			if device.Seed.Reveal() != f.seeds[serial] || device.Offset != 0 {
				t.Error("codes are judged with another seed")
			}
			out, err := f.GetMFADevice(t.Context(), f.root(), &iam.GetMFADeviceInput{SerialNumber: serial, UserName: "alice"})
			f.ok(err)
			want := &iam.GetMFADeviceOutput{UserName: "alice", SerialNumber: serial, EnableDate: testTime.Truncate(time.Second)}
			if diff := cmp.Diff(want, out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Racing calls with one pair of codes: one user gets the device, whichever it is.
func TestEnableMFADevice_Race(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t)
	f.user("alice")
	f.user("bob")
	serial := f.create("d")
	var passed atomic.Int32
	var racing sync.WaitGroup
	for i := range 8 {
		racing.Go(func() {
			switch err := f.enable(f.root(), []string{"alice", "bob"}[i%2], serial, 0); {
			case err == nil:
				passed.Add(1)
			case !slices.Contains([]*awserr.Kind{awserr.InvalidAuthenticationCode, awserr.EntityAlreadyExists}, awserr.From(err).Kind):
				t.Error(err)
			}
		})
	}
	racing.Wait()
	if passed.Load() != 1 {
		t.Errorf("%d of 8 calls passed", passed.Load())
	}
}

func TestMFADevice_Life(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t)
	alice := f.user("alice")
	f.user("bob")
	serial := f.create("d")
	f.refused(f.deactivate("alice", serial), awserr.NoSuchEntity, "MFA Device with serial number "+serial+" does not exist.")
	f.ok(f.enable(f.root(), "alice", serial, 0))
	f.refused(f.deactivate("bob", serial), awserr.NoSuchEntity, "MFA Device with serial number "+serial+" does not exist.")
	f.refused(f.delete(serial), awserr.DeleteConflict, "MFA VirtualDevice in use. Must deactivate first.")
	err := f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "alice"})
	f.refused(err, awserr.DeleteConflict, "Cannot delete entity, must delete MFA device first.")
	f.ok(f.deactivate("alice", serial))
	if _, err := f.directory.MFADevice(t.Context(), testAccount, alice.UserID, serial); !errors.Is(err, authn.ErrUnknown) {
		t.Errorf("a deactivated device is still alice's: %v", err)
	}
	if _, err := f.directory.MFADevice(t.Context(), testAccount, "", serial); !errors.Is(err, authn.ErrUnknown) {
		t.Errorf("a deactivated device is nobody's, and found: %v", err)
	}
	// The codes that enabled it once do not enable it again.
	f.refused(f.enable(f.root(), "bob", serial, 0), awserr.InvalidAuthenticationCode, invalidCode)
	f.ok(f.DeleteUser(t.Context(), f.root(), &iam.DeleteUserInput{UserName: "alice"}))
	f.ok(f.delete(serial))
	f.refused(f.delete(serial), awserr.NoSuchEntity, "MFA Device with serial number "+serial+" does not exist.")
	// A later device of the same name has codes of its own, none of them used.
	if again := f.create("d"); again != serial {
		t.Fatalf("serial number %s, want %s", again, serial)
	}
	f.ok(f.enable(f.root(), "bob", serial, 0))
}

func TestMFADevice_Root(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t)
	f.user("alice", allActions)
	serial := f.create("root-phone")
	f.ok(f.enable(f.root(), testAccount, serial, 0))
	if _, err := f.directory.MFADevice(t.Context(), testAccount, testAccount, serial); err != nil {
		t.Fatal(err)
	}
	list, err := f.ListMFADevices(t.Context(), f.root(), &iam.ListMFADevicesInput{})
	f.ok(err)
	if len(list.MFADevices) != 1 || list.MFADevices[0].UserName != "" || list.MFADevices[0].SerialNumber != serial {
		t.Errorf("root's devices %+v", list.MFADevices)
	}
	all, err := f.ListVirtualMFADevices(t.Context(), f.root(), &iam.ListVirtualMFADevicesInput{})
	f.ok(err)
	if user := all.VirtualMFADevices[0].User; user == nil || user.ARN != "arn:aws:iam::111122223333:root" || user.UserID != testAccount || user.UserName != "" {
		t.Errorf("root's device shows %+v", user)
	}
	admin := f.user("admin", allActions)
	err = f.DeactivateMFADevice(t.Context(), admin, &iam.DeactivateMFADeviceInput{UserName: testAccount, SerialNumber: serial})
	f.refused(err, awserr.NoSuchEntity, "The user with name 111122223333 cannot be found.") // nobody but root names root
	f.ok(f.deactivate("", serial))
	f.ok(f.delete(serial))
}

func TestResyncMFADevice(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t)
	alice := f.user("alice")
	serial := f.create("d")
	f.ok(f.enable(f.root(), "alice", serial, -1))
	resync := func(first, second int) error {
		return f.ResyncMFADevice(t.Context(), f.root(), &iam.ResyncMFADeviceInput{
			UserName: "alice", SerialNumber: serial, AuthenticationCode1: f.code(serial, first), AuthenticationCode2: f.code(serial, second),
		})
	}
	f.refused(resync(7, 9), awserr.InvalidAuthenticationCode, invalidCode)
	f.refused(resync(20, 21), awserr.InvalidAuthenticationCode, invalidCode)
	f.ok(resync(6, 7))
	device, err := f.directory.MFADevice(t.Context(), testAccount, alice.UserID, serial)
	f.ok(err)
	if device.Offset != 7 {
		t.Errorf("offset %d, want 7", device.Offset)
	}
	f.refused(resync(6, 7), awserr.InvalidAuthenticationCode, invalidCode) // used
	f.ok(resync(-12, -11))
	f.ok(f.deactivate("alice", serial))
	f.refused(resync(3, 4), awserr.NoSuchEntity, "MFA Device with serial number "+serial+" does not exist.")
	f.ok(f.enable(f.root(), "alice", serial, 1))
	if device, err = f.directory.MFADevice(t.Context(), testAccount, alice.UserID, serial); err != nil || device.Offset != 0 {
		t.Errorf("enabled anew: %v, %v, want no offset", device.Offset, err)
	}
}

// Codes cannot be guessed by enabling either.
func TestEnableMFADevice_Throttle(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t)
	f.user("alice")
	serial := f.create("d")
	for range 5 {
		f.refused(f.enable(f.root(), "alice", serial, 9), awserr.InvalidAuthenticationCode, invalidCode)
	}
	f.refused(f.enable(f.root(), "alice", serial, 0), awserr.InvalidAuthenticationCode, invalidCode)
}

func TestListVirtualMFADevices(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t)
	f.user("alice")
	var serials []string
	for i := range 5 {
		serials = append(serials, f.create(fmt.Sprintf("d%d", i)))
	}
	f.ok(f.enable(f.root(), "alice", serials[1], 0))
	f.ok(f.enable(f.root(), testAccount, serials[3], 0))
	for _, row := range []struct {
		status string
		want   []int
	}{{"", []int{0, 1, 2, 3, 4}}, {"Any", []int{0, 1, 2, 3, 4}}, {"Assigned", []int{1, 3}}, {"Unassigned", []int{0, 2, 4}}} {
		for _, size := range []int32{1, 2, 100} {
			var got, want []string
			in := &iam.ListVirtualMFADevicesInput{AssignmentStatus: row.status, PageInput: iam.PageInput{MaxItems: &size}}
			for {
				out, err := f.ListVirtualMFADevices(t.Context(), f.root(), in)
				f.ok(err)
				for _, d := range out.VirtualMFADevices {
					got = append(got, d.SerialNumber)
					if d.Base32StringSeed != nil || d.QRCodePNG != nil || d.Tags != nil {
						t.Errorf("%s shows seed or tags", d.SerialNumber)
					}
					if assigned := d.User != nil && !d.EnableDate.IsZero(); assigned != (d.SerialNumber == serials[1] || d.SerialNumber == serials[3]) {
						t.Errorf("%s: assigned %t", d.SerialNumber, assigned)
					}
				}
				if in.Marker = out.Marker; !out.IsTruncated {
					break
				}
			}
			for _, i := range row.want {
				want = append(want, serials[i])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q in pages of %d: %s", row.status, size, diff)
			}
		}
	}
}

func TestMFADevice_Tags(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t)
	serial := f.create("d")
	f.ok(f.TagMFADevice(t.Context(), f.root(), &iam.TagMFADeviceInput{SerialNumber: serial, Tags: []iam.Tag{{Key: "b", Value: "1"}, {Key: "A", Value: "2"}}}))
	f.ok(f.TagMFADevice(t.Context(), f.root(), &iam.TagMFADeviceInput{SerialNumber: serial, Tags: []iam.Tag{{Key: "B", Value: "3"}}}))
	list := func() []iam.Tag {
		out, err := f.ListMFADeviceTags(t.Context(), f.root(), &iam.ListMFADeviceTagsInput{SerialNumber: serial})
		f.ok(err)
		return out.Tags
	}
	if diff := cmp.Diff([]iam.Tag{{Key: "A", Value: "2"}, {Key: "B", Value: "3"}}, list()); diff != "" {
		t.Error(diff)
	}
	f.ok(f.UntagMFADevice(t.Context(), f.root(), &iam.UntagMFADeviceInput{SerialNumber: serial, TagKeys: []string{"a", "absent"}}))
	if diff := cmp.Diff([]iam.Tag{{Key: "B", Value: "3"}}, list()); diff != "" {
		t.Error(diff)
	}
	err := f.TagMFADevice(t.Context(), f.root(), &iam.TagMFADeviceInput{SerialNumber: serial, Tags: []iam.Tag{{Key: "x"}, {Key: "X"}}})
	f.refused(err, awserr.InvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
}

func TestVirtualMFADevices_Quota(t *testing.T) {
	t.Parallel()
	f := newDevicesFixture(t, quotas(func(q *iam.Quotas) { q.UsersPerAccount = 2 }))
	f.create("a")
	f.create("b")
	_, err := f.CreateVirtualMFADevice(t.Context(), f.root(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: "c"})
	f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for VirtualMFADevicesPerAccount: 2")
}

// Each operation asks for its action on the user or the device, and tells nothing before (AWS Service Authorization Reference, "Actions,
// resources, and condition keys for AWS IAM").
func TestMFADevice_Access(t *testing.T) {
	t.Parallel()
	const user, device = "arn:aws:iam::111122223333:user/alice", mfaARNs + "d"
	code := secret.New("000000")
	type call = func(f *devicesFixture, c *authn.Caller) error
	for _, row := range []struct {
		action, resource string
		call             call
		then             *awserr.Kind // what the caller is told who may; nil: it works
	}{
		{"CreateVirtualMFADevice", mfaARNs + "new", func(f *devicesFixture, c *authn.Caller) error {
			_, err := f.CreateVirtualMFADevice(f.t.Context(), c, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: "new"})
			return err
		}, nil},
		{"EnableMFADevice", user, func(f *devicesFixture, c *authn.Caller) error {
			return f.EnableMFADevice(f.t.Context(), c, &iam.EnableMFADeviceInput{
				UserName: "alice", SerialNumber: mfaARNs + "absent", AuthenticationCode1: code, AuthenticationCode2: code,
			})
		}, awserr.NoSuchEntity},
		{"ResyncMFADevice", user, func(f *devicesFixture, c *authn.Caller) error {
			return f.ResyncMFADevice(f.t.Context(), c, &iam.ResyncMFADeviceInput{
				UserName: "alice", SerialNumber: device, AuthenticationCode1: code, AuthenticationCode2: code,
			})
		}, awserr.NoSuchEntity},
		{"DeactivateMFADevice", user, func(f *devicesFixture, c *authn.Caller) error {
			return f.DeactivateMFADevice(f.t.Context(), c, &iam.DeactivateMFADeviceInput{UserName: "alice", SerialNumber: device})
		}, awserr.NoSuchEntity},
		{"GetMFADevice", user, func(f *devicesFixture, c *authn.Caller) error {
			_, err := f.GetMFADevice(f.t.Context(), c, &iam.GetMFADeviceInput{UserName: "alice", SerialNumber: device})
			return err
		}, awserr.NoSuchEntity},
		{"ListVirtualMFADevices", mfaARNs, func(f *devicesFixture, c *authn.Caller) error {
			_, err := f.ListVirtualMFADevices(f.t.Context(), c, &iam.ListVirtualMFADevicesInput{})
			return err
		}, nil},
		{"DeleteVirtualMFADevice", device, func(f *devicesFixture, c *authn.Caller) error {
			return f.DeleteVirtualMFADevice(f.t.Context(), c, &iam.DeleteVirtualMFADeviceInput{SerialNumber: device})
		}, nil},
		{"DeleteVirtualMFADevice", mfaARNs + "absent", func(f *devicesFixture, c *authn.Caller) error {
			return f.DeleteVirtualMFADevice(f.t.Context(), c, &iam.DeleteVirtualMFADeviceInput{SerialNumber: mfaARNs + "absent"})
		}, awserr.NoSuchEntity},
		{"TagMFADevice", device, func(f *devicesFixture, c *authn.Caller) error {
			return f.TagMFADevice(f.t.Context(), c, &iam.TagMFADeviceInput{SerialNumber: device, Tags: []iam.Tag{{Key: "k"}}})
		}, nil},
		{"UntagMFADevice", device, func(f *devicesFixture, c *authn.Caller) error {
			return f.UntagMFADevice(f.t.Context(), c, &iam.UntagMFADeviceInput{SerialNumber: device, TagKeys: []string{"k"}})
		}, nil},
		{"ListMFADeviceTags", device, func(f *devicesFixture, c *authn.Caller) error {
			_, err := f.ListMFADeviceTags(f.t.Context(), c, &iam.ListMFADeviceTagsInput{SerialNumber: device})
			return err
		}, nil},
	} {
		t.Run(row.action+" "+row.resource, func(t *testing.T) {
			t.Parallel()
			f := newDevicesFixture(t)
			f.user("alice")
			f.create("d")
			action := "iam:" + row.action
			err := row.call(f, f.user("elsewhere", allow("*", "iam:Other*"), allow(mfaARNs+"other", action)))
			e := awserr.From(err)
			if err == nil || e.Kind != awserr.AccessDenied || !strings.Contains(e.Message, action+" on resource: "+row.resource+" because ") {
				t.Fatalf("caller without the permission: %v", err)
			}
			err = row.call(f, f.user("allowed", allow(row.resource, action)))
			if row.then == nil {
				f.ok(err)
			} else if awserr.From(err).Kind != row.then {
				t.Errorf("caller with the permission: %v, want %s", err, row.then.Code)
			}
		})
	}
}
