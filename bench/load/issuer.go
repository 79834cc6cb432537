//go:build linux

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/golang-jwt/jwt/v5"
)

// issuer issues ID tokens on loopback, with one RSA key of 2,048 bits and one on P-256.
type issuer struct {
	url    string
	server *http.Server
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
}

const audience = "sts.example.com"

func newIssuer() (*issuer, error) {
	i := new(issuer)
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	point, err := i.ec.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i.url = "http://" + listener.Addr().String()
	encode := base64.RawURLEncoding.EncodeToString
	documents := map[string]any{
		"/.well-known/openid-configuration": map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"},
		"/keys": map[string]any{"keys": []map[string]string{
			{"kid": "RS256", "alg": "RS256", "use": "sig", "kty": "RSA", "n": encode(i.rsa.N.Bytes()), "e": encode(big.NewInt(int64(i.rsa.E)).Bytes())},
			{"kid": "ES256", "alg": "ES256", "use": "sig", "kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])},
		}},
	}
	i.server = &http.Server{ReadHeaderTimeout: requestTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(documents[r.URL.Path]) // the asker may have left
	})}
	go func() { _ = i.server.Serve(listener) }() // until Close
	return i, nil
}

func (i *issuer) key(algorithm string) crypto.Signer {
	if algorithm == "RS256" {
		return i.rsa
	}
	return i.ec
}

// tokens makes distinct tokens of the shape and size of a CI system's.
func (i *issuer) tokens(algorithm string, n int) ([]string, error) {
	all := make([]string, n)
	now := time.Now()
	for k := range all {
		run := strconv.Itoa(7_000_000_000 + k)
		t := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), jwt.MapClaims{
			"iss": i.url, "aud": audience, "sub": "repo:octo-org/octo-repo:environment:prod", "jti": "example-" + run, "run_id": run,
			"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			"ref": "refs/heads/main", "sha": "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "repository": "octo-org/octo-repo",
			"repository_owner": "octo-org", "repository_owner_id": "65", "repository_id": "74", "repository_visibility": "private",
			"actor": "octocat", "actor_id": "12", "workflow": "deploy", "event_name": "push", "ref_type": "branch", "environment": "prod",
			"job_workflow_ref":   "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
			"runner_environment": "github-hosted", "run_number": "10", "run_attempt": "2",
		})
		t.Header["kid"] = algorithm
		signed, err := t.SignedString(i.key(algorithm))
		if err != nil {
			return nil, err
		}
		all[k] = signed
	}
	return all, nil
}

// distinctTokens are sent in turn. Signing one for each request would cost the driver more than the request costs stint, which keeps no
// token.
const distinctTokens = 2000

// webIdentityLoads registers the issuer with a stint, makes a role for its subject, and returns a load for each algorithm.
func (i *issuer) webIdentityLoads(ctx context.Context, s *server) ([]*load, error) {
	directory, err := rootClient(ctx, s)
	if err != nil {
		return nil, err
	}
	provider, err := directory.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &i.url, ClientIDList: []string{audience}})
	if err != nil {
		return nil, err
	}
	keys := i.url[len("http://"):]
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithWebIdentity",`+
		`"Condition":{"StringEquals":{"%s:aud":%q,"%[2]s:sub":"repo:octo-org/octo-repo:environment:prod"}}}]}`,
		*provider.OpenIDConnectProviderArn, keys, audience)
	name := "bench-web"
	role, err := directory.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		return nil, err
	}
	var loads []*load
	for _, algorithm := range []string{"RS256", "ES256"} {
		tokens, err := i.tokens(algorithm, distinctTokens)
		if err != nil {
			return nil, err
		}
		loads = append(loads, newLoad(algorithm, s, credentials{}, assumeRoleWithWebIdentity(*role.Role.Arn, tokens)))
	}
	return loads, nil
}

// verification is the CPU time of one verification of the algorithm by the standard library, digest included.
func (i *issuer) verification(algorithm string) (time.Duration, error) {
	signed := make([]byte, 1000)
	digest := sha256.Sum256(signed)
	signature, err := i.key(algorithm).Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return 0, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const times, batches = 500, 9
	figures := make([]time.Duration, batches)
	for b := range figures {
		before, err := threadTime()
		if err != nil {
			return 0, err
		}
		for range times {
			digest := sha256.Sum256(signed)
			if algorithm == "RS256" {
				err = rsa.VerifyPKCS1v15(&i.rsa.PublicKey, crypto.SHA256, digest[:], signature)
			} else if !ecdsa.VerifyASN1(&i.ec.PublicKey, digest[:], signature) {
				err = rsa.ErrVerification
			}
			if err != nil {
				return 0, err
			}
		}
		after, err := threadTime()
		if err != nil {
			return 0, err
		}
		figures[b] = (after - before) / times
	}
	slices.Sort(figures)
	return figures[batches/2], nil
}

// threadTime is the CPU time of the calling thread.
func threadTime() (time.Duration, error) {
	const thread = 1 // RUSAGE_THREAD (getrusage(2)), which package syscall does not name
	var usage syscall.Rusage
	err := syscall.Getrusage(thread, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}

// printWebIdentity compares with the floor of a signed AssumeRole with Redis and one verification on top.
func (i *issuer) printWebIdentity(loads []*load, medians map[*load]sample, floor sample) error {
	fmt.Print("## AssumeRoleWithWebIdentity\n\nSession in Redis, keys of the issuer cached, ", distinctTokens,
		" distinct tokens in turn. The aim is the floor of AssumeRole with Redis and 1.2 verifications.\n\n")
	t := newTable("algorithm", "ops/s", "p50", "p99", "CPU/request", "allocations", "floor", "verification", "aim", "CPU : aim")
	for _, l := range loads {
		verification, err := i.verification(l.name)
		if err != nil {
			return err
		}
		aim := floor.cpu + verification*12/10
		t.add(append(figures(l.name, medians[l]), micros(floor.cpu), micros(verification), micros(aim),
			fmt.Sprintf("%.2f", float64(medians[l].cpu)/float64(aim)))...)
	}
	t.print()
	return nil
}
