// Package grpcapi is the gRPC face of stint. It owns the translation between protobuf and typed operations; rules are
// below the dispatcher.
//
// The service has no code of its own for an operation: each method of the .proto file is the row of that name in the dispatch
// table, and its messages are paired with the row's Go types when the server is made.
package grpcapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sigv4/grpcsig"
)

// Config is what a Server needs.
type Config struct {
	Front *dispatch.Front
	Log   *slog.Logger
	TLS   *tls.Config // nil: plain text, for loopback addresses
}

// Server serves gRPC: the STS operations, health and reflection.
type Server struct {
	front  *dispatch.Front
	log    *slog.Logger
	grpc   *grpc.Server
	health *health.Server
	open   atomic.Int64 // streams of the STS service, from their headers to their end
}

// Bounds on what a client may send and hold. A message has room for every legal request: AWS's longest field, a SAML assertion,
// has 100,000 characters.
const (
	maxMessage    = 256 << 10
	maxHeader     = 64 << 10
	maxStreams    = 128 // of one connection
	idleTimeout   = 2 * time.Minute
	leastPingTime = 10 * time.Second
	handshakeTime = 10 * time.Second
	openPerCall   = 2 // streams that may be open, for each call that may run
)

// service is the STS service as the .proto files describe it.
var service = stsv1.File_stint_sts_v1_sts_proto.Services().ByName("STS")

// New makes a Server. The error tells where the .proto files and the table of operations do not fit together.
func New(cfg Config) (*Server, error) {
	s := &Server{front: cfg.Front, log: cfg.Log, health: health.NewServer()}
	methods, err := s.methods()
	if err != nil {
		return nil, err
	}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(grpcsig.Codec()),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPingTime, PermitWithoutStream: true}),
		grpc.InTapHandle(s.admit),
		grpc.UnknownServiceHandler(s.unknown),
	}
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(cfg.TLS)))
	}
	s.grpc = grpc.NewServer(options...)
	s.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: string(service.FullName()), HandlerType: (*any)(nil), Methods: methods, Metadata: service.ParentFile().Path(),
	}, nil)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	s.health.SetServingStatus(string(service.FullName()), healthpb.HealthCheckResponse_SERVING)
	reflection.Register(s.grpc)
	return s, nil
}

// Serve accepts connections until Stop; it returns nil then.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Stop tells health checks that the server goes, and waits for running calls until ctx ends.
func (s *Server) Stop(ctx context.Context) {
	s.health.Shutdown()
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
}

// method is one RPC: a row of the table and how its types are written.
type method struct {
	name          string // full: /stint.sts.v1.STS/AssumeRole
	operation     *dispatch.Operation
	input, output *message
}

// methods makes the handlers of all RPCs.
func (s *Server) methods() ([]grpc.MethodDesc, error) {
	var descs []grpc.MethodDesc
	var faults []error
	for i := range service.Methods().Len() {
		d := service.Methods().Get(i)
		m, err := newMethod(s.front.Table, d)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		descs = append(descs, grpc.MethodDesc{MethodName: string(d.Name()), Handler: s.handler(m)})
	}
	return descs, errors.Join(faults...)
}

func newMethod(table *dispatch.Table, d protoreflect.MethodDescriptor) (*method, error) {
	o := table.Lookup("sts", string(d.Name()))
	if o == nil || o.Output == nil {
		return nil, fmt.Errorf("%s is no operation with a result", d.FullName())
	}
	m := &method{name: fmt.Sprintf("/%s/%s", service.FullName(), d.Name()), operation: o}
	var inputErr, outputErr error
	m.input, inputErr = compile(o.Input, d.Input())
	m.output, outputErr = compile(o.Output, d.Output())
	return m, errors.Join(inputErr, outputErr)
}

// handler answers the calls of one RPC.
func (s *Server) handler(m *method) grpc.MethodHandler {
	return func(_ any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		x := s.begin(ctx)
		x.Service, x.Operation = m.operation.Service, m.operation.Name
		var in grpcsig.Message
		if err := receive(&in); err != nil {
			return nil, err
		}
		out, answer := s.serve(ctx, m, &x, in.Bytes)
		s.front.Finish(ctx, &x, &out)
		if out.Err != nil {
			return nil, statusOf(out.Err, x.RequestID)
		}
		return &grpcsig.Message{Bytes: answer}, nil
	}
}

// begin starts the record of a call, and gives its id to the caller.
func (s *Server) begin(ctx context.Context) dispatch.Exchange {
	x := s.front.Begin(dispatch.GRPC)
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-amzn-requestid", x.RequestID)) // fails only when headers were sent
	return x
}

// serve runs the call and encodes its result.
func (s *Server) serve(ctx context.Context, m *method, x *dispatch.Exchange, request []byte) (out dispatch.Outcome, answer []byte) {
	defer func() {
		// The dispatcher has its own; a panic in here would end the process, not the call.
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "panic", "operation", m.name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			out, answer = dispatch.Failed(fmt.Errorf("panic in %s", m.name)), nil
		}
	}()
	if err := s.front.Enter(); err != nil {
		return dispatch.Failed(err), nil
	}
	defer s.front.Leave()
	ctx, cancel := context.WithTimeout(ctx, s.front.Timeout)
	defer cancel()
	out = s.front.Dispatcher.Do(ctx, s.call(ctx, m, x, request))
	if out.Err != nil {
		return out, nil
	}
	return out, m.output.encode(make([]byte, 0, typicalAnswer), out.Output)
}

// typicalAnswer has room for the answer to most calls: credentials with a session token.
const typicalAnswer = 1 << 10

// call is the call as the dispatcher takes it.
func (s *Server) call(ctx context.Context, m *method, x *dispatch.Exchange, request []byte) *dispatch.Call {
	md, _ := metadata.FromIncomingContext(ctx)
	remote, overTLS := "", false
	var certificate []string
	if p, ok := peer.FromContext(ctx); ok {
		remote = p.Addr.String()
		var info credentials.TLSInfo
		if info, overTLS = p.AuthInfo.(credentials.TLSInfo); overTLS {
			certificate = certificateNames(&info.State, x.Start)
		}
	}
	address, secure := s.front.Proxies.Peer(remote, overTLS, md["x-forwarded-for"], md["x-forwarded-proto"])
	return &dispatch.Call{
		Operation: m.operation,
		Signature: grpcsig.Request(m.name, first(md, ":authority"), md, secure, request),
		Request: authn.Request{
			ID: x.RequestID, Service: m.operation.Service, Operation: m.operation.Name, Time: x.Start,
			SourceIP: address, UserAgent: first(md, "user-agent"), Referer: first(md, "referer"), SecureTransport: secure,
			Certificate: certificate,
		},
		Version: first(md, strings.ToLower(dispatch.VersionHeader)),
		Decode:  func(_ *shape.Shape, into any) error { return m.input.decode(request, into) },
	}
}

func first(md metadata.MD, key string) string {
	if values := md[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// admit bounds how many streams of the service are open, and how long: one that sends its message slowly, or never, holds memory
// before it holds a place among the calls in flight. It runs in the connection's reader and must not block.
func (s *Server) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	if !isOurs(info.FullMethodName) {
		return ctx, nil
	}
	if s.open.Add(1) > int64(openPerCall*s.front.MaxInFlight) {
		s.open.Add(-1)
		return nil, status.Error(codes.Unavailable, awserr.From(dispatch.Busy()).Message)
	}
	// Longer than the call may take by twice, so that its own time-out can still be answered.
	bounded, cancel := context.WithTimeout(ctx, 3*s.front.Timeout)
	context.AfterFunc(bounded, func() {
		cancel()
		s.open.Add(-1)
	})
	return bounded, nil
}

func isOurs(fullMethod string) bool {
	rest, ok := strings.CutPrefix(fullMethod, "/"+string(service.FullName()))
	return ok && strings.HasPrefix(rest, "/")
}

// unknown answers calls of methods that there are not, as the Query API answers an unknown action.
func (s *Server) unknown(_ any, stream grpc.ServerStream) error {
	ctx := stream.Context()
	x := s.begin(ctx)
	name, _ := grpc.MethodFromServerStream(stream)
	out := dispatch.Failed(awserr.Newf(awserr.InvalidAction, "Could not find operation %s", clip(name)))
	s.front.Finish(ctx, &x, &out)
	return statusOf(out.Err, x.RequestID)
}

// clip bounds foreign text in a message.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
