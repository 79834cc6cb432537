package stintgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	stsv1 "github.com/stint-sts/stint/proto/stint/sts/v1"
	"github.com/stint-sts/stint/stintgrpc"
)

// credentials are what config.LoadDefaultConfig finds: cfg.Credentials.
var credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, nil
})

func Example() {
	address, stop := pretend()
	defer stop()

	client, err := stintgrpc.Dial(address, stintgrpc.WithCredentials(credentials))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	out, err := client.GetCallerIdentity(context.Background(), &stsv1.GetCallerIdentityRequest{})
	if err != nil {
		if e, ok := stintgrpc.AsError(err); ok {
			log.Fatalf("%s (%s)", e, e.RequestID)
		}
		log.Fatal(err)
	}
	fmt.Println(out.GetArn())
	// Output: arn:aws:iam::111122223333:user/alice
}

// pretend is a server that knows one caller and checks nothing.
func pretend() (address string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer()
	stsv1.RegisterSTSServer(s, alice{})
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), s.Stop
}

type alice struct{ stsv1.UnimplementedSTSServer }

func (alice) GetCallerIdentity(ctx context.Context, _ *stsv1.GetCallerIdentityRequest) (*stsv1.GetCallerIdentityResponse, error) {
	if md, _ := metadata.FromIncomingContext(ctx); len(md["authorization"]) != 1 {
		return nil, errors.New("not signed")
	}
	return &stsv1.GetCallerIdentityResponse{UserId: "AIDAEXAMPLE", Account: "111122223333", Arn: "arn:aws:iam::111122223333:user/alice"}, nil
}
