package main_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/stint-sts/stint/federation/samltest"
	directory "github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/iam/store/pgtest"
	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/session/redistest"
)

const (
	formerMaster = "c3RpbnQgdGVzdCBtYXN0ZXIga2V5IDMyIGJ5dGVzISE=\n"
	freshMaster  = "YW5vdGhlciB0ZXN0IG1hc3RlciBrZXkgMzIgYnl0ZXM=\n"

	samlACS = "https://sts.example.com/saml/acs"
)

// masterKeys are the files of a former and a new master key.
type masterKeys struct{ former, fresh string }

func newMasterKeys(t *testing.T) masterKeys {
	t.Helper()
	dir := t.TempDir()
	k := masterKeys{filepath.Join(dir, "former.key"), filepath.Join(dir, "fresh.key")}
	write(t, k.former, formerMaster)
	write(t, k.fresh, freshMaster)
	return k
}

func (k masterKeys) onlyFormer() []string { return []string{"--master-key", "file:" + k.former} }
func (k masterKeys) onlyFresh() []string  { return []string{"--master-key", "file:" + k.fresh} }
func (k masterKeys) both() []string {
	return append(k.onlyFresh(), "--master-key-previous", "file:"+k.former)
}

// sealedWorld uses everything that rests on a sealed value.
type sealedWorld struct {
	t        *testing.T
	role     string
	alice    *client
	session  *ststypes.Credentials // minted in the beginning
	phones   []*device             // each is good for one sign-in: a code works once
	idp      *samltest.IdP
	key      *rsa.PublicKey
	provider string
	saml     string // role
	password string
	used     int
}

func newSealedWorld(t *testing.T, n *node, phones int) *sealedWorld {
	t.Helper()
	ctx := t.Context()
	root := n.root()
	w := &sealedWorld{t: t, password: "Correct Horse 0"}
	w.alice = root.user(n, "alice", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:ChangePassword","sts:GetWebIdentityToken"],"Resource":"*"}]}`)
	w.role = root.role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	for i := range phones {
		name := fmt.Sprintf("phone-%d", i)
		d := root.device(name)
		root.must(nil, root.enable("alice", d))
		w.phones = append(w.phones, d)
	}
	root.must(root.iam.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: aws.String("alice"), Password: &w.password}))
	w.idp = samltest.New(t, "https://idp.example.com")
	key, pem := samltest.EncryptionKey(t)
	w.key = &key.PublicKey
	provider, err := root.iam.CreateSAMLProvider(ctx, &iam.CreateSAMLProviderInput{
		Name: aws.String("corp"), SAMLMetadataDocument: aws.String(w.idp.Metadata()), AddPrivateKey: &pem,
		AssertionEncryptionMode: iamtypes.AssertionEncryptionModeTypeRequired,
	})
	root.must(provider, err)
	w.provider = *provider.SAMLProviderArn
	w.saml = root.role("people", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+w.provider+
		`"},"Action":"sts:AssumeRoleWithSAML","Condition":{"StringEquals":{"SAML:aud":"`+samlACS+`"}}}]}`)
	root.enableOutbound()
	w.session = w.alice.mustAssume(w.role, nil)
	return w
}

// works fails the test unless everything does on the node.
func (w *sealedWorld) works(when string, n *node) {
	w.t.Helper()
	ctx := w.t.Context()
	alice := w.alice.at(n)
	check := func(what string, err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatalf("%s: %s: %v\n%s", when, what, err, n.output)
		}
	}
	_, err := alice.assume(w.role, nil)
	check("an access key", err)
	if got := n.with(w.session).identity(); !strings.HasSuffix(got, "assumed-role/worker/session") {
		w.t.Fatalf("%s: the session of the beginning is %s", when, got)
	}
	phone := w.phones[w.used]
	_, err = alice.sts.GetSessionToken(ctx, &sts.GetSessionTokenInput{SerialNumber: &phone.serial, TokenCode: phone.code(1)})
	check("a code", err)
	w.used++
	next := fmt.Sprintf("Correct Horse %d", w.used)
	_, err = alice.iam.ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: &w.password, NewPassword: &next})
	check("a password", err)
	w.password = next
	_, err = alice.identityToken("ES384", nil)
	check("an identity token", err)
	r := w.idp.Good(time.Now(), samlACS)
	r.Attributes[samltest.AttributePrefix+"Role"] = []string{w.saml + "," + w.provider}
	r.Encrypt = &samltest.Encryption{Cipher: "aes256-gcm", To: w.key}
	assertion := w.idp.Encode(w.t, r)
	_, err = alice.sts.AssumeRoleWithSAML(ctx, &sts.AssumeRoleWithSAMLInput{RoleArn: &w.saml, PrincipalArn: &w.provider, SAMLAssertion: &assertion})
	check("an encrypted assertion", err)
}

// refused checks that a start with the arguments ends with an error that says what to do.
func refused(t *testing.T, when, dir, want string, args ...string) {
	t.Helper()
	_, errs, code := run(t, "", append([]string{"serve", "--data-dir", dir, "--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0",
		"--listen-ops", "127.0.0.1:0"}, args...)...)
	if code == 0 || !strings.Contains(errs, want) {
		t.Errorf("%s, with %v: exit %d, %s", when, args, code, errs)
	}
	if strings.Contains(errs, formerMaster[:20]) || strings.Contains(errs, freshMaster[:20]) {
		t.Errorf("%s: the error holds a master key: %s", when, errs)
	}
}

func rewrap(t *testing.T, n *node, args ...string) (r server.Rewrapped, errs string, code int) {
	t.Helper()
	out, errs, code := run(t, "", append([]string{"keys", "rewrap", "--data-dir", n.dir, "--output", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	return r, errs, code
}

// damage alters the sealed secret of an access key in the directory of a server that is stopped.
func damage(t *testing.T, path, keyID string) {
	t.Helper()
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx directory.Tx) error {
		r, err := tx.ByID(directory.KindAccessKey, keyID)
		if err != nil {
			return err
		}
		r.Body = bytes.Replace(r.Body, []byte(`"SealedSecret":"`), []byte(`"SealedSecret":"AAAA`), 1)
		return tx.Put(r)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// The master key of a running server is replaced as docs/operations.md says, and the server is killed in the middle of it.
func TestRewrap(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	config := filepath.Join(t.TempDir(), "stint.yaml")
	write(t, config, "saml:\n  acs-url: ["+samlACS+"]\n")
	keys := newMasterKeys(t)
	args := func(master []string) []string { return append([]string{"--config", config}, master...) }

	n := start(t, dir, append(args(keys.onlyFormer()), "--account-id", "111122223333")...)
	w := newSealedWorld(t, n, 5)
	w.works("before", n)
	mallory := n.root().user(n, "mallory", "").credentials().AccessKeyID
	if r, _, code := rewrap(t, n, "--check"); code != 0 || r.Values < 10 || r.Remaining != 0 {
		t.Errorf("a check in the beginning: exit %d, %+v", code, r)
	}
	n.stop()
	damage(t, filepath.Join(dir, "directory.db"), mallory)
	refused(t, "before", dir, "--master-key-previous", args(keys.onlyFresh())...)
	refused(t, "before", dir, "is the same as", args(append(keys.onlyFormer(), "--master-key-previous", "file:"+keys.former))...)

	n = start(t, dir, args(keys.both())...)
	w.works("with both keys", n)
	if r, errs, code := rewrap(t, n, "--check"); code != 1 || r.Remaining != 10 || !strings.Contains(errs, "still needed") {
		t.Errorf("a check before: exit %d, %+v, %s", code, r, errs)
	}

	// Killed after the third record.
	c := stint(context.Background(), "keys", "rewrap", "--data-dir", dir, "--batch", "1", "--pause", "300ms")
	progress, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(progress)
	for range 3 {
		if !lines.Scan() {
			t.Fatal("the rewrapping ended early")
		}
	}
	n.kill()
	rest := ""
	for lines.Scan() {
		rest += lines.Text()
	}
	if err := c.Wait(); err == nil || !strings.Contains(rest, "run the command again") {
		t.Errorf("the server was killed: %v, %s", err, rest)
	}
	refused(t, "in the middle", dir, "give that one with --master-key-previous", args(keys.onlyFresh())...)
	refused(t, "in the middle", dir, "is under", args(keys.onlyFormer())...)

	n = start(t, dir, args(keys.both())...)
	w.works("in the middle", n)

	// A value that does not open does not keep the rest, and is named.
	r, errs, code := rewrap(t, n)
	if code != 1 || r.Remaining != 1 || len(r.Unopened) != 1 || !strings.Contains(r.Unopened[0], mallory) || !strings.Contains(errs, "still needed") {
		t.Errorf("with a damaged value: exit %d, %+v, %s", code, r, errs)
	}
	if again, _, code := rewrap(t, n); code != 1 || again.Resealed != 0 {
		t.Errorf("with a damaged value, again: exit %d, %+v", code, again)
	}
	sealed := r.Resealed
	root := n.root()
	root.must(root.iam.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: aws.String("mallory"), AccessKeyId: &mallory}))
	r, _, code = rewrap(t, n)
	r.Resealed += sealed
	if code != 0 || r.Remaining != 0 || r.Resealed == 0 || r.Resealed >= r.Values || r.Former != "" {
		t.Errorf("the second run: exit %d, %+v", code, r)
	}
	if again, _, code := rewrap(t, n); code != 0 || again.Resealed != 0 || again.Values != r.Values {
		t.Errorf("a third run: exit %d, %+v", code, again)
	}
	w.works("after", n)
	n.stop()
	refused(t, "after", dir, "is under", args(keys.onlyFormer())...)
	n = start(t, dir, args(keys.onlyFresh())...)
	w.works("without the former key", n)
	if r, _, code := rewrap(t, n, "--check"); code != 0 || r.Remaining != 0 {
		t.Errorf("a check at the end: exit %d, %+v", code, r)
	}
}

// steady calls f over and over until it is stopped, which tells how often, and fails the test on the first error.
func steady(t *testing.T, what string, f func() error) (stop func() int) {
	t.Helper()
	var ended atomic.Bool
	var calls int
	var running sync.WaitGroup
	running.Go(func() {
		for !ended.Load() {
			if err := f(); err != nil {
				t.Errorf("%s, call %d: %v", what, calls, err)
				return
			}
			calls++
		}
	})
	stop = func() int {
		ended.Store(true)
		running.Wait()
		return calls
	}
	t.Cleanup(func() { stop() })
	return stop
}

// Two nodes on one PostgreSQL get a new master key one after the other, while the one that is not being restarted serves, and both make
// access keys while everything is sealed anew.
func TestRewrap_Postgres(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	keys := newMasterKeys(t)
	config := filepath.Join(t.TempDir(), "stint.yaml")
	write(t, config, "database: "+pgtest.Database(t)+"\nredis: "+redistest.Start(t).URL()+"\nsaml:\n  acs-url: ["+samlACS+"]\nkeys:\n  publish-delay: 3s\n")
	args := func(master []string) []string { return append([]string{"--config", config}, master...) }
	nodes := cluster(t, 2, args(nil)...) // with the former key, as cluster has it
	a, b := nodes[0], nodes[1]
	w := newSealedWorld(t, a, 6)
	until(t, "the other node knows alice", func() bool { _, err := w.alice.at(b).assume(w.role, nil); return err == nil })
	w.works("before", b)

	serves := func(n *node) func() int {
		on, session := w.alice.at(n), n.with(w.session)
		return steady(t, "while the other node restarts", func() error {
			if _, err := session.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
				return err
			}
			creds, err := on.assume(w.role, nil)
			if err != nil {
				return err
			}
			_, err = n.with(creds).sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			return err
		})
	}
	restart := func(n, other *node, master []string) *node {
		stop := serves(other)
		n.stop()
		n = start(t, n.dir, args(master)...)
		if calls := stop(); calls == 0 {
			t.Error("the other node answered no call")
		}
		return n
	}
	a = restart(a, b, keys.both())
	w.works("on the node with both keys", a)
	w.works("on the node with the former key", b) // it reads what the other one has just sealed
	b = restart(b, a, keys.both())

	// A node that the operator forgets.
	left := start(t, filepath.Join(t.TempDir(), "data"), args(keys.onlyFormer())...)
	w.works("on the node that is forgotten", left)

	root := a.root()
	made := make(chan string, 1000)
	var stops []func() int
	for i, n := range []*node{a, b} {
		on := root.at(n)
		name := fmt.Sprintf("maker-%d", i)
		root.must(root.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}))
		until(t, "the user on both nodes", func() bool {
			_, err := on.iam.GetUser(ctx, &iam.GetUserInput{UserName: &name})
			return err == nil
		})
		stops = append(stops, steady(t, "access keys", func() error {
			out, err := on.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
			if err != nil {
				return err
			}
			made <- *out.AccessKey.AccessKeyId
			_, err = on.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &name, AccessKeyId: out.AccessKey.AccessKeyId})
			return err
		}), serves(n))
	}
	r, errs, code := rewrap(t, b, "--batch", "3", "--pause", "50ms")
	if code != 0 || r.Remaining != 0 || r.Resealed == 0 {
		t.Errorf("rewrap: exit %d, %+v, %s", code, r, errs)
	}
	calls := 0
	for _, stop := range stops {
		calls += stop()
	}
	t.Logf("%d values sealed anew, %d calls and %d new access keys meanwhile", r.Resealed, calls, len(made))
	if r, errs, code := rewrap(t, a, "--check"); code != 0 || r.Remaining != 0 {
		t.Errorf("on the other node: exit %d, %+v, %s", code, r, errs)
	}
	until(t, "the node that was forgotten is not ready", func() bool { return strings.Contains(fetch(t, left.ops+"/readyz"), "keys") })
	_, err := w.alice.at(left).assume(w.role, nil)
	wantCode(t, err, "ServiceUnavailable", "")
	left.stop()
	if !strings.Contains(left.output.String(), "--master-key-previous") {
		t.Errorf("the node that was forgotten does not say why:\n%s", left.output)
	}
	a = restart(a, b, keys.onlyFresh())
	b = restart(b, a, keys.onlyFresh())
	w.works("without the former key", a)
	refused(t, "after", filepath.Join(t.TempDir(), "data"), "give every node the same", args(keys.onlyFormer())...)
}
