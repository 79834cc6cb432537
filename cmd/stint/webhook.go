package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stint-sts/stint/kubernetes/webhook"
	"github.com/stint-sts/stint/server"
)

// runWebhook is the webhook of Kubernetes, which needs neither a configuration file nor a stint on this machine.
func runWebhook(ctx context.Context, p program, args []string) error {
	f := &flags{FlagSet: flag.NewFlagSet("stint webhook", flag.ContinueOnError), p: p}
	f.SetOutput(p.stderr)
	cfg := webhook.Config{Log: slog.New(slog.NewJSONHandler(p.stderr, nil))}
	listen := f.String("listen", ":8443", "address to listen on, by TLS")
	certFile := f.String("tls-cert", "", "PEM file with the certificate for the Service's name; read again when it changes")
	keyFile := f.String("tls-key", "", "PEM file with the certificate's key")
	prefixes := f.String("annotation-prefixes", webhook.OwnPrefix+","+webhook.EKSPrefix, "prefixes of annotations, the first that names a role counts")
	f.StringVar(&cfg.Endpoint, "endpoint-url", "", "URL of stint as pods reach it (AWS_ENDPOINT_URL_STS)")
	f.StringVar(&cfg.Region, "region", "us-east-1", "AWS_REGION and AWS_DEFAULT_REGION of containers that set neither; \"\" for none")
	f.StringVar(&cfg.Audience, "audience", webhook.DefaultAudience, "audience of tokens, a client id of the provider in stint")
	f.DurationVar(&cfg.TokenExpiration, "token-expiration", webhook.MaxTokenExpiration, "life of tokens")
	f.StringVar(&cfg.MountPath, "token-mount-path", "", "directory of the token in containers (default /var/run/secrets/PREFIX/serviceaccount)")
	f.BoolVar(&cfg.AnonymousSessions, "anonymous-sessions", false, "do not name role sessions after pods (AWS_ROLE_SESSION_NAME)")
	f.StringVar(&cfg.CAConfigMap, "ca-config-map", "", "ConfigMap in the pod's namespace whose ca.crt vouches for stint (AWS_CA_BUNDLE)")
	f.StringVar(&cfg.API.URL, "kube-api", "", "URL of the Kubernetes API (default: that of the cluster that this is a pod of)")
	f.StringVar(&cfg.API.CAFile, "kube-ca", "", "PEM file of the authorities of the Kubernetes API; with --kube-api")
	f.StringVar(&cfg.API.TokenFile, "kube-token", "", "file with the token for the Kubernetes API; with --kube-api")
	if err := f.Parse(args); err != nil {
		return errUsage // the flag package has printed why
	}
	if f.NArg() != 0 || *certFile == "" || *keyFile == "" {
		_, _ = fmt.Fprintf(p.stderr, "%s: give --tls-cert and --tls-key, and nothing after the flags: Kubernetes calls webhooks by TLS only\n", f.Name())
		return errUsage
	}
	cfg.Prefixes = strings.Split(*prefixes, ",")
	if cfg.API == (webhook.API{}) {
		var err error
		if cfg.API, err = webhook.InCluster(p.env); err != nil {
			return fmt.Errorf("%w; give --kube-api, --kube-ca and --kube-token", err)
		}
	}
	return serveWebhook(ctx, cfg, *listen, *certFile, *keyFile)
}

func serveWebhook(ctx context.Context, cfg webhook.Config, listen, certFile, keyFile string) error {
	s, err := webhook.New(cfg)
	if err != nil {
		return err
	}
	cert, err := server.NewCertificate(certFile, keyFile, cfg.Log)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{KeepAlive: 30 * time.Second}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	cfg.Log.Info("webhook listens", "address", ln.Addr().String(), "endpoint", cfg.Endpoint, "api", cfg.API.URL)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return cert.Run(ctx) })
	group.Go(func() error { return s.Run(ctx, tls.NewListener(ln, cert.Config("h2", "http/1.1"))) })
	return group.Wait()
}
