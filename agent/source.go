package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/stintgrpc"
)

// Role is what a Source asks for.
type Role struct {
	ARN         string        // required
	SessionName string        // required; 2 to 64 characters
	Duration    time.Duration // whole seconds; zero: the server's default, an hour
	ExternalID  string        // for AssumeRole only
}

func (r *Role) seconds() *int32 {
	if r.Duration == 0 {
		return nil
	}
	return aws.Int32(int32(r.Duration / time.Second))
}

// Endpoint is the AWS Query API of a stint.
type Endpoint struct {
	URL      string // required; https, or http on loopback addresses
	Region   string // to sign for; default us-east-1, any will do
	CAFile   string // PEM file of the authorities that may have issued the server's certificate; default: the system's
	Insecure bool   // allow http to any address: whoever is on the way reads the credentials
}

// Check tells what is wrong with e.
func (e *Endpoint) Check() error {
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("endpoint %q must be an http or https URL, such as https://sts.example.com", e.URL)
	}
	if u.Scheme == "http" && !e.Insecure && !isLoopback(u.Hostname()) {
		return fmt.Errorf("endpoint %s sends credentials in clear text: use https, or allow it with --insecure-http", u.Redacted())
	}
	return nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

const (
	maxAnswer = 1 << 20 // bytes of one answer of the server
	maxToken  = 20_000  // characters of a web identity token (STS API model, clientTokenType)
)

// client is an STS client for one call. The keeper decides when to try again, so the SDK does not.
func (e *Endpoint) client(credentials aws.CredentialsProvider) (*sts.Client, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	roots, err := rootsOf(e.CAFile)
	if err != nil {
		return nil, err
	}
	region := e.Region
	if region == "" {
		region = "us-east-1"
	}
	return sts.New(sts.Options{
		BaseEndpoint: &e.URL, Region: region, Credentials: credentials, Retryer: aws.NopRetryer{},
		HTTPClient: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a token goes to nobody else
			Transport: bounded{&http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
				TLSHandshakeTimeout:    5 * time.Second,
				MaxResponseHeaderBytes: 64 << 10,
				DisableKeepAlives:      true, // the next call is most of an hour away, and may find the server elsewhere
			}},
		},
	}), nil
}

// bounded cuts answers off.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

func rootsOf(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := readFile(file, maxAnswer)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// readFile reads a file of at most most bytes.
func readFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case int64(len(text)) > most:
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return text, nil
}

// WebIdentity proves who the workload is by a token in a file that somebody else keeps fresh.
type WebIdentity struct {
	Endpoint  Endpoint
	Role      Role
	TokenFile string
}

// Fetch implements Source by AssumeRoleWithWebIdentity.
func (s *WebIdentity) Fetch(ctx context.Context) (Credentials, error) {
	text, err := readFile(s.TokenFile, maxToken)
	if err != nil {
		return Credentials{}, fmt.Errorf("web identity token: %w", err)
	}
	token := strings.TrimSpace(string(text)) // tools that write files end them with a line break
	if token == "" {
		return Credentials{}, fmt.Errorf("web identity token: %s is empty", s.TokenFile)
	}
	client, err := s.Endpoint.client(aws.AnonymousCredentials{})
	if err != nil {
		return Credentials{}, err
	}
	out, err := client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &s.Role.ARN, RoleSessionName: &s.Role.SessionName, DurationSeconds: s.Role.seconds(), WebIdentityToken: &token,
	})
	if err != nil {
		return Credentials{}, fromSDK(err)
	}
	return credentialsOf(out.Credentials, out.ResultMetadata)
}

// AccessKey proves who the workload is by a long-lived access key.
type AccessKey struct {
	Endpoint Endpoint
	Role     Role
	Keys     aws.CredentialsProvider // asked at each fetch; see SharedKeys
}

// Fetch implements Source by AssumeRole.
func (s *AccessKey) Fetch(ctx context.Context) (Credentials, error) {
	client, err := s.Endpoint.client(s.Keys)
	if err != nil {
		return Credentials{}, err
	}
	out, err := client.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: &s.Role.ARN, RoleSessionName: &s.Role.SessionName, DurationSeconds: s.Role.seconds(), ExternalId: given(s.Role.ExternalID),
	})
	if err != nil {
		return Credentials{}, fromSDK(err)
	}
	return credentialsOf(out.Credentials, out.ResultMetadata)
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// SharedKeys finds an access key as AWS SDKs do, but nowhere else than in the environment and in the two shared files: the rest of
// their chain may lead back to the agent itself. With a profile, only that profile counts.
func SharedKeys(profile string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		env, err := config.NewEnvConfig()
		if err != nil {
			return aws.Credentials{}, err
		}
		if profile == "" && env.Credentials.HasKeys() {
			return env.Credentials, nil
		}
		name := firstOf(profile, env.SharedConfigProfile, "default")
		shared, err := config.LoadSharedConfigProfile(ctx, name, func(o *config.LoadSharedConfigOptions) {
			if env.SharedCredentialsFile != "" {
				o.CredentialsFiles = []string{env.SharedCredentialsFile}
			}
			if env.SharedConfigFile != "" {
				o.ConfigFiles = []string{env.SharedConfigFile}
			}
		})
		switch {
		case err != nil:
			return aws.Credentials{}, err
		case !shared.Credentials.HasKeys():
			return aws.Credentials{}, fmt.Errorf("profile %q has no access key of its own: name one that has with --profile", name)
		}
		return shared.Credentials, nil
	})
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// credentialsOf reads an answer. Its lifetime is by the server's clock, which also says when it answered.
func credentialsOf(c *types.Credentials, m middleware.Metadata) (Credentials, error) {
	if c == nil || c.AccessKeyId == nil || c.SecretAccessKey == nil || c.SessionToken == nil || c.Expiration == nil {
		return Credentials{}, errors.New("the server's answer holds no credentials")
	}
	answered, ok := awsmiddleware.GetServerTime(m)
	if !ok {
		answered = time.Now()
	}
	return Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: secret.New(*c.SecretAccessKey), SessionToken: secret.New(*c.SessionToken),
		Expiration: c.Expiration.UTC(), Lifetime: c.Expiration.Sub(answered),
	}, nil
}

// passing are answers with a status of 4xx that mend by themselves.
var passing = map[string]bool{
	"Throttling": true, "ThrottlingException": true, "RequestLimitExceeded": true, "IDPCommunicationError": true, "RequestTimeout": true,
}

// fromSDK tells refusals from what passes. An answer without an AWS error code comes from something else than stint, such as a proxy.
func fromSDK(err error) error {
	api, isAPI := errors.AsType[smithy.APIError](err)
	response, answered := errors.AsType[*awshttp.ResponseError](err)
	if !isAPI || !answered || response.HTTPStatusCode() >= 500 || passing[api.ErrorCode()] || api.ErrorCode() == "UnknownError" || api.ErrorCode() == "" {
		return err
	}
	return &Refusal{Code: api.ErrorCode(), Message: api.ErrorMessage()}
}

// Certificate proves who the workload is by an X.509 certificate, to the gRPC listener of a stint that maps it to a user.
type Certificate struct {
	Target            string // host:port of the gRPC listener
	Role              Role
	CertFile, KeyFile string // PEM
	CAFile            string // as in Endpoint
}

// Fetch implements Source by AssumeRole over gRPC with mutual TLS.
func (s *Certificate) Fetch(ctx context.Context) (Credentials, error) {
	pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
	if err != nil {
		return Credentials{}, fmt.Errorf("client certificate: %w", err)
	}
	roots, err := rootsOf(s.CAFile)
	if err != nil {
		return Credentials{}, err
	}
	client, err := stintgrpc.Dial(s.Target, stintgrpc.WithTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair},
	}))
	if err != nil {
		return Credentials{}, err
	}
	defer func() { _ = client.Close() }()
	request := &stsv1.AssumeRoleRequest{
		RoleArn: s.Role.ARN, RoleSessionName: s.Role.SessionName, DurationSeconds: s.Role.seconds(), ExternalId: s.Role.ExternalID,
	}
	out, err := client.AssumeRole(ctx, request)
	if err != nil {
		return Credentials{}, fromGRPC(err)
	}
	c := out.GetCredentials()
	expiration := c.GetExpiration().AsTime()
	if c.GetExpiration() == nil {
		return Credentials{}, errors.New("the server's answer holds no credentials")
	}
	return Credentials{
		AccessKeyID: c.GetAccessKeyId(), SecretAccessKey: secret.New(c.GetSecretAccessKey()), SessionToken: secret.New(c.GetSessionToken()),
		Expiration: expiration, Lifetime: s.Role.lifetime(time.Until(expiration)),
	}, nil
}

// lifetime bounds what a clock that is behind makes of an expiration: gRPC's answers do not say when they were given.
func (r *Role) lifetime(d time.Duration) time.Duration {
	if r.Duration > 0 {
		return min(d, r.Duration)
	}
	return min(d, time.Hour) // the server's default for AssumeRole
}

func fromGRPC(err error) error {
	if e, ok := stintgrpc.AsError(err); ok && e.Fault == "Sender" && !passing[e.Code] {
		return &Refusal{Code: e.Code, Message: e.Message}
	}
	return err
}
