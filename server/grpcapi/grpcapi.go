// Package grpcapi is the gRPC face of stint. It owns the translation between protobuf and typed operations; rules are
// below the dispatcher.
package grpcapi

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// Config is what a Server needs.
type Config struct {
	TLS *tls.Config // nil: plain text, for loopback addresses
}

// Server serves gRPC: health and reflection.
type Server struct {
	grpc   *grpc.Server
	health *health.Server
}

// Bounds on what a client may send and hold.
const (
	maxMessage    = 512 << 10
	maxStreams    = 256
	idleTimeout   = 2 * time.Minute
	leastPingTime = 10 * time.Second
)

// New makes a Server.
func New(cfg Config) *Server {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPingTime, PermitWithoutStream: true}),
	}
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(cfg.TLS)))
	}
	s := &Server{grpc: grpc.NewServer(options...), health: health.NewServer()}
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return s
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
