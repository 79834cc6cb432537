package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Certificate is the certificate of listeners, and the new one soon after its files have changed, as long as Run runs. It is safe
// for concurrent use.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	loaded            [2]time.Time // modification times of the files that current was read from; owned by Run
}

// certificateCheck is how often the files are looked at.
const certificateCheck = 5 * time.Second

// NewCertificate reads a certificate and its key, both PEM, for the first time.
func NewCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return c, nil
}

func (c *Certificate) load() error {
	times, err := c.times()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	c.loaded = times
	return nil
}

func (c *Certificate) times() (t [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return t, err
		}
		t[i] = info.ModTime()
	}
	return t, nil
}

// Run reloads the files when they change, until ctx ends. A pair that cannot be read leaves the old one in place.
func (c *Certificate) Run(ctx context.Context) error {
	tick := time.NewTicker(certificateCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.reload()
		}
	}
}

func (c *Certificate) reload() {
	times, err := c.times()
	if err == nil && times == c.loaded {
		return
	}
	if err == nil {
		err = c.load()
	}
	if err != nil {
		c.log.Error("certificate not reloaded, the old one stays", "error", err)
		return
	}
	c.log.Info("certificate reloaded", "file", c.certFile)
}

// Config is the TLS configuration of a listener that speaks the protocols, which are named as ALPN does.
func (c *Certificate) Config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
