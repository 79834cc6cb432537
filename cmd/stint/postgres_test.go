package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/stint-sts/stint/iam/store/pgtest"
	"github.com/stint-sts/stint/session/redistest"
	"github.com/stint-sts/stint/signer"
)

// cluster starts nodes at the same time, on one empty database with one master key. The first of the result is the one that made
// the first account.
func cluster(t *testing.T, size int, args ...string) []*node {
	t.Helper()
	key := filepath.Join(t.TempDir(), "master.key")
	write(t, key, "c3RpbnQgdGVzdCBtYXN0ZXIga2V5IDMyIGJ5dGVzISE=\n")
	args = append([]string{"--account-id", "111122223333", "--master-key", "file:" + key}, args...)
	nodes := make([]*node, size)
	for i := range nodes {
		nodes[i] = launch(t, filepath.Join(t.TempDir(), "data"), args...)
	}
	made := 0
	for i, n := range nodes {
		n.await()
		if strings.Contains(n.output.String(), "aws_secret_access_key = ") {
			made++
			nodes[0], nodes[i] = nodes[i], nodes[0]
		}
	}
	if made != 1 {
		t.Fatalf("%d of %d nodes made the first account", made, size)
	}
	return nodes
}

// withPassword keeps the database's password out of the command line.
func withPassword(t *testing.T, url string) []string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "stint.yaml")
	write(t, config, "database: "+url+"\n")
	return []string{"--config", config}
}

// Three nodes on one PostgreSQL and one Redis are one installation.
func TestServe_Postgres(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := redistest.Start(t)
	url := pgtest.Database(t)
	nodes := cluster(t, 3, append(withPassword(t, url), "--redis", r.URL())...)
	a, b := nodes[0], nodes[1]
	root := a.root()
	alice := root.user(a, "alice", "")
	role := root.role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	keys, err := root.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: aws.String("alice")})
	root.must(keys, err)

	// What one node wrote, every node sees.
	began := time.Now()
	for _, n := range nodes {
		on := alice.at(n)
		until(t, "alice and the role on every node", func() bool { _, err := on.assume(role, nil); return err == nil })
	}
	creds := alice.at(b).mustAssume(role, nil)
	if got := nodes[2].with(creds).identity(); !strings.HasSuffix(got, "assumed-role/worker/session") {
		t.Errorf("a session of one node is %s on another", got)
	}
	t.Logf("a user and a role were usable on all three nodes after %v", time.Since(began))

	// And what every node has cached, it forgets.
	began = time.Now()
	root.must(root.iam.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{
		UserName: aws.String("alice"), AccessKeyId: keys.AccessKeyMetadata[0].AccessKeyId, Status: iamtypes.StatusTypeInactive,
	}))
	for _, n := range nodes {
		on := alice.at(n)
		until(t, "the key is inactive on every node", func() bool { _, err := on.assume(role, nil); return err != nil })
	}
	t.Logf("an access key was inactive on all three nodes after %v", time.Since(began))

	// Who passes on the version that a write answered waits for nothing.
	for i := range 10 {
		name := fmt.Sprintf("user-%d", i)
		root.must(root.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}))
		key, err := root.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
		root.must(key, err)
		version := versionOf(t, key.ResultMetadata)
		on := b.client(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
		out, err := on.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("X-Stint-Version", version))
		})
		if err != nil || !strings.HasSuffix(*out.Arn, name) {
			t.Fatalf("with version %s: %v", version, err)
		}
	}
	for version, code := range map[string]string{"1000000": "ServiceUnavailable", "lunch": "ValidationError"} {
		_, err := root.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("X-Stint-Version", version))
		})
		wantCode(t, err, code, "")
	}

	// A key that one node prepares, the others know long before it signs.
	must(t, "keys", "rotate", "--data-dir", a.dir)
	until(t, "the prepared key on another node", func() bool {
		var all []signer.KeyInfo
		if err := json.Unmarshal([]byte(must(t, "keys", "list", "--data-dir", b.dir, "--output", "json")), &all); err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			if k.Purpose == signer.TokenKey && k.State == signer.Prepared {
				return true
			}
		}
		return false
	})
	for _, n := range nodes {
		if strings.Contains(n.output.String(), "pgtest-password") {
			t.Errorf("the database's password is in the output:\n%s", n.output)
		}
	}
}

func versionOf(t *testing.T, m middleware.Metadata) string {
	t.Helper()
	response, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response)
	if !ok || response.Header.Get("X-Stint-Version") == "" {
		t.Fatal("a write answers without a version")
	}
	return response.Header.Get("X-Stint-Version")
}

// Without its database a node goes on with what it knows, and finds back by itself.
func TestServe_PostgresLost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := pgtest.Start(t)
	url := p.Database(t)
	nodes := cluster(t, 2, withPassword(t, url)...)
	a, b := nodes[0], nodes[1]
	root := a.root()
	alice := root.user(a, "alice", "")
	role := root.role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	creds := alice.mustAssume(role, nil)
	until(t, "root on the other node", func() bool {
		_, err := root.at(b).iam.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("alice")})
		return err == nil
	})

	p.Kill()
	for range 3 {
		if _, err := alice.assume(role, nil); err != nil {
			t.Errorf("without the database: %v\n%s", err, a.output)
		}
	}
	if got := a.with(creds).identity(); !strings.HasSuffix(got, "assumed-role/worker/session") {
		t.Errorf("without the database the session is %s", got)
	}
	_, err := root.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("bob")})
	wantCode(t, err, "ServiceUnavailable", "")
	_, err = root.iam.ListUsers(ctx, &iam.ListUsersInput{})
	wantCode(t, err, "ServiceUnavailable", "")
	_, err = a.client("AKIAEXAMPLEEXAMPLE22", "never-seen-before", "").sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	wantCode(t, err, "ServiceUnavailable", "")
	if got := fetch(t, a.ops+"/readyz"); got != "ok\n" {
		t.Errorf("readyz says %q", got)
	}
	until(t, "the metrics tell it", func() bool {
		return regexp.MustCompile(`(?m)^stint_directory_out_of_touch_seconds [1-9]`).MatchString(fetch(t, a.ops+"/metrics"))
	})

	p.Restart(t)
	bob := aws.String("bob")
	until(t, "writes work again", func() bool {
		_, err := root.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: bob})
		return err == nil
	})
	until(t, "and are seen on the other node", func() bool {
		_, err := root.at(b).iam.GetUser(ctx, &iam.GetUserInput{UserName: bob})
		return err == nil
	})
}

func TestServe_PostgresRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	withFile := withPassword(t, url)
	cluster(t, 1, withFile...)
	other := filepath.Join(t.TempDir(), "other.key")
	write(t, other, "YW5vdGhlciB0ZXN0IG1hc3RlciBrZXkgMzIgYnl0ZXM=\n")
	foreign := pgtest.Database(t)
	pgtest.Exec(t, foreign, "CREATE TABLE orders (id int)")
	for name, row := range map[string]struct {
		args []string
		want string
	}{
		"a node with another master key":     {append(withFile, "--master-key", "file:"+other), "give every node the same"},
		"a password on the command line":     {[]string{"--database", url}, "database-password-file"},
		"a database of something else":       {withPassword(t, foreign), "tables of something else"},
		"a wrong password":                   {withPassword(t, strings.Replace(url, "pgtest-password", "wrong", 1)), "password authentication failed"},
		"a database that is not there":       {withPassword(t, strings.Replace(url, "/test_", "/none_", 1)), "does not exist"},
		"an address that is no PostgreSQL's": {[]string{"--database", "mysql://127.0.0.1/x"}, "postgres://"},
	} {
		args := append([]string{"serve", "--data-dir", filepath.Join(t.TempDir(), "data"), "--listen-http", "127.0.0.1:0",
			"--listen-grpc", "127.0.0.1:0", "--listen-ops", "127.0.0.1:0"}, row.args...)
		_, errs, code := run(t, "", args...)
		if code == 0 || !strings.Contains(errs, row.want) {
			t.Errorf("%s: exit %d, %s", name, code, errs)
		}
		if strings.Contains(errs, "pgtest-password") {
			t.Errorf("%s: the error holds the password: %s", name, errs)
		}
	}
}
