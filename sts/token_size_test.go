package sts_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

// full is a signer whose tokens are never small enough.
type full struct{}

func (full) Mint(*signer.Claims) (*signer.Credentials, error) {
	return nil, fmt.Errorf("mint: %w", signer.ErrTokenTooLarge)
}

// Tags that chained sessions inherit add up; the session that would have too many of them is refused, as its caller's mistake.
func TestAssumeRole_TokenTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role := w.role(accountA, "/", "T", trust(aliceARN, justOnce))
	in := &sts.AssumeRoleInput{RoleARN: role.ARN, RoleSessionName: "s2"}
	if _, err := w.service().AssumeRole(context.Background(), w.user(accountA, "alice"), in); err != nil {
		t.Fatalf("the honest twin: %v", err)
	}
	service := sts.New(sts.Config{Directory: w, Minter: full{}, Sessions: w})
	_, err := service.AssumeRole(context.Background(), w.user(accountA, "alice"), in)
	wantError(t, err, awserr.PackedPolicyTooLarge, "Serialized token too large for session")
}
