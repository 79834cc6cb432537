// Dex, the identity provider of dexidp.io, as tests run it: its own server, storage and key rotation, on loopback, with one user,
// one client and the password grant. Each line on standard input is a command; the end of standard input ends it.
//
// It is a module of its own, so that what Dex needs does not become what stint needs, and a program of its own, since Dex's needs a
// version of its gRPC API that no module proxy has.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/server/connectors"
	"github.com/dexidp/dex/server/signer"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"github.com/dexidp/dex/web"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/bcrypt"
)

// lifetime is that of ID tokens. Keys rotate as often, so that the second rotation withdraws a key.
const lifetime = 3 * time.Hour

const clientID = "stint"

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address")
	algorithm := flag.String("algorithm", "RS256", "of ID tokens: RS256 or ES256")
	certificate := flag.String("certificate", "", "file with the certificate and its key, in PEM; empty: http")
	flag.Parse()
	if err := run(*address, *algorithm, *certificate); err != nil {
		fmt.Fprintln(os.Stderr, "dex:", err)
		os.Exit(1)
	}
}

func run(address, algorithm, certificate string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	issuer := "http://" + listener.Addr().String() + "/dex"
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, certificate)
		if err != nil {
			return err
		}
		issuer = "https://" + listener.Addr().String() + "/dex"
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}})
	}

	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	store, err := newStore(log)
	if err != nil {
		return err
	}
	keys := newKeyClock()
	local := signer.LocalConfig{KeysRotationPeriod: lifetime.String(), Algorithm: jose.SignatureAlgorithm(algorithm)}
	sign, err := local.Open(ctx, store, lifetime, keys.now, log)
	if err != nil {
		return err
	}
	dex, err := server.NewServer(ctx, server.Config{
		Issuer: issuer, Storage: store, Signer: sign, Logger: log, IDTokensValidFor: lifetime, SkipApprovalScreen: true,
		PasswordConnector: connectors.LocalConnector, Web: server.WebConfig{WebFS: web.FS()},
	})
	if err != nil {
		return err
	}
	var fetches atomic.Int64 // of the key set
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/keys") {
				fetches.Add(1)
			}
			dex.ServeHTTP(w, r)
		}))
	}()
	fmt.Println(issuer)
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		command, argument, _ := strings.Cut(commands.Text(), " ")
		switch command {
		case "redirect":
			if err := store.UpdateClient(ctx, clientID, func(c storage.Client) (storage.Client, error) {
				c.RedirectURIs = append(c.RedirectURIs, argument)
				return c, nil
			}); err != nil {
				return err
			}
			fmt.Println("redirects")
		case "rotate":
			keys.forward(lifetime + time.Second)
			once, stop := context.WithCancel(ctx)
			sign.Start(once) // rotates before it returns
			stop()
			fmt.Println("rotated")
		case "fetches":
			fmt.Println(fetches.Load())
		}
	}
	return commands.Err()
}

func newStore(log *slog.Logger) (storage.Storage, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.DefaultCost)
	if err != nil {
		return nil, err
	}
	store := storage.WithStaticPasswords(memory.New(log), []storage.Password{{
		Email: "alice@example.com", Hash: hash, Username: "alice", UserID: "08a8684b-db88-4b73-90a9-3cd1661f5466", Groups: []string{"deployers", "staff"},
	}}, log)
	if err := store.CreateClient(context.Background(), storage.Client{
		ID: clientID, Secret: "dex-client-secret", Name: "stint", RedirectURIs: []string{"http://127.0.0.1/callback"},
	}); err != nil {
		return nil, err
	}
	return storage.WithStaticConnectors(store, []storage.Connector{{ID: connectors.LocalConnector, Name: "Email", Type: connectors.LocalConnector}}), nil
}

// keyClock is the time by which Dex rotates its keys. Tokens go by the real one.
type keyClock struct{ ahead atomic.Int64 }

func newKeyClock() *keyClock { return new(keyClock) }

func (c *keyClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *keyClock) forward(d time.Duration) { c.ahead.Add(int64(d)) }
