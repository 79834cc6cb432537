package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stint-sts/stint/server"
)

// health asks the server of the same settings, for probes in images that hold no other program.
func health(ctx context.Context, p program, args []string) error {
	f := newFlags(p, "health")
	onlyLives := f.Bool("live", false, "ask whether the process lives (/healthz) instead of whether it can do its work (/readyz)")
	exclude := f.String("exclude", "", "checks that do not count, separated by commas: directory, sessions or audit")
	cfg, err := f.load(args, 0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ops, err := opsURL(cfg)
	if err != nil {
		return err
	}
	path := "/readyz?" + url.Values{"exclude": strings.Split(*exclude, ",")}.Encode()
	if *onlyLives {
		path = "/healthz"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, ops+path, nil)
	if err != nil {
		return err
	}
	// No proxy; and a certificate names the host by which others know it. Nothing secret is sent or believed.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	const longest = 1 << 10
	text, err := io.ReadAll(io.LimitReader(answer.Body, longest))
	if answer.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("not ready: %s", bytes.TrimSpace(text)), err)
	}
	_, err = fmt.Fprintln(p.stdout, "ok")
	return err
}

// opsURL is where a process on this machine reaches the ops listener: one that listens everywhere listens on loopback too.
func opsURL(cfg *server.Config) (string, error) {
	host, port, err := net.SplitHostPort(cfg.ListenOps)
	if err != nil {
		return "", fmt.Errorf("listen.ops: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}
