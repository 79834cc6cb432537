package awserr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/stint-sts/stint/awserr"
)

// Errors that AWS models have the status and fault that the models give them.
func TestAll_AsModelled(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/modelled.json")
	if err != nil {
		t.Fatal(err)
	}
	var modelled map[string]struct {
		Status      int
		SenderFault bool
	}
	if err := json.Unmarshal(raw, &modelled); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, k := range awserr.All() {
		want, ok := modelled[k.Code]
		if !ok {
			continue
		}
		seen++
		if k.HTTPStatus != want.Status || (k.Fault == awserr.Sender) != want.SenderFault {
			t.Errorf("%s is %d, %v; the model says %d, sender %v", k.Code, k.HTTPStatus, k.Fault, want.Status, want.SenderFault)
		}
	}
	if seen < 10 {
		t.Errorf("only %d kinds are modelled", seen)
	}
}

func TestAll_IsConsistent(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	codesSeen := make(map[string]bool)
	for _, k := range awserr.All() {
		if !form.MatchString(k.Code) || codesSeen[k.Code] {
			t.Errorf("%q is malformed or there twice", k.Code)
		}
		codesSeen[k.Code] = true
		if server := k.HTTPStatus >= 500; server != (k.Fault == awserr.Receiver) || k.HTTPStatus < 400 || k.HTTPStatus > 599 {
			t.Errorf("%s: status %d, fault %v", k.Code, k.HTTPStatus, k.Fault)
		}
		if k.GRPC == codes.OK || k.GRPC == codes.Unknown {
			t.Errorf("%s: gRPC %v", k.Code, k.GRPC)
		}
	}
	if len(codesSeen) == 0 {
		t.Error("there are no kinds")
	}
	all := awserr.All()
	all[0] = nil
	if awserr.All()[0] == nil {
		t.Error("All hands out the table itself")
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk of rack 7 is on fire")
	denied := awserr.Wrap(awserr.AccessDenied, "no", cause)
	for _, row := range []struct {
		name    string
		err     error
		kind    *awserr.Kind
		message string
	}{
		{"an Error", denied, awserr.AccessDenied, "no"},
		{"an Error inside", fmt.Errorf("role: %w", denied), awserr.AccessDenied, "no"},
		{"an Error among others", errors.Join(cause, denied), awserr.AccessDenied, "no"},
		{"any error", cause, awserr.InternalFailure, "The request processing has failed because of an unknown error, exception or failure."},
		{"a Kind is not an Error", awserr.AccessDenied, awserr.InternalFailure, "The request processing has failed because of an unknown error, exception or failure."},
	} {
		got := awserr.From(row.err)
		if got.Kind != row.kind || got.Message != row.message {
			t.Errorf("%s: %s: %s", row.name, got.Kind.Code, got.Message)
		}
		if row.name != "a Kind is not an Error" && !errors.Is(got, cause) {
			t.Errorf("%s: the cause is lost: %v", row.name, got)
		}
		if strings.Contains(got.Message, "rack 7") {
			t.Errorf("%s: the caller sees the cause", row.name)
		}
	}
	if awserr.From(nil) != nil {
		t.Error("nil is an error")
	}
}

func TestError_IsItsKind(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("outer: %w", awserr.Newf(awserr.NoSuchEntity, "The user with name %s cannot be found.", "eve"))
	if !errors.Is(err, awserr.NoSuchEntity) || errors.Is(err, awserr.AccessDenied) {
		t.Error("errors.Is does not tell the kind")
	}
	if err.Error() != "outer: NoSuchEntity: The user with name eve cannot be found." {
		t.Errorf("prints %q", err)
	}
	wrapped := awserr.Wrap(awserr.InternalFailure, "m", errors.New("c"))
	if wrapped.Error() != "InternalFailure: m: c" || awserr.AccessDenied.Error() != "AccessDenied" {
		t.Errorf("prints %q, %q", wrapped, awserr.AccessDenied)
	}
}
