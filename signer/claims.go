package signer

import (
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/secret"
)

// SessionKind tells which operation made a session.
type SessionKind string

// The kinds of session.
const (
	RoleSession      SessionKind = "role"       // AssumeRole, AssumeRoleWithSAML, AssumeRoleWithWebIdentity
	UserSession      SessionKind = "user"       // GetSessionToken
	FederatedSession SessionKind = "federation" // GetFederationToken
	RootSession      SessionKind = "root"       // AssumeRoot
)

// Claims are the facts of a session that its token carries, signed. A Claims that Verify returned is shared: do not change it.
type Claims struct {
	Kind        SessionKind
	Account     string
	ARN         string    // of the session: assumed-role ARN, user ARN, federated-user ARN
	EntityARN   string    // of the role or user behind it, with path
	EntityID    string    // AROA… or AIDA…; the account id for root
	AccessKeyID string    // ASIA…; the token's jti
	IssuedAt    time.Time // to the millisecond, so that a revocation cutoff in the same second tells sessions apart
	ExpiresAt   time.Time // to the second, as clients read it

	SessionName    string // role session name, or the federated user's name
	SourceIdentity string
	Tags           []Tag
	TransitiveKeys []string  // keys of Tags that pass on to the next role, as spelled there
	MFATime        time.Time // when MFA was checked, to the second; zero: without MFA
	Chained        bool      // made with the credentials of another role session
	Parent         string    // access key id that asked for it

	// Ancestors are the access key ids that led to Parent, oldest first: at most MaxAncestors. AncestorsCut says that there were more, and that
	// some after the first are left out.
	Ancestors    []string
	AncestorsCut bool

	// MinTokenSize makes Mint pad the token to at least so many bytes; 0: no padding. It is not read back.
	MinTokenSize int
	padding      int // bytes of the claim that pads

	Provider      string              // federated: provider ARN
	FederatedKeys map[string][]string // SAML and OIDC condition keys that later requests may test
	Policy        string              // inline session policy as given; empty: none
	PolicyARNs    []string            // managed session policies, by reference

	DerivationVersion int // of the derivation key behind the secret access key; Mint sets it

	derived *derivedKey // the secret access key, on what Verify returns
}

// MaxAncestors is how many ancestors a token names. A service that renews its session by the session itself, once an hour, has
// one more with each hour.
const MaxAncestors = 32

// Descend sets c's Parent and Ancestors for a session that the holder of parent asks for with credentials accessKeyID; parent is nil for
// a long-lived key.
func (c *Claims) Descend(accessKeyID string, parent *Claims) {
	c.Parent = accessKeyID
	if parent == nil || parent.Parent == "" {
		return
	}
	c.Ancestors = append(slices.Clone(parent.Ancestors), parent.Parent)
	c.AncestorsCut = parent.AncestorsCut
	if len(c.Ancestors) > MaxAncestors {
		c.Ancestors = slices.Delete(c.Ancestors, 1, 2)
		c.AncestorsCut = true
	}
}

// Subject is who the identity provider of a federated session says its holder is; empty for other sessions.
func (c *Claims) Subject() string {
	_, issuer, oidc := strings.Cut(c.Provider, ":oidc-provider/")
	if !oidc {
		issuer = "saml"
	}
	if values := c.FederatedKeys[issuer+":sub"]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// Tag is a session tag.
type Tag struct {
	Key   string
	Value string
}

// Credentials are the three values that a client needs, and when they end.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey secret.String
	SessionToken    secret.String
	Expiration      time.Time
}
