package password_test

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/stint-sts/stint/password"
	"github.com/stint-sts/stint/secret"
)

// A hash is kept as text, and says itself what it takes to check a password.
func Example() {
	ctx := context.Background()
	hasher, err := password.New(password.Config{Rand: rand.Reader})
	if err != nil {
		panic(err)
	}
	made, err := hasher.Hash(ctx, secret.New("Correct Horse 7"))
	if err != nil {
		panic(err)
	}
	fmt.Println(made.String()[:31] + "…")

	kept, err := password.Parse(made.String())
	if err != nil {
		panic(err)
	}
	fmt.Println(hasher.Verify(ctx, kept, secret.New("Correct Horse 7")))
	fmt.Println(hasher.Verify(ctx, kept, secret.New("Battery Staple 8")))
	// Output:
	// $argon2id$v=19$m=19456,t=2,p=1$…
	// true <nil>
	// false <nil>
}
