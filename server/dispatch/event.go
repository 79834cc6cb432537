package dispatch

import (
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/shape"
	"github.com/stint-sts/stint/signer"
)

// event is the audit event of a call: CloudTrail's record of an API call
// (AWS CloudTrail User Guide, "CloudTrail record contents").
func event(call *Call, in any, out *Outcome) *audit.Event {
	o, r := call.Operation, &call.Request
	e := &audit.Event{
		Time:      r.Time,
		Source:    o.Service + ".amazonaws.com",
		Name:      o.Name,
		Region:    r.Region,
		SourceIP:  r.SourceIP,
		UserAgent: r.UserAgent,
		RequestID: r.ID,
		ReadOnly:  o.ReadOnly,
		Identity:  identity(out.Caller, r),
	}
	if in != nil {
		e.RequestParameters = attributes(o.Input, o.Input.Struct(in))
	}
	if out.Output != nil && !o.ReadOnly {
		e.ResponseElements = attributes(o.Output, o.Output.Struct(out.Output))
	}
	if o.Service == signIn {
		e.Type, e.ResponseElements = "AwsConsoleSignIn", []audit.Attr{audit.String("ConsoleLogin", loginResult(out.Err))}
	}
	if out.Caller != nil {
		e.RecipientAccountID = out.Caller.Account
	}
	if out.Err != nil {
		e.ErrorCode, e.ErrorMessage = out.Err.Kind.Code, out.Err.Message
		e.Additional = reason(out.Err)
		if denied(out) && len(r.Decisions) > 0 {
			// Written down, because the history forgets: what was decided cannot be told from policies that change.
			e.Additional = append(e.Additional, audit.Strings("explanation", explanationLines(r.Decisions)))
		}
	} else if n := len(r.Decisions); n > 0 {
		e.Additional = []audit.Attr{audit.String("allowedBy", deciding(&r.Decisions[n-1]))}
	}
	if out.Caller != nil && out.Caller.AccessKeyID == "" && len(r.Certificate) > 0 {
		e.Additional = append(e.Additional, audit.Strings("clientCertificate", r.Certificate))
	}
	return e
}

// loginResult is what ConsoleLogin events say of the outcome (AWS CloudTrail User Guide, "AWS Management Console sign-in events").
func loginResult(err *awserr.Error) string {
	if err != nil {
		return "Failure"
	}
	return "Success"
}

// identity is CloudTrail's userIdentity. Of somebody who could not prove itself it holds only the access key id that was
// claimed.
func identity(c *authn.Caller, r *authn.Request) audit.Identity {
	if c == nil || c.Kind == authn.Anonymous {
		return audit.Identity{Type: "Unknown", AccessKeyID: r.AccessKeyID}
	}
	id := audit.Identity{PrincipalID: c.UserID, ARN: c.ARN, AccountID: c.Account, AccessKeyID: c.AccessKeyID}
	switch c.Kind {
	case authn.Root:
		id.Type = "Root"
	case authn.User:
		id.Type, id.UserName = "IAMUser", c.Entity.Name
	case authn.RoleSession:
		id.Type = "AssumedRole"
	case authn.FederatedUser:
		id.Type = "FederatedUser"
	case authn.WebIdentity:
		id = audit.Identity{Type: "WebIdentityUser", PrincipalID: c.UserID, UserName: c.Subject, Provider: c.ARN}
	case authn.SAML:
		id = audit.Identity{Type: "SAMLUser", PrincipalID: c.UserID, UserName: c.Subject, Provider: c.ARN}
	}
	if c.Session != nil {
		id.Session = sessionContext(c.Session, c.Entity)
	}
	return id
}

func sessionContext(s *signer.Claims, entity *authn.Entity) *audit.Session {
	session := &audit.Session{Created: s.IssuedAt, MFAAuthenticated: !s.MFATime.IsZero(), SourceIdentity: s.SourceIdentity}
	switch {
	case s.Kind == signer.RoleSession:
		session.Issuer.Type = "Role"
	case s.Kind == signer.FederatedSession && entity.Type == authn.UserEntity:
		session.Issuer.Type = "IAMUser"
	case s.Kind == signer.FederatedSession:
		session.Issuer.Type = "Root"
	default:
		return session // a GetSessionToken session is its user: it has no issuer
	}
	session.Issuer.PrincipalID, session.Issuer.ARN = entity.ID, entity.ARN
	session.Issuer.AccountID, session.Issuer.UserName = entity.Account, entity.Name
	return session
}

// reason tells what the caller does not see: why it was denied.
func reason(err error) []audit.Attr {
	denial, ok := errors.AsType[*authz.Denial](err)
	if !ok {
		if cause := errors.Unwrap(err); cause != nil {
			return []audit.Attr{audit.String("cause", cause.Error())}
		}
		return nil
	}
	attrs := []audit.Attr{
		audit.String("action", denial.Question.Action),
		audit.String("resource", denial.Question.Resource),
		audit.String("reason", denial.Error()),
	}
	if r := denial.Decision.Reason; r.Document >= 0 { // a statement decided, not the lack of one
		attrs = append(attrs, audit.Int("policy", int64(r.Document)), audit.Int("statement", int64(r.Statement)), audit.String("sid", r.Sid))
	}
	return []audit.Attr{audit.Object("denied", attrs...)}
}

// attributes lists the members of a structure under CloudTrail's names. Secrets and blobs are left out.
func attributes(s *shape.Shape, v reflect.Value) []audit.Attr {
	fields := s.Fields()
	attrs := make([]audit.Attr, 0, 4) // of a dozen members few are given
	for i := range fields {
		f := &fields[i]
		value := f.Value(v)
		if value.IsZero() && (f.Pointer || !f.Always) {
			continue
		}
		if f.Pointer {
			value = value.Elem()
		}
		switch f.Kind {
		case shape.String:
			attrs = append(attrs, audit.String(f.Path, value.String()))
		case shape.Int:
			attrs = append(attrs, audit.Int(f.Path, value.Int()))
		case shape.Bool:
			attrs = append(attrs, audit.Bool(f.Path, value.Bool()))
		case shape.Time:
			attrs = append(attrs, audit.Time(f.Path, value.Interface().(time.Time)))
		case shape.StringList:
			attrs = append(attrs, audit.Strings(f.Path, value.Interface().([]string)))
		case shape.Struct:
			attrs = append(attrs, audit.Object(f.Path, attributes(f.Elem, value)...))
		case shape.StructList:
			list := make([][]audit.Attr, value.Len())
			for j := range list {
				list[j] = attributes(f.Elem, value.Index(j))
			}
			attrs = append(attrs, audit.Objects(f.Path, list))
		case shape.Secret, shape.Blob, shape.IntMap, shape.TextMap:
		}
	}
	return attrs
}

// explanationLines is the explanation of a denial as lines of text; the audit bounds them.
func explanationLines(decisions []authn.Decision) []string {
	e := Explanation{}
	for i := range decisions {
		e.Decisions = append(e.Decisions, explainDecision(&decisions[i]))
	}
	var b strings.Builder
	e.writeDecisions(&b)
	return strings.Split(strings.TrimSpace(b.String()), "\n")
}
