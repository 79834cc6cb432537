// Command stint is a self-hosted Security Token Service.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv}, os.Args[1:]))
}

// program is what a command may touch of the process.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer // data; words for people
	env            func(string) (string, bool)
}

// command is one sub-command.
type command struct {
	name    string // "account create"
	args    string // what follows its flags: "ACCESS_KEY_ID"
	summary string
	run     func(ctx context.Context, p program, args []string) error
}

func commands() []command {
	return []command{
		{"serve", "", "run the server", serve},
		{"whoami", "", "tell whose credentials these are", whoami},
		{"assume", "ROLE_ARN", "assume a role and print its credentials", assume},
		{"creds", "", "print a role's credentials, for credential_process in an AWS profile", creds},
		{"agent health", "", "tell whether the agent has credentials, for probes", agentHealth},
		{"agent", "", "hand out a role's credentials to the workloads of this machine, always fresh", runAgent},
		{"login credentials", "", "print credentials of a login, for credential_process", loginCredentials},
		{"login", "", "sign in by the browser and make an AWS profile", runLogin},
		{"logout", "", "end the login of a profile", runLogout},
		{"apply", "FILE…", "bring accounts to the state that files say", applyFiles},
		{"account create", "", "make a further account; prints its root access key once", accountCreate},
		{"account list", "", "list the accounts", accountList},
		{"session list", "", "list the live sessions of an account", sessionList},
		{"session show", "ACCESS_KEY_ID", "show one live session", sessionShow},
		{"session revoke", "[ACCESS_KEY_ID]", "end sessions before their time, on all nodes", sessionRevoke},
		{"keys list", "", "list the key ring", keysList},
		{"keys rotate", "", "prepare a new key, which signs as soon as every node knows it", keysRotate},
		{"keys retire", "KEY_ID", "give a key that signs a successor; it is good until its last token has expired", keysRetire},
		{"keys remove", "KEY_ID", "take a key that others know out of the ring, at once", keysRemove},
		{"keys rewrap", "", "put a new master key in force and seal everything anew under it", keysRewrap},
		{"migrate", "", "copy the directory between a data directory and PostgreSQL", migrate},
		{"health", "", "tell whether the server can do its work, for probes", health},
		{"backup", "FILE", "write the directory to a new file while the server runs (-: standard output)", backup},
		{"restore", "FILE", "make a data directory from a back-up", restore},
		{"explain", "REQUEST_ID", "tell why a past call went as it did", explain},
		{"token inspect", "", "explain a session token read from standard input", tokenInspect},
		{"policy lint", "FILE…", "tell what is wrong with policies that are valid", policyLint},
		{"policy test", "FILE…", "run test cases of policies", policyTest},
		{"policy validate", "FILE…", "tell whether policies are valid, and why not", policyValidate},
		{"webhook", "", "give pods of Kubernetes a role, as their ServiceAccount is annotated", runWebhook},
		{"version", "", "print the version", printVersion},
	}
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage is an error in how the command was called. Its text has been printed.
var errUsage = errors.New("usage")

func run(ctx context.Context, p program, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		help(p.stdout)
		return exitOK
	}
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) < len(words) || strings.Join(args[:len(words)], " ") != c.name {
			continue
		}
		switch err := c.run(ctx, p, args[len(words):]); {
		case err == nil:
			return exitOK
		case errors.Is(err, errUsage):
			return exitUsage
		default:
			_, _ = fmt.Fprintf(p.stderr, "stint: %v\n", err)
			return exitFailed
		}
	}
	_, _ = fmt.Fprintf(p.stderr, "stint: there is no command %q; \"stint help\" lists them\n", strings.Join(args[:min(2, len(args))], " "))
	return exitUsage
}

func help(w io.Writer) {
	_, _ = fmt.Fprint(w, "stint is a self-hosted Security Token Service, compatible with AWS STS and IAM.\n\nUsage:\n")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(w, "  stint %-30s %s\n", strings.TrimSpace(c.name+" [flags] "+c.args), c.summary)
	}
	_, _ = fmt.Fprint(w, "\n\"stint COMMAND --help\" tells a command's flags. Every setting is described in docs/configuration.md.\n")
}

// version is stamped by the build (Makefile); otherwise the module's version is used.
var version string

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

func printVersion(_ context.Context, p program, _ []string) error {
	_, err := fmt.Fprintln(p.stdout, "stint", versionString())
	return err
}
