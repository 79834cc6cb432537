// Floor is the yardstick of stint's benchmarks: a server that does for each request what no implementation can avoid, and nothing
// else. Bare net/http, form decoding, one SigV4 check under a cached signing key, one HMAC-SHA-256 (a session token's), with --redis
// one pipelined write of a session record, and an XML answer. It authorizes nothing and must never be used for anything else.
//
// The SigV4 check is its own (signature.go), so that the yardstick does not move when package sigv4 does. The access key comes in
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("floor", flag.ContinueOnError)
	address := flags.String("listen", "127.0.0.1:0", "loopback `address` to listen on")
	redisAddress := flags.String("redis", "", "`host:port` of a Redis to write session records to; empty: none")
	cfg := config{key: accessKey{os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")}}
	flags.IntVar(&cfg.roleAnswer, "role-answer", 1700, "`bytes` of an answer to AssumeRole")
	flags.IntVar(&cfg.identityAnswer, "identity-answer", 450, "`bytes` of an answer to any other action")
	flags.IntVar(&cfg.token, "token", 800, "`bytes` of the session token that the MAC is over")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if cfg.key.id == "" || cfg.key.secret == "" {
		return errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set")
	}
	if *redisAddress != "" {
		r, err := newRecorder(*redisAddress)
		if err != nil {
			return err
		}
		defer func() { _ = r.client.Close() }()
		cfg.records = r
	}
	h, err := newHandler(cfg)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	fmt.Printf("floor listens on http://%s\n", l.Addr())
	server := &http.Server{Handler: h}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
