package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/iam/store/pgtest"
	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/stintgrpc"
)

// A gRPC call that carries a version of the directory is judged by what another node wrote up to it, whatever this node has in memory.
func TestRPC_Version(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database(t)
	key := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(key, []byte("c3RpbnQgdGVzdCBtYXN0ZXIga2V5IDMyIGJ5dGVzISE=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := serve(t, map[string]string{"STINT_DATABASE": url, "STINT_MASTER_KEY": "file:" + key})
	alice := n.newUser("alice")
	client, err := stintgrpc.Dial(n.at.GRPC, stintgrpc.WithCredentials(
		credentials.NewStaticCredentialsProvider(alice.AccessKeyID, alice.SecretAccessKey.Reveal(), "")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	call := func(version string) string {
		t.Helper()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-stint-version", version)
		_, err := client.GetCallerIdentity(ctx, &stsv1.GetCallerIdentityRequest{})
		return codeOf(err)
	}
	written := n.iam("TagUser", "UserName", "alice", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v").Header.Get("X-Stint-Version")
	for version, want := range map[string]string{written: "", "1000000": "ServiceUnavailable", "lunch": "ValidationError"} {
		if got := call(version); got != want {
			t.Errorf("version %q: %q, want %q", version, got, want)
		}
	}

	other, err := store.OpenPostgres(t.Context(), store.PostgresConfig{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	for _, active := range []bool{false, true, false} {
		want := "InvalidClientTokenId"
		if active {
			want = ""
		}
		if got := call(strconv.FormatInt(setActive(t, other, alice.AccessKeyID, active), 10)); got != want {
			t.Errorf("after another node made the key active: %v: %q, want %q", active, got, want)
		}
	}
}

// setActive changes an access key as another node does, and returns the version of the change.
func setActive(t *testing.T, s *store.Postgres, id string, active bool) int64 {
	t.Helper()
	var at iam.FeedPosition
	err := s.Update(t.Context(), func(tx iam.Tx) error {
		r, err := tx.ByID(iam.KindAccessKey, id)
		if err != nil {
			return err
		}
		var k map[string]any
		if err := json.Unmarshal(r.Body, &k); err != nil {
			return err
		}
		k["Active"] = active
		if r.Body, err = json.Marshal(k); err != nil {
			return err
		}
		if err := tx.Put(r); err != nil {
			return err
		}
		at, err = tx.(iam.Announcer).Announce([]string{id})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return at.Version
}
