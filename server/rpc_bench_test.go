package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/server/grpcapi"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/sigv4/grpcsig"
)

// What a call costs over loopback by either transport, client and server together; the calls are signed beforehand. Compare the
// rows of one run.
func BenchmarkTransport(b *testing.B) {
	role := &stsv1.AssumeRoleRequest{RoleArn: "arn:aws:iam::111122223333:role/worker", RoleSessionName: "monday"}
	for _, row := range []struct {
		operation, form string
		message         proto.Message
	}{
		{"GetCallerIdentity", "Action=GetCallerIdentity&Version=2011-06-15", &stsv1.GetCallerIdentityRequest{}},
		{
			"AssumeRole", "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fworker&RoleSessionName=monday",
			role,
		},
	} {
		b.Run(row.operation+"/HTTP", func(b *testing.B) {
			x := newBench(b)
			address := x.serveHTTP()
			client := &http.Client{Transport: &http.Transport{}}
			x.batches(func() func() error {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+address+"/", strings.NewReader(row.form))
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				signed := sigv4.Request{Method: r.Method, Path: "/", Host: address, Header: r.Header, Body: []byte(row.form)}
				if err := sigv4.Sign(&signed, x.user, "us-east-1", "sts", time.Now()); err != nil {
					b.Fatal(err)
				}
				return func() error {
					response, err := client.Do(r)
					if err != nil {
						return err
					}
					defer func() { _ = response.Body.Close() }()
					if response.StatusCode != http.StatusOK {
						b.Fatal(response.Status)
					}
					_, err = io.Copy(io.Discard, response.Body)
					return err
				}
			})
		})
		b.Run(row.operation+"/gRPC", func(b *testing.B) {
			x := newBench(b)
			address := x.serveRPC()
			conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(grpcsig.Codec())))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			method := "/stint.sts.v1.STS/" + row.operation
			x.batches(func() func() error {
				message, err := proto.Marshal(row.message)
				if err != nil {
					b.Fatal(err)
				}
				md, err := grpcsig.Sign(method, address, message, x.user, "us-east-1", time.Now())
				if err != nil {
					b.Fatal(err)
				}
				ctx := metadata.NewOutgoingContext(b.Context(), md)
				return func() error {
					return conn.Invoke(ctx, method, &grpcsig.Message{Bytes: message}, new(grpcsig.Message))
				}
			})
		})
	}
}

// batches measures calls that were prepared outside of the measurement.
func (x *bench) batches(prepare func() func() error) {
	x.b.ReportAllocs()
	const batch = 1000
	for left := x.b.N; left > 0; left -= batch {
		x.b.StopTimer()
		calls := make([]func() error, 0, batch)
		for range min(batch, left) {
			calls = append(calls, prepare())
		}
		x.b.StartTimer()
		for _, call := range calls {
			if err := call(); err != nil {
				x.b.Fatal(err)
			}
		}
	}
}

func (x *bench) listener() net.Listener {
	x.b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		x.b.Fatal(err)
	}
	return l
}

func (x *bench) serveHTTP() string {
	l, s := x.listener(), NewHTTPServer(x.handler)
	go func() { _ = s.Serve(l) }()
	x.b.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

func (x *bench) serveRPC() string {
	l := x.listener()
	s, err := grpcapi.New(grpcapi.Config{Front: x.front, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		x.b.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	x.b.Cleanup(func() { s.Stop(context.Background()) })
	return l.Addr().String()
}
