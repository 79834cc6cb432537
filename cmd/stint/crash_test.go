package main_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// A node is killed without warning during a stream of IAM writes and AssumeRole calls, three times over. After each restart
// everything that was acknowledged is there and works.
func TestServe_SurvivesKill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, dir, "--account-id", "111122223333")
	root := n.root()
	role := root.role("worker", trustFor("arn:aws:iam::111122223333:root"))
	root.user(n, "seed", allowEverything)
	key, err := root.iam.CreateAccessKey(context.Background(), &iam.CreateAccessKeyInput{UserName: aws.String("seed")})
	if err != nil {
		t.Fatal(err)
	}
	id, secret := *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey

	var users []string
	var sessions []*ststypes.Credentials
	for round := range 3 {
		var mu sync.Mutex
		var streams sync.WaitGroup
		acknowledged := make(chan struct{}, 1000)
		seed := n.client(id, secret, "")
		for stream := range 2 {
			streams.Go(func() {
				for i := range 1000 {
					name := fmt.Sprintf("user-%d-%d-%d", round, stream, i)
					if _, err := seed.iam.CreateUser(context.Background(), &iam.CreateUserInput{UserName: &name}); err != nil {
						return // the node is gone
					}
					creds, err := seed.assume(role, nil)
					mu.Lock()
					users = append(users, name)
					if err == nil {
						sessions = append(sessions, creds)
					}
					mu.Unlock()
					acknowledged <- struct{}{}
				}
			})
		}
		for range 20 {
			<-acknowledged
		}
		n.kill()
		streams.Wait()
		n = start(t, dir)
		seed = n.client(id, secret, "")
		for _, name := range users {
			if _, err := seed.iam.GetUser(context.Background(), &iam.GetUserInput{UserName: &name}); err != nil {
				t.Fatalf("round %d: user %s was acknowledged and is gone: %v", round, name, err)
			}
		}
		listed := must(t, "session", "list", "--data-dir", dir, "--output", "json")
		for _, creds := range sessions {
			if got := n.with(creds).identity(); got != "arn:aws:sts::111122223333:assumed-role/worker/session" {
				t.Fatalf("round %d: session %s is %s", round, *creds.AccessKeyId, got)
			}
			if !strings.Contains(listed, *creds.AccessKeyId) {
				t.Fatalf("round %d: session %s was acknowledged and is not listed", round, *creds.AccessKeyId)
			}
		}
	}
	if len(users) < 60 || len(sessions) < 40 {
		t.Errorf("only %d users and %d sessions were acknowledged", len(users), len(sessions))
	}
}
