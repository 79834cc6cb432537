package dispatch

import (
	"context"
	"fmt"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/sts"
)

// Portal is the operations that only the portal calls, for people whose proof is in their sign-in. They are in no table, so that no request
// of a client reaches them; but they pass the same pipeline, and the audit sees credentials minted under the names that SDKs call.
type Portal struct {
	SignInWithSAML        *Operation
	SignInWithWebIdentity *Operation

	AssumeRoleWithSAML        *Operation
	AssumeRoleWithWebIdentity *Operation
	AssumeRole                *Operation
	GetSessionToken           *Operation
	RevokeSessions            *Operation
	ChangePassword            *Operation
	AllowCommandLine          *Operation
}

// ChangePasswordInput is the input of Portal.ChangePassword.
type ChangePasswordInput struct {
	iam.ChangePasswordInput `aws:",inline"`

	SignIn *sts.SignIn `aws:"-"` // of an IAM user
}

// signIn is the service of sign-ins, as CloudTrail calls it.
const signIn = "signin"

// NewPortal makes the operations.
func NewPortal(s *sts.SignIns, i *iam.Service) *Portal {
	row := func(o Operation) *Operation {
		o.Unsigned = true // the sign-in in the input proves the caller
		return &o
	}
	return &Portal{
		SignInWithSAML:            row(operation(signIn, "ConsoleLogin", s.WithSAML)),
		AllowCommandLine:          row(change(signIn, "AllowCommandLine", s.AllowCommandLine)),
		SignInWithWebIdentity:     row(operation(signIn, "ConsoleLogin", s.WithWebIdentity)),
		AssumeRoleWithSAML:        row(operation("sts", "AssumeRoleWithSAML", s.AssumeRole)),
		AssumeRoleWithWebIdentity: row(operation("sts", "AssumeRoleWithWebIdentity", s.AssumeRole)),
		AssumeRole:                row(operation("sts", "AssumeRole", s.AssumeRole)),
		RevokeSessions:            row(operation("sts", "RevokeSessions", s.EndSession)),
		ChangePassword: row(change("iam", "ChangePassword", func(ctx context.Context, c *authn.Caller, in *ChangePasswordInput) error {
			user, err := s.Caller(ctx, c.Request, in.SignIn)
			if err != nil {
				return err
			}
			*c = *user
			return i.ChangePassword(ctx, c, &in.ChangePasswordInput)
		})),
		GetSessionToken: row(operation("sts", "GetSessionToken", s.GetSessionToken)),
	}
}

// RefusedSignIn is the audit event of a sign-in whose proof was good, but which the browser had not asked for.
func RefusedSignIn(r *authn.Request, by *sts.Identity, cause string) *audit.Event {
	return &audit.Event{
		Time: r.Time, Source: signIn + ".amazonaws.com", Name: "ConsoleLogin", Type: "AwsConsoleSignIn",
		SourceIP: r.SourceIP, UserAgent: r.UserAgent, RequestID: r.ID, RecipientAccountID: by.Account,
		Identity:         audit.Identity{Type: "SAMLUser", PrincipalID: by.UserID, UserName: by.Subject, Provider: by.Provider},
		ResponseElements: []audit.Attr{audit.String("ConsoleLogin", "Failure")},
		ErrorMessage:     "Failed authentication", Additional: []audit.Attr{audit.String("cause", cause)},
	}
}

// AssumeRoleOf is the operation that the proof itself would be passed to.
func (p *Portal) AssumeRoleOf(kind authn.Kind) *Operation {
	switch kind {
	case authn.SAML:
		return p.AssumeRoleWithSAML
	case authn.WebIdentity:
		return p.AssumeRoleWithWebIdentity
	default:
		return p.AssumeRole
	}
}

// Run runs an operation with an input that is a value of ours: there is nothing to decode.
func Run[I, O any](ctx context.Context, d *Dispatcher, o *Operation, r *authn.Request, in *I) (*O, Outcome) {
	r.Service, r.Operation = o.Service, o.Name
	out := d.Do(ctx, &Call{Operation: o, Request: *r, Decode: func(_ *shape.Shape, into any) error {
		to, ok := into.(*I)
		if !ok {
			return fmt.Errorf("%s does not take a %T", o.Name, in)
		}
		*to = *in
		return nil
	}})
	result, _ := out.Output.(*O)
	return result, out
}
