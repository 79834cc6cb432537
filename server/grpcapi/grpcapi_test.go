package grpcapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/server/grpcapi"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/stintgrpc"
	"github.com/stint-sts/stint/sts"
)

// door is an authenticator that lets everybody in as alice, unless ask says otherwise.
type door struct {
	ask func(context.Context, *sigv4.Request, *authn.Request) error
}

func (d door) Authenticate(ctx context.Context, r *sigv4.Request, req *authn.Request) (*authn.Caller, error) {
	if d.ask != nil {
		if err := d.ask(ctx, r, req); err != nil {
			return nil, err
		}
	}
	return &authn.Caller{Kind: authn.User, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/alice", UserID: "AIDA", Request: req, Entity: &authn.Entity{}}, nil
}

func (door) Record(context.Context, *audit.Event) error { return nil }

// journal collects log records and counted calls.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	calls []string
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) count(transport, service, operation, code string, _ time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls = append(j.calls, strings.Join([]string{transport, service, operation, code}, " "))
}

func (j *journal) lines() (records []map[string]any, calls []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for d := json.NewDecoder(bytes.NewReader(j.text.Bytes())); d.More(); {
		var record map[string]any
		if d.Decode(&record) != nil {
			break
		}
		records = append(records, record)
	}
	return records, append([]string(nil), j.calls...)
}

// start serves over services that do nothing, behind d.
func start(t *testing.T, d door, inFlight int, timeout time.Duration, proxies ...string) (*grpc.ClientConn, *grpcapi.Server, *journal) {
	t.Helper()
	j := &journal{}
	log := slog.New(slog.NewJSONHandler(j, nil))
	cfg := dispatch.FrontConfig{
		Table: dispatch.NewTable(&sts.Service{}, &iam.Service{}), MaxInFlight: inFlight, Timeout: timeout, Count: j.count, Log: log, Now: time.Now,
		Dispatcher: dispatch.New(dispatch.Config{Authenticator: d, Recorder: d, Log: log, Used: func(*authn.Caller) {}}),
	}
	for _, p := range proxies {
		cfg.Proxies = append(cfg.Proxies, netip.MustParsePrefix(p))
	}
	s, err := grpcapi.New(grpcapi.Config{Front: dispatch.NewFront(cfg), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Stop(ctx)
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return conn, s, j
}

func whoAmI(ctx context.Context, conn *grpc.ClientConn, options ...grpc.CallOption) (*stsv1.GetCallerIdentityResponse, error) {
	return stsv1.NewSTSClient(conn).GetCallerIdentity(ctx, &stsv1.GetCallerIdentityRequest{}, options...)
}

func code(err error) string {
	if e, ok := stintgrpc.AsError(err); ok {
		return e.Code
	}
	return status.Code(err).String()
}

// One record in the log and one in the metrics for each call, with the id that the caller has.
func TestServer_Accounts(t *testing.T) {
	t.Parallel()
	conn, _, j := start(t, door{}, 4, time.Minute)
	var header metadata.MD
	out, err := whoAmI(t.Context(), conn, grpc.Header(&header))
	if err != nil || out.GetArn() != "arn:aws:iam::111122223333:user/alice" {
		t.Fatal(out, err)
	}
	if _, err := whoAmI(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	unknown := conn.Invoke(t.Context(), "/stint.sts.v1.STS/Fly", &stsv1.GetCallerIdentityRequest{}, &stsv1.GetCallerIdentityResponse{})
	if e, ok := stintgrpc.AsError(unknown); !ok || e.Code != "InvalidAction" || e.Status != codes.Unimplemented {
		t.Errorf("an unknown method gives %v", unknown)
	}
	records, calls := j.lines()
	want := []string{"grpc sts GetCallerIdentity ", "grpc sts GetCallerIdentity ", "grpc   InvalidAction"}
	if strings.Join(calls, "\n") != strings.Join(want, "\n") || len(records) != len(want) {
		t.Fatalf("counted %q, logged %v", calls, records)
	}
	if r := records[0]; r["request_id"] != header.Get("x-amzn-requestid")[0] || r["transport"] != "grpc" || r["status"] != "OK" ||
		r["operation"] != "GetCallerIdentity" || r["caller"] != "arn:aws:iam::111122223333:user/alice" || r["level"] != "INFO" {
		t.Errorf("logged %v", r)
	}
	if r := records[2]; r["status"] != "Unimplemented" || r["code"] != "InvalidAction" {
		t.Errorf("logged %v", r)
	}
}

// A panic is that call's InternalFailure, and says nothing.
func TestServer_SurvivesPanics(t *testing.T) {
	t.Parallel()
	conn, _, _ := start(t, door{ask: func(_ context.Context, r *sigv4.Request, _ *authn.Request) error {
		if len(r.Header["X-Panic"]) > 0 {
			panic("secret")
		}
		return nil
	}}, 4, time.Minute)
	_, err := whoAmI(metadata.AppendToOutgoingContext(t.Context(), "x-panic", "1"), conn)
	if e, ok := stintgrpc.AsError(err); !ok || e.Code != "InternalFailure" || e.Fault != "Receiver" || strings.Contains(err.Error(), "secret") {
		t.Errorf("a panic gives %v", err)
	}
	// An operation over a service that has nothing panics too: in the dispatcher.
	if _, err := stsv1.NewSTSClient(conn).GetSessionToken(t.Context(), &stsv1.GetSessionTokenRequest{}); code(err) != "InternalFailure" {
		t.Errorf("a panic in the operation gives %v", err)
	}
	if _, err := whoAmI(t.Context(), conn); err != nil {
		t.Error(err)
	}
}

// More calls than may run get ServiceUnavailable, and a place that is free again is used again.
func TestServer_BoundsCallsInFlight(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	conn, _, _ := start(t, door{ask: func(ctx context.Context, r *sigv4.Request, _ *authn.Request) error {
		if len(r.Header["X-Wait"]) > 0 {
			entered <- struct{}{}
			<-release
		}
		return nil
	}}, 1, time.Minute)
	first := make(chan error, 1)
	go func() {
		_, err := whoAmI(metadata.AppendToOutgoingContext(t.Context(), "x-wait", "1"), conn)
		first <- err
	}()
	<-entered
	_, err := whoAmI(t.Context(), conn)
	if e, ok := stintgrpc.AsError(err); !ok || e.Code != "ServiceUnavailable" || e.Status != codes.Unavailable {
		t.Errorf("the second call: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := whoAmI(t.Context(), conn); err != nil {
		t.Error(err)
	}
}

// Streams that never send their message are bounded in number and in time.
func TestServer_BoundsOpenStreams(t *testing.T) {
	t.Parallel()
	conn, _, _ := start(t, door{}, 1, time.Second)
	desc := &grpc.StreamDesc{ClientStreams: true}
	var held []grpc.ClientStream
	for range 2 { // twice the calls that may run
		s, err := conn.NewStream(t.Context(), desc, stsv1.STS_GetCallerIdentity_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, s)
	}
	if _, err := whoAmI(t.Context(), conn); status.Code(err) != codes.Unavailable {
		t.Errorf("one too many: %v", err)
	}
	for _, s := range held {
		if err := s.RecvMsg(new(stsv1.GetCallerIdentityResponse)); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a stream that says nothing ends with %v", err)
		}
	}
	_, err := whoAmI(t.Context(), conn)
	for range 1000 { // they are counted off beside their answer
		if status.Code(err) != codes.Unavailable {
			break
		}
		_, err = whoAmI(t.Context(), conn)
	}
	if err != nil {
		t.Errorf("after they have gone: %v", err)
	}
}

// The caller's deadline reaches the operation, and the server has its own.
func TestServer_Deadlines(t *testing.T) {
	t.Parallel()
	left := make(chan time.Duration, 2)
	conn, _, _ := start(t, door{ask: func(ctx context.Context, _ *sigv4.Request, _ *authn.Request) error {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		return nil
	}}, 1, time.Minute)
	if _, err := whoAmI(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if d := <-left; d > time.Minute || d <= 0 {
		t.Errorf("without a deadline of the caller the call has %v", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := whoAmI(ctx, conn); err != nil {
		t.Fatal(err)
	}
	if d := <-left; d > 30*time.Second || d <= 0 {
		t.Errorf("of the caller's 30 seconds the call has %v", d)
	}
	gone, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := whoAmI(gone, conn); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a deadline that is over: %v", err)
	}
}

func TestServer_MessageSize(t *testing.T) {
	t.Parallel()
	conn, _, _ := start(t, door{}, 1, time.Minute)
	ask := func(n int) error {
		_, err := stsv1.NewSTSClient(conn).AssumeRole(t.Context(), &stsv1.AssumeRoleRequest{Policy: new(strings.Repeat("a", n))})
		return err
	}
	if err := ask(200_000); code(err) != "ValidationError" {
		t.Errorf("a long message: %v", err)
	}
	if err := ask(256 << 10); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one too long: %v", err)
	}
}

// What policies and the audit are told of where a call came from.
func TestServer_Peer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, proxies, address string
		secure                 bool
	}{
		{"a stranger's word", "10.0.0.0/8", "127.0.0.1", false},
		{"a trusted proxy's word", "127.0.0.0/8", "203.0.113.9", true},
	} {
		var came authn.Request
		conn, _, _ := start(t, door{ask: func(_ context.Context, _ *sigv4.Request, r *authn.Request) error { came = *r; return nil }}, 1, time.Minute, row.proxies)
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-forwarded-for", "203.0.113.9", "x-forwarded-proto", "https")
		if _, err := whoAmI(ctx, conn); err != nil {
			t.Fatal(err)
		}
		if came.SourceIP != row.address || came.SecureTransport != row.secure || !strings.HasPrefix(came.UserAgent, "grpc-go/") || came.Operation != "GetCallerIdentity" {
			t.Errorf("%s: %+v", row.name, came)
		}
	}
}

func TestServer_Health(t *testing.T) {
	t.Parallel()
	conn, s, _ := start(t, door{}, 1, time.Minute)
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "stint.sts.v1.STS"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(got, err)
	}
	if got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(got, err)
	}
	stopped := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { s.Stop(ctx); close(stopped) }()
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Error(got, err)
	}
	cancel()
	<-stopped
}

// Tools such as grpcurl find the service and its messages.
func TestServer_Reflection(t *testing.T) {
	t.Parallel()
	conn, _, _ := start(t, door{}, 1, time.Minute)
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(r *reflectionpb.ServerReflectionRequest) *reflectionpb.ServerReflectionResponse {
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	services := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	if !strings.Contains(services.String(), "stint.sts.v1.STS") {
		t.Errorf("services: %v", services)
	}
	file := ask(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "stint.sts.v1.STS.AssumeRole"},
	})
	if len(file.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("file: %v", file)
	}
}
