package main_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/stint-sts/stint/iam/store/pgtest"
	"github.com/stint-sts/stint/signer"
)

// keys is the ring as a node knows it.
func (n *node) keys() (all []signer.KeyInfo) {
	n.t.Helper()
	if err := json.Unmarshal([]byte(must(n.t, "keys", "list", "--data-dir", n.dir, "--output", "json")), &all); err != nil {
		n.t.Fatal(err)
	}
	return all
}

// key is the newest key of a purpose.
func (n *node) key(p signer.Purpose) (newest signer.KeyInfo) {
	n.t.Helper()
	for _, k := range n.keys() {
		if k.Purpose == p {
			newest = k
		}
	}
	return newest
}

// Three nodes turn every key of sessions twice under load: what any of them mints, all of them take, new and old, and no call
// fails. A node that was paused during a whole rotation takes what was minted meanwhile as soon as it goes on.
func TestKeys_ThreeNodes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	config := filepath.Join(t.TempDir(), "stint.yaml")
	write(t, config, "database: "+pgtest.Database(t)+"\nkeys:\n  publish-delay: 1s\ntoken:\n  seal: true\n  signing: ES256\n")
	nodes := cluster(t, 3, "--config", config)
	a, b, c := nodes[0], nodes[1], nodes[2]
	root := a.root()
	alice := root.user(a, "alice", "")
	role := root.role("worker", trustFor("arn:aws:iam::111122223333:user/alice"))
	for _, n := range nodes {
		on := alice.at(n)
		until(t, "alice and the role on every node", func() bool { _, err := on.assume(role, nil); return err == nil })
	}
	first := alice.mustAssume(role, nil)
	works := func(n *node, creds *ststypes.Credentials) error {
		_, err := n.with(creds).sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		return err
	}

	var stops []func() int
	for _, n := range nodes {
		on := alice.at(n)
		stops = append(stops, steady(t, "during rotations", func() error {
			creds, err := on.assume(role, nil)
			for _, other := range nodes {
				if err == nil {
					err = works(other, creds)
				}
				if err == nil {
					err = works(other, first)
				}
			}
			return err
		}))
	}
	rotate := func(n *node, p signer.Purpose) {
		before := n.key(p)
		must(t, "keys", "rotate", "--data-dir", n.dir, "--purpose", string(p))
		until(t, "the new key signs", func() bool {
			k := n.key(p)
			return k.Version > before.Version && k.State == signer.Signing
		})
	}
	for _, n := range []*node{a, b} {
		for _, p := range signer.Purposes() {
			rotate(n, p)
		}
	}
	calls := 0
	for _, stop := range stops {
		calls += 7 * stop()
	}
	t.Logf("%d calls during 6 rotations", calls)

	// JWKS of every node hold what every node signs with.
	for _, n := range nodes {
		until(t, "the signing key in the JWKS", func() bool {
			return strings.Contains(fetch(t, n.url+"/.well-known/jwks.json"), `"`+a.key(signer.TokenKey).ID+`"`)
		})
	}

	if err := c.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := func() error { return c.command.Process.Signal(syscall.SIGCONT) }
	t.Cleanup(func() { _ = goOn() }) // a paused process would not stop
	for _, p := range signer.Purposes() {
		rotate(a, p)
	}
	fresh := alice.at(b).mustAssume(role, nil)
	if err := goOn(); err != nil {
		t.Fatal(err)
	}
	if err := works(c, fresh); err != nil {
		t.Errorf("minted while the node was paused: %v", err)
	}
	if err := works(c, first); err != nil {
		t.Errorf("minted in the beginning: %v", err)
	}
	onC := alice.at(c).mustAssume(role, nil)
	if err := works(a, onC); err != nil {
		t.Errorf("minted by the node that was paused: %v", err)
	}
}
