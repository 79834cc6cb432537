package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stint-sts/stint/agent"
	"github.com/stint-sts/stint/arn"
)

// The commands of this file and of creds.go run beside a workload, on machines that know a stint but no AWS.

// workloadFlags say which role is asked for, of which stint, and what proves that the workload may have it.
type workloadFlags struct {
	*flag.FlagSet
	p program

	role, sessionName, externalID *string
	duration                      *time.Duration
	endpoint, region, caFile      *string
	insecure                      *bool
	tokenFile, profile            *string
	cert, key, grpc               *string
}

func newWorkloadFlags(p program, name, sessionName string) *workloadFlags {
	f := &workloadFlags{FlagSet: flag.NewFlagSet("stint "+name, flag.ContinueOnError), p: p}
	f.SetOutput(p.stderr)
	f.role = f.String("role", f.aws("", "AWS_ROLE_ARN"), "ARN of the role")
	f.sessionName = f.String("session-name", f.aws(sessionName, "AWS_ROLE_SESSION_NAME"), "role session name")
	f.duration = f.Duration("duration", 0, "how long the credentials last, such as 2h (default: 1h)")
	f.externalID = f.String("external-id", "", "external id, with an access key or a client certificate")
	f.endpoint = f.String("endpoint-url", f.aws(defaultEndpoint, "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"), "URL of stint")
	f.region = f.String("region", f.aws("", "AWS_REGION", "AWS_DEFAULT_REGION"), "region to sign for; any will do")
	f.caFile = f.String("ca-file", f.aws("", "AWS_CA_BUNDLE"), "PEM file of the authorities of stint's certificate (default: the system's)")
	f.insecure = f.Bool("insecure-http", false, "allow http to other machines")
	f.tokenFile = f.String("web-identity-token-file", "", "file with an OIDC token, read at each refresh (default: $AWS_WEB_IDENTITY_TOKEN_FILE)")
	f.profile = f.String("profile", "", "AWS profile with an access key (default: the environment's key, then $AWS_PROFILE)")
	f.cert = f.String("client-cert", "", "PEM file with a client certificate, read at each refresh")
	f.key = f.String("client-key", "", "PEM file with the key of --client-cert")
	f.grpc = f.String("grpc-endpoint", "", "host:port of stint's gRPC listener, for --client-cert")
	return f
}

// aws is the first of AWS's environment variables that is set, or otherwise.
func (f *workloadFlags) aws(otherwise string, names ...string) string {
	for _, name := range names {
		if v, ok := f.p.env(name); ok && v != "" {
			return v
		}
	}
	return otherwise
}

// parse reads args, and for each flag that they do not hold the variable STINT_AGENT_NAME.
func (f *workloadFlags) parse(args []string) error {
	if err := f.Parse(args); err != nil {
		return errUsage // the flag package has printed why
	}
	if f.NArg() > 0 {
		return f.usage("wants flags only, got %q", f.Arg(0))
	}
	given := make(map[string]bool)
	f.Visit(func(one *flag.Flag) { given[one.Name] = true })
	var err error
	f.VisitAll(func(one *flag.Flag) {
		name := "STINT_AGENT_" + strings.ToUpper(strings.ReplaceAll(one.Name, "-", "_"))
		if v, ok := f.p.env(name); ok && !given[one.Name] && err == nil {
			if e := f.Set(one.Name, v); e != nil {
				err = f.usage("%s: %v", name, e)
			}
		}
	})
	return err
}

func (f *workloadFlags) usage(format string, values ...any) error {
	_, _ = fmt.Fprintf(f.p.stderr, f.Name()+": "+format+"\n", values...)
	return errUsage
}

// source is what proves who the workload is: what a flag names, else the token file of the environment, else an access key.
func (f *workloadFlags) source() (agent.Source, arn.ARN, error) {
	role, err := arn.Parse(*f.role)
	if err != nil || !role.IsIAM("role") {
		return nil, arn.ARN{}, f.usage("--role %q must be the ARN of a role, such as arn:aws:iam::111122223333:role/web", *f.role)
	}
	if *f.duration < 0 || *f.duration%time.Second != 0 || *f.duration > 36*time.Hour {
		return nil, arn.ARN{}, f.usage("--duration %v must be whole seconds, and 36h at most", *f.duration)
	}
	named := 0
	for _, name := range []string{*f.tokenFile, *f.profile, *f.cert} {
		if name != "" {
			named++
		}
	}
	if named > 1 {
		return nil, arn.ARN{}, f.usage("--web-identity-token-file, --profile and --client-cert exclude each other")
	}
	wanted := agent.Role{ARN: *f.role, SessionName: *f.sessionName, Duration: *f.duration, ExternalID: *f.externalID}
	if *f.cert != "" {
		if _, _, err := net.SplitHostPort(*f.grpc); err != nil || *f.key == "" {
			return nil, arn.ARN{}, f.usage("--client-cert needs --client-key and --grpc-endpoint, host:port of stint's gRPC listener")
		}
		return &agent.Certificate{Target: *f.grpc, Role: wanted, CertFile: *f.cert, KeyFile: *f.key, CAFile: *f.caFile}, role, nil
	}
	endpoint := agent.Endpoint{URL: *f.endpoint, Region: *f.region, CAFile: *f.caFile, Insecure: *f.insecure}
	if err := endpoint.Check(); err != nil {
		return nil, arn.ARN{}, err
	}
	if named == 0 {
		*f.tokenFile = f.aws("", "AWS_WEB_IDENTITY_TOKEN_FILE")
	}
	if *f.tokenFile != "" {
		return &agent.WebIdentity{Endpoint: endpoint, Role: wanted, TokenFile: *f.tokenFile}, role, nil
	}
	return &agent.AccessKey{Endpoint: endpoint, Role: wanted, Keys: agent.SharedKeys(*f.profile)}, role, nil
}

// agentFlags are those of "agent" and "agent health".
type agentFlags struct {
	*workloadFlags
	container, imds, tokenFile, logFormat *string
	imdsV1, anywhere                      *bool
	hops                                  *int
	wait                                  *time.Duration
}

func newAgentFlags(p program, name string) *agentFlags {
	host, _ := os.Hostname()
	f := &agentFlags{workloadFlags: newWorkloadFlags(p, name, sessionNameFrom(host))}
	f.container = f.String("listen-container", "127.0.0.1:8473", "address of the container credentials endpoint; empty: none")
	f.tokenFile = f.String("auth-token-file", defaultAuthTokenFile(p), "file with the token that the container endpoint asks for; made when it is not there")
	f.imds = f.String("listen-imds", "", "address of the instance metadata endpoint, such as 127.0.0.1:8474; empty: none")
	f.imdsV1 = f.Bool("imds-v1", false, "answer metadata requests without a token, as IMDSv1 does")
	f.hops = f.Int("hop-limit", 1, "IP time to live of the metadata endpoint's answers: 1 does not pass a router")
	f.anywhere = f.Bool("insecure-listen", false, "allow to listen on addresses that other machines reach")
	f.wait = f.Duration("wait", 10*time.Second, "how long a request waits for the first credentials")
	f.logFormat = f.String("log-format", "text", "text or json")
	return f
}

// defaultAuthTokenFile lies where only this user gets at: in the directory that systemd or the login session made.
func defaultAuthTokenFile(p program) string {
	if dirs, ok := p.env("RUNTIME_DIRECTORY"); ok && dirs != "" {
		dir, _, _ := strings.Cut(dirs, ":")
		return filepath.Join(dir, "authorization-token")
	}
	if dir, ok := p.env("XDG_RUNTIME_DIR"); ok && dir != "" {
		return filepath.Join(dir, "stint-agent", "authorization-token")
	}
	return ""
}

// endpoint is one listener with what answers on it.
type endpoint struct {
	listener net.Listener
	handler  http.Handler
	exports  []string // what the workload's environment must hold
}

func runAgent(ctx context.Context, p program, args []string) error {
	f := newAgentFlags(p, "agent")
	if err := f.parse(args); err != nil {
		return err
	}
	source, role, err := f.source()
	if err != nil {
		return err
	}
	var log *slog.Logger
	switch *f.logFormat {
	case "text":
		log = slog.New(slog.NewTextHandler(p.stderr, nil))
	case "json":
		log = slog.New(slog.NewJSONHandler(p.stderr, nil))
	default:
		return f.usage("--log-format %s: must be text or json", *f.logFormat)
	}
	keeper, err := agent.New(agent.Config{Source: source, Log: log})
	if err != nil {
		return err
	}
	endpoints, err := f.endpoints(ctx, keeper, role)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return keeper.Run(ctx) })
	for _, e := range endpoints {
		group.Go(func() error { return agent.Serve(ctx, e.listener, e.handler, *f.wait, log) })
	}
	group.Go(func() error {
		if keeper.Ready(ctx) != nil {
			return nil // ended before there were credentials
		}
		return notifySystemd(ctx, p, "READY=1")
	})
	greetWorkload(p.stdout, *f.role, endpoints)
	return group.Wait()
}

// endpoints opens the listeners, all or none.
func (f *agentFlags) endpoints(ctx context.Context, keeper *agent.Keeper, role arn.ARN) (all []endpoint, err error) {
	defer func() {
		if err != nil {
			for _, e := range all {
				_ = e.listener.Close()
			}
		}
	}()
	if *f.container != "" {
		if *f.tokenFile == "" {
			return nil, f.usage("--auth-token-file is needed: a file that the workload can read, and others cannot")
		}
		token, err := agent.AuthorizationToken(*f.tokenFile)
		if err != nil {
			return nil, err
		}
		file, err := filepath.Abs(*f.tokenFile)
		if err != nil {
			return nil, err
		}
		l, err := agent.Listener{Address: *f.container, Anywhere: *f.anywhere}.Listen(ctx)
		if err != nil {
			return nil, err
		}
		c := &agent.Container{Keeper: keeper, Role: role, Token: token, Wait: *f.wait}
		all = append(all, endpoint{l, c.Handler(), []string{
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://" + l.Addr().String() + agent.ContainerPath, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + file,
		}})
	}
	if *f.imds != "" {
		l, err := agent.Listener{Address: *f.imds, Anywhere: *f.anywhere, HopLimit: *f.hops}.Listen(ctx)
		if err != nil {
			return all, err
		}
		m := &agent.Metadata{Keeper: keeper, Role: role, Region: *f.region, V1: *f.imdsV1, Wait: *f.wait}
		all = append(all, endpoint{l, m.Handler(), []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://" + l.Addr().String() + "/"}})
	}
	if len(all) == 0 {
		return nil, f.usage("there is nothing to listen on: give --listen-container or --listen-imds")
	}
	return all, nil
}

func greetWorkload(w io.Writer, role string, endpoints []endpoint) {
	_, _ = fmt.Fprintf(w, "stint agent %s hands out credentials of %s. Workloads need in their environment:\n\n", versionString(), role)
	for _, e := range endpoints {
		for _, export := range e.exports {
			_, _ = fmt.Fprintf(w, "  export %s\n", export)
		}
	}
	_, _ = fmt.Fprintln(w)
}

// notifySystemd tells the service manager that started us, if one did (sd_notify(3)).
func notifySystemd(ctx context.Context, p program, state string) error {
	socket, ok := p.env("NOTIFY_SOCKET")
	if !ok || socket == "" {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unixgram", socket) // a leading @ is the abstract namespace for both
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	_, err = io.WriteString(conn, state)
	return errors.Join(err, conn.Close())
}

// agentHealth asks the agent of the same flags, for probes in images that hold no other program.
func agentHealth(ctx context.Context, p program, args []string) error {
	f := newAgentFlags(p, "agent health")
	if err := f.parse(args); err != nil {
		return err
	}
	address := *f.container
	if address == "" {
		address = *f.imds
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("the agent does not answer: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return errors.New("the agent has no credentials; its log tells why")
	}
	_, err = fmt.Fprintln(p.stdout, "ok")
	return err
}
