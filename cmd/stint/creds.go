package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/stint-sts/stint/agent"
)

// creds prints credentials for credential_process in an AWS profile.
func creds(ctx context.Context, p program, args []string) error {
	f := newWorkloadFlags(p, "creds", defaultSessionName())
	wait := f.Duration("wait", 30*time.Second, "how long to try while stint cannot be reached")
	noCache := f.Bool("no-cache", false, "fetch new credentials, and write none down")
	if err := f.parse(args); err != nil {
		return err
	}
	source, _, err := f.source()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	fetch := func(ctx context.Context) (agent.Credentials, error) { return fetchOnce(ctx, source) }
	var c agent.Credentials
	if *noCache {
		c, err = fetch(ctx)
	} else {
		c, err = f.cached(ctx, source, fetch)
	}
	if err != nil {
		return err
	}
	return outputs["credential-process"](p.stdout, &types.Credentials{
		AccessKeyId: &c.AccessKeyID, SecretAccessKey: aws.String(c.SecretAccessKey.Reveal()), SessionToken: aws.String(c.SessionToken.Reveal()),
		Expiration: &c.Expiration,
	}, "")
}

// fetchOnce fetches credentials, and tries again until ctx ends while the server cannot be reached.
func fetchOnce(ctx context.Context, source agent.Source) (agent.Credentials, error) {
	keeper, err := agent.New(agent.Config{Source: source, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return agent.Credentials{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { _ = keeper.Run(ctx) }() // ends with ctx, without an error
	return keeper.Credentials(ctx)
}

// cached keeps what is fetched in the user's cache directory.
func (f *workloadFlags) cached(ctx context.Context, source agent.Source, fetch func(context.Context) (agent.Credentials, error)) (agent.Credentials, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return agent.Credentials{}, fmt.Errorf("cache: %w: set HOME, or use --no-cache", err)
	}
	key, err := f.cacheKey(ctx, source)
	if err != nil {
		return agent.Credentials{}, err
	}
	cache := &agent.Cache{Dir: filepath.Join(dir, "stint", "creds")}
	return cache.Credentials(ctx, key, fetch)
}

// cacheKey names what the credentials depend on. Of an access key that is its id: the environment may hold another one tomorrow.
func (f *workloadFlags) cacheKey(ctx context.Context, source agent.Source) (string, error) {
	var keyID string
	if s, ok := source.(*agent.AccessKey); ok {
		keys, err := s.Keys.Retrieve(ctx)
		if err != nil {
			return "", err
		}
		keyID = keys.AccessKeyID
	}
	text, err := json.Marshal([]string{
		fmt.Sprintf("%T", source), *f.role, *f.sessionName, f.duration.String(), *f.externalID, *f.endpoint, *f.region, *f.caFile,
		absolute(*f.tokenFile), absolute(*f.cert), absolute(*f.key), *f.grpc, keyID,
	})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func absolute(file string) string {
	if full, err := filepath.Abs(file); file != "" && err == nil {
		return full
	}
	return file
}
