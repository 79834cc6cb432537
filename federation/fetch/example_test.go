package fetch_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/stint-sts/stint/federation/fetch"
	"github.com/stint-sts/stint/federation/oidc"
)

func ExampleNewKeys() {
	keys := fetch.NewKeys(fetch.KeysConfig{
		Client: fetch.New(fetch.Config{}), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	_, err := keys.Keys(context.Background(), &oidc.Provider{Issuer: "https://169.254.169.254"}, nil)
	fmt.Println(err)
	// Output: keys cannot be used: discovery: refused: address is not allowed
}
