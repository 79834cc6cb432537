package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/stint-sts/stint/agent"
	"github.com/stint-sts/stint/awsconfig"
	"github.com/stint-sts/stint/secret"
)

// Signing in from the command line, by the portal. What a profile needs stands in the command of its credential_process; the login, which is
// a secret, in a file of its own for each stint. docs/login.md describes the flow.

// loginFlags are the flags of the three commands. Those that a command does not have are nil.
type loginFlags struct {
	*flag.FlagSet
	p                       program
	profile                 *string
	endpoint, caFile        *string
	role, provider          *string
	duration                *time.Duration
	region                  *string
	noBrowser, again, force *bool
	noCache                 *bool
	given                   map[string]bool
}

func newLoginFlags(p program, name string) *loginFlags {
	f := &loginFlags{FlagSet: flag.NewFlagSet("stint "+name, flag.ContinueOnError), p: p, given: make(map[string]bool)}
	f.SetOutput(p.stderr)
	profile := "stint"
	if v, ok := p.env("AWS_PROFILE"); ok && v != "" {
		profile = v
	}
	f.profile = f.String("profile", profile, "AWS profile")
	f.endpoint = f.String("endpoint-url", "", "URL of stint (default: that of the profile, then of the AWS environment, then "+defaultEndpoint+")")
	f.caFile = f.String("ca-file", "", "PEM file of the authorities of stint's certificate (default: $AWS_CA_BUNDLE, then the system's)")
	return f
}

// withRole adds the flags of what the profile is for.
func (f *loginFlags) withRole() {
	f.role = f.String("role", "", `ARN or name of the role, or "own" for the session of an IAM user itself (default: you are asked)`)
	f.provider = f.String("provider", "", "ARN of the identity provider, where several offer the role")
	f.duration = f.Duration("duration", time.Hour, "how long credentials last; they are renewed by themselves")
}

func (f *loginFlags) parse(args []string) error {
	if err := f.Parse(args); err != nil {
		return errUsage // the flag package has printed why
	}
	if f.NArg() > 0 {
		return f.usage("wants flags only, got %q", f.Arg(0))
	}
	f.Visit(func(one *flag.Flag) { f.given[one.Name] = true })
	if !profileName.MatchString(*f.profile) {
		return f.usage("--profile %q: a name has letters, digits and .@_+=,- only", *f.profile)
	}
	if f.duration != nil && (*f.duration < 15*time.Minute || *f.duration > 36*time.Hour || *f.duration%time.Second != 0) {
		return f.usage("--duration %v: must be 15m to 36h, in whole seconds", *f.duration)
	}
	return nil
}

func (f *loginFlags) usage(format string, values ...any) error {
	_, _ = fmt.Fprintf(f.p.stderr, f.Name()+": "+format+"\n", values...)
	return errUsage
}

// What may stand in the command of a credential_process: SDKs give it to a shell. Roles' names come from the server.
var (
	profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.@_+=,-]{0,99}$`)
	plainWord   = regexp.MustCompile(`^[A-Za-z0-9.@_+=,:/~%-]+$`)
	quotedWord  = regexp.MustCompile(`^[A-Za-z0-9.@_+=,:/~%()\[\] -]+$`)
)

// commandLine is words as one line that shells and SDKs read alike.
func commandLine(words ...string) (string, error) {
	quoted := make([]string, len(words))
	for i, w := range words {
		switch {
		case plainWord.MatchString(w):
			quoted[i] = w
		case quotedWord.MatchString(w):
			quoted[i] = `"` + w + `"`
		default:
			return "", fmt.Errorf("%q cannot stand in an AWS profile: shells would read something else", w)
		}
	}
	return strings.Join(quoted, " "), nil
}

// commandWords reads such a line again.
func commandWords(line string) (words []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		var word string
		if rest, quoted := strings.CutPrefix(line, `"`); quoted {
			word, line, _ = strings.Cut(rest, `"`)
		} else {
			word, line, _ = strings.Cut(line, " ")
		}
		words = append(words, word)
	}
	return words
}

const credentialsCommand = "login credentials"

// section is the profile's in the config file.
func section(profile string) string {
	if profile == "default" {
		return profile
	}
	return "profile " + profile
}

// awsFile is where an AWS file of the user lies.
func awsFile(p program, variable, name string) (string, error) {
	if v, ok := p.env(variable); ok && v != "" {
		return v, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".aws", name), err
}

// inherit takes what no flag says from the profile, if stint made it. ours tells that it is stint's or not there yet.
func (f *loginFlags) inherit() (ours bool, err error) {
	path, err := awsFile(f.p, "AWS_CONFIG_FILE", "config")
	if err != nil {
		return false, err
	}
	file, err := awsconfig.Read(path)
	if err != nil {
		return false, err
	}
	there, err := file.Has(section(*f.profile))
	if err != nil || !there {
		return err == nil, err
	}
	command, _, err := file.Get(section(*f.profile), "credential_process")
	if err != nil {
		return false, err
	}
	words := commandWords(command)
	if len(words) < 3 || words[1]+" "+words[2] != credentialsCommand {
		return false, nil
	}
	old := newLoginFlags(program{stderr: io.Discard, env: f.p.env}, credentialsCommand)
	old.withRole()
	if old.parse(words[3:]) != nil {
		return true, nil // of another version
	}
	old.Visit(func(one *flag.Flag) {
		if mine := f.Lookup(one.Name); mine != nil && !f.given[one.Name] {
			err = errors.Join(err, f.Set(one.Name, one.Value.String()))
		}
	})
	return true, err
}

// resolve says where stint is.
func (f *loginFlags) resolve() (*portalClient, error) {
	for _, name := range []string{"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"} {
		if v, ok := f.p.env(name); ok && *f.endpoint == "" {
			*f.endpoint = v
		}
	}
	if *f.endpoint == "" {
		*f.endpoint = defaultEndpoint
	}
	u, err := url.Parse(*f.endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery+u.Fragment != "" {
		return nil, fmt.Errorf("endpoint %q must be an https URL without a path, such as https://sts.example.com", *f.endpoint)
	}
	if u.Scheme == "http" && !isLoopbackHost(u.Hostname()) {
		return nil, fmt.Errorf("endpoint %s would send the login in clear text: use https", *f.endpoint)
	}
	*f.endpoint = u.Scheme + "://" + strings.ToLower(u.Host)
	if v, ok := f.p.env("AWS_CA_BUNDLE"); ok && *f.caFile == "" {
		*f.caFile = v
	}
	*f.caFile = absolute(*f.caFile)
	return newPortalClient(*f.endpoint, *f.caFile)
}

func isLoopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// savedLogin is a login as it is kept. The file's mode is what keeps it from others.
type savedLogin struct {
	Endpoint string
	Token    string
	Subject  string
	Until    time.Time // at the latest
}

func loginFile(endpoint string) (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("login: %w: set HOME", err)
	}
	return filepath.Join(dir, "stint", "logins", digest(endpoint)+".json"), nil
}

func digest(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// readLogin returns the login at that endpoint, or nil when there is none.
func readLogin(endpoint string) (*savedLogin, error) {
	path, err := loginFile(endpoint)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > 64<<10 {
		return nil, fmt.Errorf("%s is no file that only you can read: remove it, then run stint login", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	l := &savedLogin{}
	if json.Unmarshal(text, l) != nil || l.Endpoint != endpoint || l.Token == "" {
		return nil, nil
	}
	return l, nil
}

func (l *savedLogin) write() error {
	path, err := loginFile(l.Endpoint)
	if err != nil {
		return err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// loginCache is where credentials of an endpoint are kept that were minted by a login.
func loginCache(endpoint string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache: %w: set HOME", err)
	}
	return filepath.Join(dir, "stint", "login", digest(endpoint)), nil
}

// forgetLogin removes what is kept of an endpoint.
func forgetLogin(endpoint string) error {
	path, err := loginFile(endpoint)
	if err != nil {
		return err
	}
	cache, err := loginCache(endpoint)
	if err != nil {
		return err
	}
	if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(cache))
}

func runLogin(ctx context.Context, p program, args []string) error {
	f := newLoginFlags(p, "login")
	f.withRole()
	f.region = f.String("region", "", "region of the profile; any will do (default: as it is, or us-east-1)")
	f.noBrowser = f.Bool("no-browser", false, "show a code to type in a browser on any computer")
	f.again = f.Bool("again", false, "sign in anew, even if you are signed in")
	f.force = f.Bool("force", false, "overwrite a profile that stint did not make")
	if err := f.parse(args); err != nil {
		return err
	}
	switch ours, err := f.inherit(); {
	case err != nil:
		return err
	case !ours && !*f.force:
		return fmt.Errorf("profile %s is there and not stint's: choose another --profile, or overwrite it with --force", *f.profile)
	}
	if err := f.checkCredentialsFile(); err != nil {
		return err
	}
	client, err := f.resolve()
	if err != nil {
		return err
	}
	l, offers, err := f.signIn(ctx, client)
	if err != nil {
		return err
	}
	if err := f.choose(offers); err != nil {
		return err
	}
	if err := f.writeProfile(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.stderr, "\nProfile %s is ready until you sign out, at the latest until %s. Try it:\n\n", *f.profile, l.Until.Local().Format("2 Jan 15:04"))
	_, _ = fmt.Fprintf(p.stdout, "aws --profile %s sts get-caller-identity\n", *f.profile)
	return nil
}

// checkCredentialsFile refuses a profile whose keys in the credentials file would win over the config file.
func (f *loginFlags) checkCredentialsFile() error {
	path, err := awsFile(f.p, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
	if err != nil {
		return err
	}
	file, err := awsconfig.Read(path)
	if err != nil {
		return err
	}
	for _, name := range []string{*f.profile, section(*f.profile)} {
		switch there, err := file.Has(name); {
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		case there:
			return fmt.Errorf("%s has keys for profile %s, which AWS tools would use instead: choose another --profile, or remove them there", path, *f.profile)
		}
	}
	return nil
}

// signIn returns a login that holds: the one that there is, or a new one.
func (f *loginFlags) signIn(ctx context.Context, client *portalClient) (*savedLogin, *offersAnswer, error) {
	old, err := readLogin(*f.endpoint)
	if err != nil {
		return nil, nil, err
	}
	if old != nil && !*f.again {
		offers, err := client.offers(ctx, secret.New(old.Token))
		if err == nil {
			_, _ = fmt.Fprintf(f.p.stderr, "You are signed in as %s.\n", printable(offers.Subject))
			return old, offers, nil
		}
		if !isLoginEnded(err) {
			return nil, nil, err
		}
	}
	token, err := f.newLogin(ctx, client)
	if err != nil {
		return nil, nil, err
	}
	if old != nil { // best effort: a login that nobody has any more ends with its sign-in
		_ = client.revoke(ctx, secret.New(old.Token))
	}
	if err := forgetLogin(*f.endpoint); err != nil {
		return nil, nil, err
	}
	l := &savedLogin{*f.endpoint, token.AccessToken, token.Subject, time.Now().Add(time.Duration(token.ExpiresIn) * time.Second).UTC().Truncate(time.Second)}
	if err := l.write(); err != nil {
		return nil, nil, err
	}
	_, _ = fmt.Fprintf(f.p.stderr, "You are signed in as %s.\n", printable(l.Subject))
	offers, err := client.offers(ctx, secret.New(l.Token))
	return l, offers, err
}

// printable is a text of the server without what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text[:min(len(text), 500)])
}

// choose settles the role: as flags or the profile say, or as the person does.
func (f *loginFlags) choose(offers *offersAnswer) error {
	roles := offers.Roles
	if offers.Own {
		roles = append(roles, offeredRole{ARN: "own", Name: "yourself", Account: "your own permissions as a user"})
	}
	var found []offeredRole
	for _, r := range roles {
		if (*f.role == "" || r.ARN == *f.role || r.Name == *f.role) && (*f.provider == "" || r.Provider == *f.provider) {
			found = append(found, r)
		}
	}
	switch {
	case len(roles) == 0:
		return errors.New("you are signed in, but no role lets you in: ask whoever looks after access in your organization")
	case len(found) == 0:
		return fmt.Errorf("role %s does not let you in, or does not exist", *f.role)
	case len(found) > 1:
		var err error
		if found[0], err = ask(f.p, found); err != nil {
			return err
		}
	}
	*f.role, *f.provider = found[0].ARN, found[0].Provider
	_, _ = fmt.Fprintf(f.p.stderr, "Role: %s\n", printable(found[0].ARN))
	return nil
}

// ask lets a person choose a role by its number, or by part of its name.
func ask(p program, all []offeredRole) (offeredRole, error) {
	input := bufio.NewReader(io.LimitReader(p.stdin, 64<<10))
	shown := all
	for {
		_, _ = fmt.Fprintln(p.stderr)
		for i, r := range shown {
			_, _ = fmt.Fprintf(p.stderr, "%4d  %s\n", i+1, printable(r.describe()))
		}
		_, _ = fmt.Fprint(p.stderr, "\nWhich role? A number, or part of a name: ")
		line, err := input.ReadString('\n')
		answer := strings.TrimSpace(line)
		if answer == "" && err != nil {
			return offeredRole{}, errors.New("no role was chosen: name it by --role")
		}
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(shown) {
			return shown[n-1], nil
		}
		var matching []offeredRole
		for _, r := range all {
			if strings.Contains(strings.ToLower(r.describe()+" "+r.ARN), strings.ToLower(answer)) {
				matching = append(matching, r)
			}
		}
		switch len(matching) {
		case 0:
			_, _ = fmt.Fprintf(p.stderr, "No role has %q in its name.\n", answer)
		case 1:
			return matching[0], nil
		default:
			shown = matching
		}
	}
}

func (r *offeredRole) describe() string {
	text := r.Name + "  " + r.Account
	if r.Alias != "" {
		text = r.Name + "  " + r.Alias + " (" + r.Account + ")"
	}
	if r.Provider != "" {
		text += "  by " + r.Provider
	}
	return text
}

// writeProfile makes the profile.
func (f *loginFlags) writeProfile() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	words := []string{self, "login", "credentials", "--profile", *f.profile, "--endpoint-url", *f.endpoint, "--role", *f.role, "--duration", f.duration.String()}
	if *f.provider != "" {
		words = append(words, "--provider", *f.provider)
	}
	if *f.caFile != "" {
		words = append(words, "--ca-file", *f.caFile)
	}
	command, err := commandLine(words...)
	if err != nil {
		return err
	}
	path, err := awsFile(f.p, "AWS_CONFIG_FILE", "config")
	if err != nil {
		return err
	}
	at := []awsconfig.Setting{{Key: "endpoint_url", Value: *f.endpoint}}
	services := "stint-" + *f.profile
	return awsconfig.Edit(path, func(file *awsconfig.File) error {
		own := section(*f.profile)
		settings := []awsconfig.Setting{{Key: "credential_process", Value: command}, {Key: "services", Value: services}}
		if _, has, err := file.Get(own, "region"); err != nil {
			return err
		} else if *f.region != "" || !has {
			settings = append(settings, awsconfig.Setting{Key: "region", Value: cmp.Or(*f.region, "us-east-1")})
		}
		if *f.caFile != "" {
			settings = append(settings, awsconfig.Setting{Key: "ca_bundle", Value: *f.caFile})
		}
		put := file.Set
		if *f.force {
			put = file.Replace
		}
		if err := put(own, settings...); err != nil {
			return err
		}
		return file.Set("services "+services, awsconfig.Setting{Key: "sts", Nested: at}, awsconfig.Setting{Key: "iam", Nested: at})
	})
}

// loginCredentials is the credential_process of profiles.
func loginCredentials(ctx context.Context, p program, args []string) error {
	f := newLoginFlags(p, credentialsCommand)
	f.withRole()
	f.noCache = f.Bool("no-cache", false, "fetch new credentials, and write none down")
	if err := f.parse(args); err != nil {
		return err
	}
	if *f.role == "" {
		return f.usage("--role is required; stint login writes the whole command into the profile")
	}
	client, err := f.resolve()
	if err != nil {
		return err
	}
	l, err := readLogin(*f.endpoint)
	if err != nil {
		return err
	}
	if l == nil {
		return fmt.Errorf("you are not signed in: run stint login --profile %s", *f.profile)
	}
	fetch := func(ctx context.Context) (agent.Credentials, error) {
		return client.credentials(ctx, secret.New(l.Token), *f.role, *f.provider, *f.duration)
	}
	var c agent.Credentials
	if *f.noCache {
		c, err = fetch(ctx)
	} else {
		dir, bad := loginCache(*f.endpoint)
		if bad != nil {
			return bad
		}
		cache := &agent.Cache{Dir: dir}
		c, err = cache.Credentials(ctx, digest(l.Token, *f.role, *f.provider, f.duration.String()), fetch)
	}
	if isLoginEnded(err) {
		return fmt.Errorf("the sign-in has ended: run stint login --profile %s", *f.profile)
	}
	if err != nil {
		return err
	}
	return outputs["credential-process"](p.stdout, &types.Credentials{
		AccessKeyId: &c.AccessKeyID, SecretAccessKey: aws.String(c.SecretAccessKey.Reveal()), SessionToken: aws.String(c.SessionToken.Reveal()), Expiration: &c.Expiration,
	}, "")
}

func runLogout(ctx context.Context, p program, args []string) error {
	f := newLoginFlags(p, "logout")
	if err := f.parse(args); err != nil {
		return err
	}
	if _, err := f.inherit(); err != nil {
		return err
	}
	client, err := f.resolve()
	if err != nil {
		return err
	}
	l, unreadable := readLogin(*f.endpoint)
	var told error
	if l != nil {
		told = client.revoke(ctx, secret.New(l.Token))
	}
	if err := errors.Join(unreadable, forgetLogin(*f.endpoint)); err != nil {
		return err
	}
	switch {
	case told != nil:
		return fmt.Errorf("this computer has forgotten the login, but stint was not told, so that it ends by itself until %s: %w", l.Until.Local().Format("2 Jan 15:04"), told)
	case l == nil:
		_, _ = fmt.Fprintf(p.stderr, "You were not signed in at %s.\n", *f.endpoint)
	default:
		_, _ = fmt.Fprintf(p.stderr, "You are signed out at %s. Credentials that programs hold stay valid until they expire.\n", *f.endpoint)
	}
	return nil
}
