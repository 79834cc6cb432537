package dispatch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/server/dispatch"
)

// Sign-ins with passwords, as CloudTrail tells of them.
func TestConsoleLogin_Golden(t *testing.T) {
	t.Parallel()
	alice := &iam.User{Account: account, ID: "AIDAWDB7XWLS3OBANPCEA", Path: "/team/", Name: "alice"}
	for _, row := range []struct {
		file string
		out  *iam.SignedIn
		err  error
	}{
		{"console-login", &iam.SignedIn{User: user(), Time: at, Mark: canary}, nil},
		{"console-login-with-mfa", &iam.SignedIn{User: user(), Time: at, MFASerial: "arn:aws:iam::111122223333:mfa/phone", ResetRequired: true, Mark: canary}, nil},
		{"console-login-wrong-password", nil, &iam.SignInError{Refusal: iam.ErrSignIn, Account: account, User: alice, Reason: "wrong password"}},
		{"console-login-unknown-user", nil, &iam.SignInError{Refusal: iam.ErrSignIn, Account: account, Reason: "no such user"}},
		{"console-login-unknown-account", nil, &iam.SignInError{Refusal: iam.ErrSignIn, Reason: "no such account"}},
		{"console-login-expired", nil, fmt.Errorf("portal: %w", &iam.SignInError{
			Refusal: iam.ErrPasswordExpired, Account: account, User: alice, MFAUsed: true, Reason: "the password has expired",
		})},
		{"console-login-unavailable", nil, awserr.Wrap(awserr.ServiceUnavailable, "The request has failed due to a temporary failure of the server.",
			errors.New("session state is unavailable"))},
	} {
		t.Run(row.file, func(t *testing.T) {
			t.Parallel()
			var sink memory
			recorder, err := audit.New(audit.Config{Sinks: []audit.Sink{&sink}, Rand: zero{}})
			if err != nil {
				t.Fatal(err)
			}
			request := &authn.Request{ID: "6ba7b810-9dad-41d1-80b4-00c04fd430c8", Time: at, SourceIP: "192.0.2.1", UserAgent: "Mozilla/5.0"}
			if err := recorder.Record(t.Context(), dispatch.ConsoleLogin(request, row.out, row.err)); err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, sink.Bytes(), "", "  "); err != nil {
				t.Fatalf("%v: %q", err, sink.String())
			}
			if strings.Contains(got.String(), canary) {
				t.Errorf("the event holds the password's mark:\n%s", got.String())
			}
			golden(t, filepath.Join("testdata", "events", row.file+".json"), got.Bytes())
		})
	}
}
