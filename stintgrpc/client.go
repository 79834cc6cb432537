// Package stintgrpc is a client of stint's gRPC API that signs each call.
//
//	client, err := stintgrpc.Dial("sts.example.com:8471", stintgrpc.WithCredentials(cfg.Credentials))
//	…
//	out, err := client.AssumeRole(ctx, &stsv1.AssumeRoleRequest{RoleArn: role, RoleSessionName: "monday"})
//
// A call is signed with AWS Signature Version 4 over the full method name, the server's name, the time and the message as it is
// sent; package sigv4/grpcsig has the exact form. The secret access key never leaves the process.
package stintgrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/sigv4/grpcsig"
)

// CredentialsProvider is what calls are signed with. Every aws.CredentialsProvider of the AWS SDK is one.
type CredentialsProvider = aws.CredentialsProvider

// Option changes how Dial connects or signs.
type Option func(*settings)

type settings struct {
	credentials CredentialsProvider
	authority   string
	region      string
	tls         *tls.Config
	plain       bool
	dial        []grpc.DialOption
	now         func() time.Time
}

// WithCredentials signs calls with what p returns; it is asked again when they expire. Without this option calls are not
// signed, and only operations that need no signature succeed.
func WithCredentials(p CredentialsProvider) Option {
	return func(s *settings) { s.credentials = aws.NewCredentialsCache(p) }
}

// WithTLS uses cfg for the connection. Default: the system's roots, and no TLS for a loopback address.
func WithTLS(cfg *tls.Config) Option { return func(s *settings) { s.tls = cfg.Clone() } }

// WithInsecure connects without TLS to any address. Whoever is on the way then reads the credentials that are handed out.
func WithInsecure() Option { return func(s *settings) { s.plain = true } }

// WithRegion names the region of the credential scope. Default "us-east-1"; stint accepts any.
func WithRegion(region string) Option { return func(s *settings) { s.region = region } }

// WithAuthority sets the :authority of calls, which is signed and is the name that the server's certificate must have. Default:
// host and port of the target. Targets of other schemes than dns need it.
func WithAuthority(authority string) Option { return func(s *settings) { s.authority = authority } }

// WithDialOptions passes further options to grpc.NewClient. Interceptors see the messages before they are encoded.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}

// Client is the STS operations over one connection. It is safe for concurrent use. Errors of calls are gRPC statuses; AsError
// reads what AWS says in them.
type Client struct {
	stsv1.STSClient
	conn *grpc.ClientConn
}

// Dial makes a client of the stint at target, "host:port" or a gRPC target. It connects with the first call.
func Dial(target string, options ...Option) (*Client, error) {
	s := settings{region: "us-east-1", authority: authorityOf(target), now: time.Now}
	for _, o := range options {
		o(&s)
	}
	if s.tls != nil && s.plain {
		return nil, errors.New("stintgrpc: WithTLS and WithInsecure exclude each other")
	}
	// The signing interceptor comes last, next to the wire: what others change is signed too.
	dial := append([]grpc.DialOption{
		grpc.WithTransportCredentials(s.transport()),
		grpc.WithAuthority(s.authority),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(grpcsig.Codec())),
	}, s.dial...)
	conn, err := grpc.NewClient(target, append(dial, grpc.WithChainUnaryInterceptor(s.sign))...)
	if err != nil {
		return nil, fmt.Errorf("stintgrpc: %w", err)
	}
	return &Client{STSClient: stsv1.NewSTSClient(conn), conn: conn}, nil
}

// Close closes the connection; calls in flight fail.
func (c *Client) Close() error { return c.conn.Close() }

// authorityOf is host and port of a target.
func authorityOf(target string) string {
	if scheme, rest, ok := strings.Cut(target, "://"); ok {
		target = rest
		if scheme == "dns" || scheme == "passthrough" { // dns://authority/host:port
			_, target, _ = strings.Cut(rest, "/")
		}
	}
	return target
}

func (s *settings) transport() credentials.TransportCredentials {
	switch {
	case s.tls != nil:
		return credentials.NewTLS(s.tls)
	case s.plain || isLoopback(s.authority):
		return insecure.NewCredentials()
	default:
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
}

func isLoopback(authority string) bool {
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = authority
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// sign encodes the request once, signs these bytes, and sends them.
func (s *settings) sign(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption) error {
	typed, ok := request.(proto.Message)
	if !ok {
		return fmt.Errorf("stintgrpc: %T is no protobuf message", request)
	}
	encoded, err := proto.Marshal(typed)
	if err != nil {
		return fmt.Errorf("stintgrpc: %w", err)
	}
	if s.credentials != nil {
		if ctx, err = s.authenticate(ctx, method, encoded); err != nil {
			return fmt.Errorf("stintgrpc: %w", err)
		}
	}
	return call(ctx, method, &grpcsig.Message{Bytes: encoded}, reply, conn, options...)
}

func (s *settings) authenticate(ctx context.Context, method string, message []byte) (context.Context, error) {
	c, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	signed, err := grpcsig.Sign(method, s.authority, message, sigv4.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: secret.New(c.SecretAccessKey), SessionToken: secret.New(c.SessionToken),
	}, s.region, s.now())
	if err != nil {
		return nil, err
	}
	outgoing, _ := metadata.FromOutgoingContext(ctx)
	outgoing = outgoing.Copy()
	for key, values := range signed { // in place of what the caller may have put there: given twice, they are refused
		outgoing[key] = values
	}
	return metadata.NewOutgoingContext(ctx, outgoing), nil
}
