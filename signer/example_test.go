package signer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/signer"
)

func Example() {
	ctx := context.Background()
	master, err := seal.NewKey(bytes.Repeat([]byte{1}, seal.KeySize), rand.Reader) // in earnest: 32 random bytes from a file
	if err != nil {
		panic(err)
	}
	s, err := signer.Open(ctx, signer.Config{Store: &memory{}, Master: master, Issuer: "https://sts.example.com"})
	if err != nil {
		panic(err)
	}

	now := time.Now()
	credentials, err := s.Mint(&signer.Claims{
		Kind:        signer.RoleSession,
		Account:     "123456789012",
		ARN:         "arn:aws:sts::123456789012:assumed-role/deploy/build-17",
		EntityARN:   "arn:aws:iam::123456789012:role/deploy",
		EntityID:    "AROA3XFRBF535PLBIFPI4",
		SessionName: "build-17",
		IssuedAt:    now,
		ExpiresAt:   now.Add(time.Hour),
	})
	if err != nil {
		panic(err)
	}

	claims, err := s.Verify(credentials.SessionToken) // on any node that shares the ring
	if err != nil {
		panic(err)
	}
	key, err := s.SecretKey(claims)
	if err != nil {
		panic(err)
	}
	fmt.Println(claims.ARN)
	fmt.Println("derived the same secret:", key.Equal(credentials.SecretAccessKey))
	fmt.Println("printed:", credentials.SecretAccessKey)
	// Output:
	// arn:aws:sts::123456789012:assumed-role/deploy/build-17
	// derived the same secret: true
	// printed: [redacted]
}
