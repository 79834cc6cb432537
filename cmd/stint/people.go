package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
)

// The commands of this file are for people who have credentials and want to use them. They go through the public API and the
// standard AWS credential chain, as any program does.

// defaultEndpoint is asked when neither flag, environment nor profile name one: never AWS.
const defaultEndpoint = "http://127.0.0.1:8470"

// connection are the flags that say where to and as whom.
type connection struct {
	*flag.FlagSet
	p                         program
	endpoint, profile, region *string
}

func newConnection(p program, name string) *connection {
	f := &connection{FlagSet: flag.NewFlagSet("stint "+name, flag.ContinueOnError), p: p}
	f.SetOutput(p.stderr)
	f.endpoint = f.String("endpoint-url", "", "URL of stint (default: as the AWS environment and profile say, or "+defaultEndpoint+")")
	f.profile = f.String("profile", "", "AWS profile to take credentials from")
	f.region = f.String("region", "", "region to sign for; any will do")
	return f
}

// client parses args and returns an STS client. want is how many arguments follow the flags; flags may stand on both sides of them.
func (f *connection) client(ctx context.Context, args []string, want int) (*sts.Client, []string, error) {
	var rest []string
	for {
		if err := f.Parse(args); err != nil {
			return nil, nil, errUsage // the flag package has printed why
		}
		if args = f.Args(); len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	if len(rest) != want {
		_, _ = fmt.Fprintf(f.p.stderr, "%s: wants %d argument(s), got %d\n", f.Name(), want, len(rest))
		return nil, nil, errUsage
	}
	var options []func(*config.LoadOptions) error
	if *f.profile != "" {
		options = append(options, config.WithSharedConfigProfile(*f.profile))
	}
	if *f.region != "" {
		options = append(options, config.WithRegion(*f.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	return sts.NewFromConfig(cfg, func(o *sts.Options) {
		switch {
		case *f.endpoint != "":
			o.BaseEndpoint = f.endpoint
		case o.BaseEndpoint == nil:
			o.BaseEndpoint = aws.String(defaultEndpoint)
		}
	}), rest, nil
}

func whoami(ctx context.Context, p program, args []string) error {
	f := newConnection(p, "whoami")
	output := f.String("output", "text", "text or json")
	client, _, err := f.client(ctx, args, 0)
	if err != nil {
		return err
	}
	me, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return readable(err)
	}
	if *output == "json" {
		return json.NewEncoder(p.stdout).Encode(map[string]string{"Account": *me.Account, "Arn": *me.Arn, "UserId": *me.UserId})
	}
	w := tabwriter.NewWriter(p.stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "arn\t%s\naccount\t%s\nuser id\t%s\n", *me.Arn, *me.Account, *me.UserId)
	return w.Flush()
}

func assume(ctx context.Context, p program, args []string) error {
	f := newConnection(p, "assume")
	serial := f.String("mfa-serial", "", "serial number of an MFA device; the code is asked for")
	lasts := f.Duration("duration", 0, "how long the credentials last, such as 2h (default: 1h)")
	name := f.String("session-name", defaultSessionName(), "role session name")
	source := f.String("source-identity", "", "source identity")
	external := f.String("external-id", "", "external id")
	output := f.String("output", "env", "env, json, profile or credential-process")
	as := f.String("as", "assumed", "with --output profile: name of the profile")
	client, rest, err := f.client(ctx, args, 1)
	if err != nil {
		return err
	}
	print, ok := outputs[*output]
	if !ok {
		_, _ = fmt.Fprintf(p.stderr, "%s: --output %s: must be env, json, profile or credential-process\n", f.Name(), *output)
		return errUsage
	}
	in := &sts.AssumeRoleInput{RoleArn: &rest[0], RoleSessionName: name, SerialNumber: given(*serial), SourceIdentity: given(*source), ExternalId: given(*external)}
	if *lasts > 0 {
		in.DurationSeconds = aws.Int32(int32(*lasts / time.Second))
	}
	if *serial != "" {
		if in.TokenCode, err = askCode(p, *serial); err != nil {
			return err
		}
	}
	out, err := client.AssumeRole(ctx, in)
	if err != nil {
		return readable(err)
	}
	return print(p.stdout, out.Credentials, *as)
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// askCode asks for the code at the prompt: an argument would be seen by every user of the machine.
func askCode(p program, serial string) (*string, error) {
	_, _ = fmt.Fprintf(p.stderr, "MFA code for %s: ", serial)
	line, err := bufio.NewReader(io.LimitReader(p.stdin, 64)).ReadString('\n')
	code := strings.TrimSpace(line)
	if code == "" {
		if err == nil {
			err = errors.New("empty")
		}
		return nil, fmt.Errorf("no MFA code: %w", err)
	}
	return &code, nil
}

// outputs print credentials in the forms that shells and SDKs read.
var outputs = map[string]func(w io.Writer, c *types.Credentials, profile string) error{
	"env": func(w io.Writer, c *types.Credentials, _ string) error {
		_, err := fmt.Fprintf(w, "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\nexport AWS_SESSION_TOKEN=%s\n",
			*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
		return err
	},
	"json": func(w io.Writer, c *types.Credentials, _ string) error {
		return json.NewEncoder(w).Encode(map[string]string{
			"AccessKeyId": *c.AccessKeyId, "SecretAccessKey": *c.SecretAccessKey, "SessionToken": *c.SessionToken,
			"Expiration": c.Expiration.UTC().Format(time.RFC3339),
		})
	},
	"profile": func(w io.Writer, c *types.Credentials, profile string) error {
		_, err := fmt.Fprintf(w, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n",
			profile, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
		return err
	},
	// AWS SDKs and Tools Reference Guide, "Process credential provider".
	"credential-process": func(w io.Writer, c *types.Credentials, _ string) error {
		return json.NewEncoder(w).Encode(struct {
			Version                                    int
			AccessKeyId, SecretAccessKey, SessionToken string
			Expiration                                 string
		}{1, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken, c.Expiration.UTC().Format(time.RFC3339)})
	},
}

// defaultSessionName is who runs the command.
func defaultSessionName() string {
	u, err := user.Current()
	if err != nil {
		return "stint"
	}
	return sessionNameFrom(u.Username)
}

// sessionNameFrom makes a session name of the characters of text that it may have.
func sessionNameFrom(text string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("+=,.@-_", r) || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, text)
	if len(name) < 2 {
		return "stint"
	}
	return name[:min(len(name), 64)]
}

// readable says what the server answered, without the SDK's account of how it asked.
func readable(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	return err
}
