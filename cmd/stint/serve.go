package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"

	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/session/redis"
)

func serve(ctx context.Context, p program, args []string) (err error) {
	f := newFlags(p, "serve")
	cfg, err := f.load(args, 0)
	if err != nil {
		return err
	}
	tuneMemory(p)
	redis.Quiet()
	log := &logBuffer{out: p.stderr}
	logging, stopLogging := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		log.Run(logging)
	}()
	defer func() {
		stopLogging()
		<-done
	}()
	s, err := server.Open(ctx, cfg, versionString(), log.logger(cfg))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	welcome, err := s.Bootstrap(ctx)
	if err != nil {
		return err
	}
	return s.Run(ctx, func(at server.Addresses) { greet(p.stdout, welcome, at) })
}

// greet tells how to go on, in commands that work when pasted.
func greet(w io.Writer, welcome *server.Welcome, at server.Addresses) {
	scheme := "http"
	if at.TLS {
		scheme = "https"
	}
	url := scheme + "://" + at.HTTP
	credentials := welcome.CredentialsFile
	if absolute, err := filepath.Abs(credentials); credentials != "" && err == nil {
		credentials = absolute
	}
	_, _ = fmt.Fprintf(w, "stint %s is ready.\n\n  AWS API   %s\n  gRPC      %s\n  ops       %s://%s (/healthz /readyz /metrics)\n\n",
		versionString(), url, at.GRPC, scheme, at.Ops)
	_, _ = fmt.Fprintf(w, "First account: %s (%s)\n", welcome.AccountID, welcome.AccountName)
	switch {
	case welcome.AccessKeyID != "":
		_, _ = fmt.Fprintf(w, "Its root access key, shown this once and kept in %s:\n\n  aws_access_key_id = %s\n  aws_secret_access_key = %s\n",
			credentials, welcome.AccessKeyID, welcome.SecretAccessKey.Reveal())
	case credentials != "":
		_, _ = fmt.Fprintf(w, "Its root access key was written to %s on the first start.\n", credentials)
	default:
		_, _ = fmt.Fprint(w, "Its root access key was handed over by the node that made the account.\n")
	}
	_, _ = fmt.Fprint(w, "\nGo on in another terminal:\n\n")
	if credentials != "" {
		_, _ = fmt.Fprintf(w, "  export AWS_SHARED_CREDENTIALS_FILE=%s AWS_PROFILE=root\n", credentials)
	}
	_, _ = fmt.Fprintf(w, `  aws --endpoint-url %s sts get-caller-identity
  aws --endpoint-url %s iam create-user --user-name alice
  aws --endpoint-url %s iam create-access-key --user-name alice

`, url, url, url)
}

// gcPercent lets the heap grow to some times what is in use before garbage is collected. What is in use is small, so the
// default would collect every few hundred calls.
const gcPercent = 400

// tuneMemory leaves the decision to an operator who has made one.
func tuneMemory(p program) {
	if _, set := p.env("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
}
