package policy

import (
	"strings"

	"github.com/stint-sts/stint/arn"
)

// grantKind tells how a Principal element names the caller. Which limits apply to a grant depends on it (IAM User Guide,
// "Determining whether a request is allowed or denied within an account"). The order is the order of reach.
type grantKind uint8

const (
	notNamed   grantKind = iota
	byAccount            // the account: delegates to its identity policies
	byUserOf             // the user that made this federated-user session
	byRole               // the role of this session
	byIdentity           // the caller itself, or everybody
)

var grantKindNames = [...]string{"does not name the caller", "names the caller's account", "names the user behind the caller",
	"names the caller's role", "names the caller"}

func (k grantKind) String() string { return grantKindNames[k] }

// principalForm is the form of one entry of a Principal element.
type principalForm uint8

const (
	everyone principalForm = iota
	everyAWS               // {"AWS": "*"}
	account
	userARN
	roleARN
	sessionARN // also a federated-user session
	userID
	roleID
	provider
	service
	canonicalUser
)

// principal is one entry of a Principal element.
type principal struct {
	form  principalForm
	text  string // as written
	value string // account id, ARN, unique id, provider or service name
	bound bool   // userARN, roleARN: match by id only
	id    string // of a bound entry; empty when the ARN does not resolve
}

// builtinProviders are the identity providers that need no ARN.
var builtinProviders = map[string]bool{
	"accounts.google.com": true, "cognito-identity.amazonaws.com": true, "graph.facebook.com": true, "www.amazon.com": true,
}

// parsePrincipal reads one value of a Principal element under the key AWS, Federated, Service or CanonicalUser.
func parsePrincipal(key, value string) (principal, bool) {
	switch key {
	case "AWS":
		return parseAWSPrincipal(value)
	case "Federated":
		return principal{form: provider, value: value}, builtinProviders[value] || isProviderARN(value)
	case "Service":
		return principal{form: service, value: value}, isHostName(value)
	case "CanonicalUser":
		return principal{form: canonicalUser, value: value}, len(value) == 64 && consistsOf(value, "0123456789abcdefABCDEF")
	default:
		return principal{}, false
	}
}

func parseAWSPrincipal(value string) (principal, bool) {
	if value == "*" {
		return principal{form: everyAWS}, true
	}
	if arn.ValidAccount(value) {
		return principal{form: account, value: value}, true
	}
	if form, ok := uniqueIDForm(value); ok {
		return principal{form: form, value: value}, true
	}
	a, err := arn.Parse(value)
	if err != nil || !partitions[a.Partition] || a.Region != "" || !arn.ValidAccount(a.Account) {
		return principal{}, false
	}
	kind, name, _ := strings.Cut(a.Resource, "/")
	switch {
	case a.Service == "iam" && a.Resource == "root":
		return principal{form: account, value: a.Account}, true
	case a.Service == "iam" && kind == "user" && isEntityName(name):
		return principal{form: userARN, value: value}, true
	case a.Service == "iam" && kind == "role" && isEntityName(name):
		return principal{form: roleARN, value: value}, true
	case a.Service == "sts" && kind == "assumed-role" && isEntityName(name) && strings.Count(name, "/") == 1,
		a.Service == "sts" && kind == "federated-user" && isEntityName(name) && !strings.Contains(name, "/"):
		return principal{form: sessionARN, value: value}, true
	}
	return principal{}, false
}

// uniqueIDForm recognizes AIDA… and AROA…, which take the place of an ARN whose user or role is gone.
func uniqueIDForm(value string) (principalForm, bool) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if len(value) < 5 || len(value) > 128 || !consistsOf(value, alphabet) {
		return 0, false
	}
	switch value[:4] {
	case "AIDA":
		return userID, true
	case "AROA":
		return roleID, true
	default:
		return 0, false
	}
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// isEntityName accepts path and name of a user, role or session; a wildcard is not among their characters.
func isEntityName(s string) bool {
	return s != "" && !strings.HasSuffix(s, "/") && !strings.HasPrefix(s, "/") && consistsOf(s, alphanumeric+"_+=,.@-/")
}

func isHostName(s string) bool { return s != "" && consistsOf(s, alphanumeric+".-") }

func isProviderARN(s string) bool {
	a, err := arn.Parse(s)
	if err != nil || !partitions[a.Partition] || a.Service != "iam" || a.Region != "" || !arn.ValidAccount(a.Account) {
		return false
	}
	kind, name, _ := strings.Cut(a.Resource, "/")
	return (kind == "saml-provider" || kind == "oidc-provider") && name != "" && !strings.ContainsAny(name, "*? ")
}

func consistsOf(s, alphabet string) bool { return strings.Trim(s, alphabet) == "" }

// match tells how the entry names p.
func (e *principal) match(p *Principal) grantKind {
	switch e.form {
	case everyone, everyAWS:
		return byIdentity
	case account:
		return grantIf(p.Account == e.value && p.hasIdentitySide(), byAccount)
	case userARN:
		if e.bound {
			return matchUserID(p, e.id)
		}
		if p.Type == FederatedUser {
			return grantIf(p.UserARN == e.value, byUserOf)
		}
		return grantIf(p.Type == User && p.ARN == e.value, byIdentity)
	case userID:
		return matchUserID(p, e.value)
	case roleARN:
		if e.bound {
			return matchRoleID(p, e.id)
		}
		return grantIf(p.Type == RoleSession && p.RoleARN == e.value, byRole)
	case roleID:
		return matchRoleID(p, e.value)
	case sessionARN:
		return grantIf((p.Type == RoleSession || p.Type == FederatedUser) && p.ARN == e.value, byIdentity)
	case provider:
		return grantIf(p.Type == Federated && p.ARN == e.value, byIdentity)
	case service:
		return grantIf(p.Type == Service && p.ARN == e.value, byIdentity)
	default: // a canonical user is a name that only S3 knows
		return notNamed
	}
}

func matchUserID(p *Principal, id string) grantKind {
	switch {
	case id == "" || p.ID != id:
		return notNamed
	case p.Type == User:
		return byIdentity
	default:
		return grantIf(p.Type == FederatedUser, byUserOf)
	}
}

func matchRoleID(p *Principal, id string) grantKind {
	return grantIf(id != "" && p.ID == id && p.Type == RoleSession, byRole)
}

func grantIf(ok bool, k grantKind) grantKind {
	if ok {
		return k
	}
	return notNamed
}

// hasIdentitySide tells whether identity policies can speak for p at all. Services, holders of an assertion or token, and
// anonymous callers have none.
func (p *Principal) hasIdentitySide() bool {
	switch p.Type {
	case Root, User, RoleSession, FederatedUser:
		return true
	default:
		return false
	}
}

// principalSet is a Principal or NotPrincipal element.
type principalSet struct {
	negated bool // NotPrincipal
	entries []principal
}

// match tells how the element names p. A NotPrincipal speaks of everybody but those whom it names in any way. A Deny with
// NotPrincipal always hits a caller with a permissions boundary (IAM User Guide, "AWS JSON policy elements: NotPrincipal").
//
// {"AWS": "*"} allows "any root user, IAM user, assumed-role session, or federated user in any account" (AWS, "Principals" of several
// services): the holder of an identity provider's token or assertion is none of them until the role is assumed, or a role that says
// sts:* for all accounts would let in whoever any registered issuer vouches for. It denies everybody.
func (s *principalSet) match(p *Principal, deny, bounded bool) grantKind {
	best := notNamed
	for i := range s.entries {
		if s.entries[i].form == everyAWS && p.Type == Federated && !deny {
			continue
		}
		best = max(best, s.entries[i].match(p))
	}
	if s.negated {
		return grantIf(best == notNamed || deny && bounded, byIdentity)
	}
	return best
}
