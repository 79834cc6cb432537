package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/pquerna/otp/totp"
)

// device is an authenticator that holds a seed.
type device struct {
	t      *testing.T
	serial string
	seed   string
}

// device makes a virtual MFA device.
func (c *client) device(name string) *device {
	c.t.Helper()
	out, err := c.iam.CreateVirtualMFADevice(context.Background(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &name})
	if err != nil {
		c.t.Fatal(err)
	}
	return &device{t: c.t, serial: *out.VirtualMFADevice.SerialNumber, seed: string(out.VirtualMFADevice.Base32StringSeed)}
}

// code is what the device shows so many steps from now. No test waits for the clock: a step ahead is good too, and no step that was
// used before is reached again.
func (d *device) code(steps int) *string {
	d.t.Helper()
	code, err := totp.GenerateCode(d.seed, time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		d.t.Fatal(err)
	}
	return &code
}

// enable assigns the device to a user by the codes of the last step and this one.
func (c *client) enable(user string, d *device) error {
	first := d.code(-1)
	_, err := c.iam.EnableMFADevice(context.Background(), &iam.EnableMFADeviceInput{
		UserName: &user, SerialNumber: &d.serial, AuthenticationCode1: first, AuthenticationCode2: d.code(0),
	})
	return err
}

const (
	wrongMFA   = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
	unknownMFA = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
	onlyIfMFA  = `,"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`
)

// An unmodified SDK enables a device, signs in with a code, and assumes a role that asks for MFA; the code is good for nothing else, not even
// after a restart.
func TestSDK_MFA(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333")
	root := n.root()
	alice := root.user(n, "alice", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*"}]}`)
	bob := root.user(n, "bob", "")
	gated := root.role("gated", strings.Replace(trustFor("arn:aws:iam::111122223333:user/alice"), `}]}`, onlyIfMFA+`}]}`, 1))
	phone := root.device("phone")
	root.must(nil, root.enable("alice", root.device("other")))
	wantCode(t, root.enable("alice", &device{t: t, serial: phone.serial, seed: "ABCDEFG2"}), "InvalidAuthenticationCode", "")
	root.must(nil, root.enable("alice", phone))

	login := func(c *client, code *string) (*sts.GetSessionTokenOutput, error) {
		return c.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{SerialNumber: &phone.serial, TokenCode: code})
	}
	withCode := func(code *string) func(*sts.AssumeRoleInput) {
		return func(in *sts.AssumeRoleInput) { in.SerialNumber, in.TokenCode = &phone.serial, code }
	}
	code := phone.code(1)
	_, err := login(bob, code)
	wantCode(t, err, "AccessDenied", unknownMFA)
	_, err = login(alice, phone.code(20))
	wantCode(t, err, "AccessDenied", wrongMFA)
	_, err = alice.assume(gated, nil)
	wantCode(t, err, "AccessDenied", "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: sts:AssumeRole on resource: "+gated)
	out, err := login(alice, code)
	if err != nil {
		t.Fatal(err)
	}
	_, err = alice.assume(gated, withCode(code))
	wantCode(t, err, "AccessDenied", wrongMFA)
	session := n.with(out.Credentials)
	reader := n.with(session.mustAssume(gated, nil))
	_, err = reader.assume(gated, withCode(phone.code(1)))
	wantCode(t, err, "AccessDenied", unknownMFA)
	if list, err := session.iam.ListUsers(ctx, &iam.ListUsersInput{}); err != nil || len(list.Users) != 2 { // J7
		t.Errorf("IAM with a session made with MFA: %v, %v", list, err)
	}
	plain, err := alice.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.with(plain.Credentials).iam.ListUsers(ctx, &iam.ListUsersInput{}) // J6
	wantCode(t, err, "InvalidClientTokenId", "The security token included in the request is invalid")
	_, err = n.with(plain.Credentials).assume(gated, nil)
	wantCode(t, err, "AccessDenied", "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: sts:AssumeRole on resource: "+gated)

	devices, err := root.iam.ListVirtualMFADevices(ctx, &iam.ListVirtualMFADevicesInput{AssignmentStatus: iamtypes.AssignmentStatusTypeAssigned})
	if err != nil || len(devices.VirtualMFADevices) != 2 || aws.ToString(devices.VirtualMFADevices[1].User.UserName) != "alice" ||
		devices.VirtualMFADevices[1].Base32StringSeed != nil {
		t.Errorf("assigned devices: %+v, %v", devices, err)
	}
	n.stop()
	for _, secret := range []string{phone.seed, *code} {
		if strings.Contains(n.output.String(), secret) || auditHolds(t, dir, `"`+secret+`"`) {
			t.Error("log or audit holds a seed or a code")
		}
	}
	key, err := alice.sts.Options().Credentials.Retrieve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = login(start(t, dir).client(key.AccessKeyID, key.SecretAccessKey, ""), code)
	wantCode(t, err, "AccessDenied", wrongMFA)
}

// auditHolds reports whether a text is in the audit log.
func auditHolds(t *testing.T, dir, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "audit", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("audit files %v, %v", files, err)
	}
	found := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found = found || strings.Contains(string(content), text)
	}
	return found
}

// TestMFADocument runs the commands of docs/mfa.md as they are printed, with the aws CLI and oathtool as the authenticator, and reads the QR
// code with zbarimg.
func TestMFADocument(t *testing.T) {
	t.Parallel()
	needAWS(t)
	need(t, "oathtool", "zbarimg")
	out := runTour(t, "mfa.md", 6, "zbarimg --raw --quiet -Sdisable -Sqrcode.enable carol.png\n")
	for _, want := range []string{":mfa/carol-laptop", "AccessDenied", ":assumed-role/vault/carol", "otpauth://totp/carol@", "&issuer=stint"} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands do not show %q:\n%s", want, out)
		}
	}
}

// runTour runs the commands of a document, which has so many blocks of them at least, against a fresh node, and then some more. It returns what
// they print.
func runTour(t *testing.T, name string, blocks int, then string) string {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	_, tour, found := strings.Cut(string(document), "<!-- tour")
	parts := strings.Split(tour, "```sh\n")[1:]
	if !found || len(parts) < blocks {
		t.Fatalf("docs/%s has %d blocks", name, len(parts))
	}
	script := "set -euo pipefail\n"
	for _, part := range parts {
		commands, _, _ := strings.Cut(part, "```")
		script += commands
	}
	dir := t.TempDir()
	n := start(t, filepath.Join(dir, "stint-data"))
	c := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(script+then, "http://127.0.0.1:8470", n.url))
	c.Dir, c.Env = dir, environment("AWS_PAGER=")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// need skips the test where a program is missing; in CI it must be there.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: make tools", program)
		}
		t.Skipf("SKIPPED: %s is missing (make tools installs it)", program)
	}
}
