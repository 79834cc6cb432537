package dispatch

import (
	"errors"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

// hidden stands for the name of a user who does not exist: what was typed may be a password
// (AWS CloudTrail User Guide, "AWS Management Console sign-in events").
const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// ConsoleLogin is the audit event of an attempt to sign in with a password: CloudTrail's record of a console sign-in. Of r it needs the
// id, time, source address and user agent. out and err are what iam.Passwords.SignIn returned.
func ConsoleLogin(r *authn.Request, out *iam.SignedIn, err error) *audit.Event {
	e := &audit.Event{
		Time: r.Time, Source: "signin.amazonaws.com", Name: "ConsoleLogin", Type: "AwsConsoleSignIn",
		Region:   "us-east-1", // as of AWS's global sign-in
		SourceIP: r.SourceIP, UserAgent: r.UserAgent, RequestID: r.ID,
		Identity:         audit.Identity{Type: "IAMUser", UserName: hidden},
		ResponseElements: []audit.Attr{audit.String("ConsoleLogin", "Failure")},
	}
	refused, judged := errors.AsType[*iam.SignInError](err)
	switch {
	case err == nil:
		u := out.User
		e.Identity = audit.Identity{Type: "IAMUser", PrincipalID: u.ID, ARN: u.ARN, AccountID: u.Account, UserName: u.Name}
		e.ResponseElements = []audit.Attr{audit.String("ConsoleLogin", "Success")}
		e.Additional = []audit.Attr{mfaUsed(out.MFASerial != "")}
		if out.MFASerial != "" {
			e.Additional = append(e.Additional, audit.String("MFAIdentifier", out.MFASerial))
		}
		if out.MustChange() {
			e.Additional = append(e.Additional, audit.Bool("passwordChangeRequired", true))
		}
	case judged:
		e.ErrorMessage = "Failed authentication"
		if u := refused.User; u != nil {
			e.Identity = audit.Identity{Type: "IAMUser", PrincipalID: u.ID, ARN: u.ARN(), AccountID: u.Account, UserName: u.Name}
		} else if refused.Account != "" {
			e.Identity.AccountID, e.ErrorMessage = refused.Account, "No username found in supplied account"
		}
		e.Additional = []audit.Attr{mfaUsed(refused.MFAUsed), audit.String("cause", refused.Reason)}
	default: // nothing was found out
		seen := awserr.From(err)
		e.ErrorCode, e.ErrorMessage = seen.Kind.Code, seen.Message
		e.Additional = append([]audit.Attr{mfaUsed(false)}, reason(seen)...)
	}
	e.RecipientAccountID = e.Identity.AccountID
	return e
}

func mfaUsed(used bool) audit.Attr {
	if used {
		return audit.String("MFAUsed", "Yes")
	}
	return audit.String("MFAUsed", "No")
}
