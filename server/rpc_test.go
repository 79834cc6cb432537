package server_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/sigv4/grpcsig"
	"github.com/stint-sts/stint/stintgrpc"
)

// rpc is one gRPC call as it travels. What is signed and what is sent need not be the same.
type rpc struct {
	method    string // "AssumeRole", or a full name
	authority string // empty: the server's address
	message   []byte
	md        metadata.MD
}

// fullMethod is the full name of an operation.
func fullMethod(operation string) string { return "/stint.sts.v1.STS/" + operation }

// dialRPC opens a plain connection to the node's gRPC listener, which signs nothing by itself.
func (n *running) dialRPC() *grpc.ClientConn {
	n.t.Helper()
	conn, err := grpc.NewClient(n.at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// signedRPC is a call with a right signature.
func (n *running) signedRPC(operation string, in proto.Message, c sigv4.Credentials, at time.Time) rpc {
	n.t.Helper()
	encoded, err := proto.Marshal(in)
	if err != nil {
		n.t.Fatal(err)
	}
	call := rpc{method: operation, message: encoded}
	if call.md, err = grpcsig.Sign(fullMethod(operation), n.at.GRPC, encoded, c, "eu-west-1", at); err != nil {
		n.t.Fatal(err)
	}
	return call
}

// send makes the call and returns the encoded answer with its header.
func (r rpc) send(ctx context.Context, conn *grpc.ClientConn) (answer []byte, header metadata.MD, err error) {
	method := r.method
	if method[0] != '/' {
		method = fullMethod(method)
	}
	options := []grpc.CallOption{grpc.ForceCodecV2(grpcsig.Codec()), grpc.Header(&header)}
	if r.authority != "" {
		options = append(options, grpc.CallAuthority(r.authority))
	}
	var out grpcsig.Message
	err = conn.Invoke(metadata.NewOutgoingContext(ctx, r.md), method, &grpcsig.Message{Bytes: r.message}, &out, options...)
	return out.Bytes, header, err
}

// codeOf is the AWS error code of err; empty for none, "?" for an error that says no code.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := stintgrpc.AsError(err); ok {
		return e.Code
	}
	return "?"
}

// Neither method, message, server nor time of a signed call can be exchanged.
func TestRPC_Signature(t *testing.T) {
	t.Parallel()
	n := serve(t, nil)
	conn := n.dialRPC()
	second := int32(3600)
	longer, _ := proto.Marshal(&stsv1.GetSessionTokenRequest{DurationSeconds: new(int32(3601))})
	unknown := n.root
	unknown.AccessKeyID = "AKIAIOSFODNN7EXAMPLE"
	const wrong = "SignatureDoesNotMatch"
	for _, row := range []struct {
		name   string
		creds  *sigv4.Credentials
		at     time.Duration // from now
		change func(*rpc)
		code   string
	}{
		{"as signed", nil, 0, func(*rpc) {}, ""},
		{"14 minutes old", nil, -14 * time.Minute, func(*rpc) {}, ""},
		{"16 minutes old", nil, -16 * time.Minute, func(*rpc) {}, wrong},
		{"16 minutes ahead", nil, 16 * time.Minute, func(*rpc) {}, wrong},
		{"the hash of the message is left out", nil, 0, func(r *rpc) { delete(r.md, "x-amz-content-sha256") }, wrong}, // it was signed
		{"another method", nil, 0, func(r *rpc) { r.method = "GetCallerIdentity" }, wrong},
		{"another message", nil, 0, func(r *rpc) { r.message = longer }, wrong},
		{"no message", nil, 0, func(r *rpc) { r.message = nil }, wrong},
		{"an unknown field added", nil, 0, func(r *rpc) { r.message = append(r.message, 0x78, 1) }, wrong},
		{"a byte changed", nil, 0, func(r *rpc) { r.message[len(r.message)-1] ^= 1 }, wrong},
		{"the same message, encoded otherwise", nil, 0, func(r *rpc) {
			r.message = []byte{r.message[0], r.message[1] | 0x80, r.message[2] | 0x80, 0} // the number with a byte too many
		}, wrong},
		{"another message with its hash", nil, 0, func(r *rpc) {
			resigned, _ := grpcsig.Sign(fullMethod("GetSessionToken"), n.at.GRPC, longer, n.root, "eu-west-1", time.Now())
			r.message, r.md["x-amz-content-sha256"] = longer, resigned["x-amz-content-sha256"]
		}, wrong},
		{"the hash says that nothing is signed", nil, 0, func(r *rpc) { r.md.Set("x-amz-content-sha256", "UNSIGNED-PAYLOAD") }, wrong},
		{"another server", nil, 0, func(r *rpc) { r.authority = "sts.example.com" }, wrong},
		{"another port of the server", nil, 0, func(r *rpc) { r.authority = "127.0.0.1:1" }, wrong},
		{"another date", nil, 0, func(r *rpc) { r.md.Set("x-amz-date", time.Now().UTC().Add(time.Second).Format("20060102T150405Z")) }, wrong},
		{"no date but Date", nil, 0, func(r *rpc) { r.md.Set("date", r.md["x-amz-date"][0]); delete(r.md, "x-amz-date") }, "IncompleteSignature"},
		{"authorization twice", nil, 0, func(r *rpc) { r.md.Append("authorization", r.md["authorization"][0]) }, "IncompleteSignature"},
		{"date twice", nil, 0, func(r *rpc) { r.md.Append("x-amz-date", r.md["x-amz-date"][0]) }, "IncompleteSignature"},
		{"hash twice", nil, 0, func(r *rpc) { r.md.Append("x-amz-content-sha256", r.md["x-amz-content-sha256"][0]) }, "IncompleteSignature"},
		{"session token twice", nil, 0, func(r *rpc) { r.md.Append("x-amz-security-token", "a", "b") }, "IncompleteSignature"},
		{"a session token added", nil, 0, func(r *rpc) { r.md.Set("x-amz-security-token", "a") }, wrong}, // it is not among the signed headers
		{"an unsigned x-amz- header", nil, 0, func(r *rpc) { r.md.Set("x-amz-target", "a") }, wrong},
		{"a header that does not matter", nil, 0, func(r *rpc) { r.md.Set("x-colour", "red", "blue") }, ""},
		{"no authorization", nil, 0, func(r *rpc) { delete(r.md, "authorization") }, "MissingAuthenticationToken"},
		{"another scheme", nil, 0, func(r *rpc) { r.md.Set("authorization", "Bearer abc") }, "IncompleteSignature"},
		{"a key that nobody has", &unknown, 0, func(*rpc) {}, "InvalidClientTokenId"},
		{"signed for IAM", nil, 0, func(r *rpc) {
			signed := sigv4.Request{Method: "POST", Path: fullMethod(r.method), Host: n.at.GRPC, Body: r.message}
			_ = sigv4.Sign(&signed, n.root, "eu-west-1", "iam", time.Now())
			r.md = metadata.Pairs("authorization", signed.Header["Authorization"][0], "x-amz-date", signed.Header["X-Amz-Date"][0])
		}, wrong},
		{"signed without the header of the hash", nil, 0, func(r *rpc) {
			signed := sigv4.Request{Method: "POST", Path: fullMethod(r.method), Host: n.at.GRPC, Body: r.message}
			_ = sigv4.Sign(&signed, n.root, "eu-west-1", "sts", time.Now())
			r.md = metadata.Pairs("authorization", signed.Header["Authorization"][0], "x-amz-date", signed.Header["X-Amz-Date"][0])
		}, ""},
		{"signed for the Query API", nil, 0, func(r *rpc) {
			signed := sigv4.Request{Method: "POST", Path: "/", Host: n.at.GRPC, Body: r.message}
			_ = sigv4.Sign(&signed, n.root, "eu-west-1", "sts", time.Now())
			r.md = metadata.Pairs("authorization", signed.Header["Authorization"][0], "x-amz-date", signed.Header["X-Amz-Date"][0])
		}, wrong},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			creds := n.root
			if row.creds != nil {
				creds = *row.creds
			}
			call := n.signedRPC("GetSessionToken", &stsv1.GetSessionTokenRequest{DurationSeconds: &second}, creds, time.Now().Add(row.at))
			row.change(&call)
			_, header, err := call.send(t.Context(), conn)
			if code := codeOf(err); code != row.code {
				t.Errorf("%q, want %q: %v", code, row.code, err)
			}
			if id := header.Get("x-amzn-requestid"); len(id) != 1 || !uuid.MatchString(id[0]) {
				t.Errorf("request id %q", id)
			}
			if e, ok := stintgrpc.AsError(err); ok && (e.RequestID != header.Get("x-amzn-requestid")[0] || e.Fault != "Sender") {
				t.Errorf("error says %+v", e)
			}
		})
	}
}

// The client of a program: one line, and the credentials of the AWS SDK.
func TestClient(t *testing.T) {
	t.Parallel()
	n := serve(t, nil)
	alice := n.newUser("alice")
	asked := 0
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		asked++
		return aws.Credentials{AccessKeyID: alice.AccessKeyID, SecretAccessKey: alice.SecretAccessKey.Reveal()}, nil
	})
	client, err := stintgrpc.Dial(n.at.GRPC, stintgrpc.WithCredentials(provider), stintgrpc.WithRegion("eu-north-1"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	session, err := client.GetSessionToken(t.Context(), &stsv1.GetSessionTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	// What is in the way of the signature is replaced, not added to.
	crowded := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer x", "x-amz-date", "y", "x-request-source", "z")
	if who, err := client.GetCallerIdentity(crowded, &stsv1.GetCallerIdentityRequest{}); err != nil || who.GetArn() != "arn:aws:iam::111122223333:user/alice" {
		t.Errorf("%v, %v", who, err)
	}
	if asked != 1 {
		t.Errorf("the provider was asked %d times", asked)
	}
	c := session.GetCredentials()
	temporary, err := stintgrpc.Dial("dns:///"+n.at.GRPC, stintgrpc.WithCredentials(credentials.NewStaticCredentialsProvider(c.GetAccessKeyId(), c.GetSecretAccessKey(), c.GetSessionToken())))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = temporary.Close() }()
	if who, err := temporary.GetCallerIdentity(t.Context(), &stsv1.GetCallerIdentityRequest{}); err != nil || who.GetArn() != "arn:aws:iam::111122223333:user/alice" {
		t.Errorf("with a session: %v, %v", who, err)
	}
	_, err = temporary.GetSessionToken(t.Context(), &stsv1.GetSessionTokenRequest{})
	if e, ok := stintgrpc.AsError(err); !ok || e.Code != "AccessDenied" || e.Message != "Cannot call GetSessionToken with session credentials" || e.Fault != "Sender" {
		t.Errorf("a session in a session: %v", err)
	}
	unsigned, err := stintgrpc.Dial(n.at.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unsigned.Close() }()
	if _, err := unsigned.GetCallerIdentity(t.Context(), &stsv1.GetCallerIdentityRequest{}); codeOf(err) != "MissingAuthenticationToken" {
		t.Errorf("without credentials: %v", err)
	}
}

func TestClient_TLS(t *testing.T) {
	t.Parallel()
	files := newPair(t)
	pool := files.write(t, 1, time.Now())
	n := serve(t, map[string]string{"STINT_TLS_CERT": files.cert, "STINT_TLS_KEY": files.key})
	provider := credentials.NewStaticCredentialsProvider(n.root.AccessKeyID, n.root.SecretAccessKey.Reveal(), "")
	ask := func(options ...stintgrpc.Option) error {
		client, err := stintgrpc.Dial(n.at.GRPC, append(options, stintgrpc.WithCredentials(provider))...)
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		_, err = client.GetCallerIdentity(t.Context(), &stsv1.GetCallerIdentityRequest{})
		return err
	}
	if err := ask(stintgrpc.WithTLS(&tls.Config{RootCAs: pool})); err != nil {
		t.Error(err)
	}
	if err := ask(stintgrpc.WithTLS(&tls.Config{})); status.Code(err) != codes.Unavailable {
		t.Errorf("a certificate of an unknown authority: %v", err)
	}
	if err := ask(); err == nil {
		t.Error("plain text to a listener with TLS")
	}
	if err := ask(stintgrpc.WithTLS(&tls.Config{}), stintgrpc.WithInsecure()); err == nil {
		t.Error("with and without TLS at once")
	}
}
