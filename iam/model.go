// Package iam is the directory: accounts, users, groups, roles, policies, providers, keys, MFA devices, and the IAM
// operations on them (AWS IAM API, version 2010-05-08).
//
// It owns what the objects mean, their quotas, and the compiled entities that the request path reads; iam/store keeps the
// records. Authentication is authn's, the policy language is policy's, and who may do what is asked of authz.
package iam

import "time"

// Tag is a key and a value. Keys are unique per object ignoring case, and stored as given.
type Tag struct {
	Key   string `aws:"Key,required" len:"1,128" pattern:"tagKey"`
	Value string `aws:"Value,always" len:"0,256" pattern:"tag"`
}

// Account is one AWS account.
type Account struct {
	versioned

	ID         string
	Name       string
	Alias      string
	CreateDate time.Time
}

// User is an IAM user.
type User struct {
	versioned

	Account          string
	ID               string // AIDA…
	Name             string
	Path             string
	CreateDate       time.Time
	PasswordLastUsed time.Time // as releases noted it that kept no Use; zero: never
	Boundary         string    // policy ARN; empty: none
	Tags             []Tag
}

// Group is a set of users that share policies.
type Group struct {
	versioned

	Account    string
	ID         string // AGPA…
	Name       string
	Path       string
	CreateDate time.Time
}

// Role is an identity that others assume.
type Role struct {
	versioned

	Account            string
	ID                 string // AROA…
	Name               string
	Path               string
	Description        string
	CreateDate         time.Time
	MaxSessionDuration time.Duration
	Boundary           string // policy ARN; empty: none
	Tags               []Tag

	// Trust is the trust policy as it was given, but that accounts are named by ARN. TrustIDs maps every user and role that it
	// names as principal, by ARN or unique id, to the unique id that it had when the policy was saved: trust is bound to the id, and does not pass to a namesake that
	// is created later (AWS IAM User Guide, "IAM JSON policy elements: Principal").
	Trust    string
	TrustIDs map[string]string

	LastUsed       time.Time // as releases noted it that kept no Use; zero: never
	LastUsedRegion string
}

// Policy is a customer managed policy; its documents are PolicyVersions.
type Policy struct {
	versioned

	Account        string
	ID             string // ANPA…
	Name           string
	Path           string
	Description    string
	CreateDate     time.Time
	UpdateDate     time.Time
	DefaultVersion int // number of the version in force
	LastVersion    int // highest number ever given; numbers are never reused
	Tags           []Tag
}

// PolicyVersion is one document of a managed policy.
type PolicyVersion struct {
	versioned

	Account    string
	PolicyID   string
	Number     int
	Document   string
	CreateDate time.Time
}

// InlinePolicy is a policy embedded in a user, group or role.
type InlinePolicy struct {
	versioned

	Account  string
	Entity   string // unique id of the user, group or role
	Name     string
	Document string
}

// AccessKey is a long-lived key of a user or of an account's root user.
type AccessKey struct {
	versioned

	ID              string // AKIA…
	Account         string
	Owner           string // unique id of the user; the account id for root
	Active          bool
	CreateDate      time.Time
	SealedSecret    []byte    // the secret access key, sealed for context "access-key/" + ID
	LastUsed        time.Time // as releases noted it that kept no Use; zero: never
	LastUsedService string
	LastUsedRegion  string
}

// InstanceProfile holds at most one role; SDK tooling asks for it when it deletes roles.
type InstanceProfile struct {
	versioned

	Account    string
	ID         string // AIPA…
	Name       string
	Path       string
	CreateDate time.Time
	RoleID     string // empty: none
	Tags       []Tag
}

// MFADevice is a virtual TOTP device.
type MFADevice struct {
	versioned

	Account    string
	Serial     string    // arn:aws:iam::ACCOUNT:mfa/PATH/NAME
	Mark       string    // by chance, made with the seed: tells the device from a later one with its serial number
	Owner      string    // unique id of the user, the account id for root, or empty: unassigned
	SealedSeed []byte    // the TOTP seed in base32, sealed for context "mfa-device/" + Serial
	Offset     int       // steps by which the device's clock is ahead, as the last resync found it
	OffsetSet  time.Time // when Offset was last set; zero: never, or long ago
	CreateDate time.Time
	EnableDate time.Time
	Tags       []Tag
}

// OIDCProvider is an OpenID Connect identity provider.
type OIDCProvider struct {
	versioned

	Account     string
	URL         string // with scheme
	ClientIDs   []string
	Thumbprints []string
	CreateDate  time.Time
	Tags        []Tag
}

// SAMLProvider is a SAML 2.0 identity provider.
type SAMLProvider struct {
	versioned

	Account    string
	Name       string
	UUID       string
	Metadata   string
	EntityID   string // as the metadata have it
	CreateDate time.Time
	ValidUntil time.Time
	Tags       []Tag

	EncryptionMode string           // "Required", "Allowed" or "": Allowed, but there is no key
	PrivateKeys    []SAMLPrivateKey // that assertions may be encrypted to
}

// Attachment links a managed policy to a user, group or role.
type Attachment struct {
	versioned

	Account   string
	Entity    string // unique id of the user, group or role
	PolicyARN string
}

// BoundaryUse links a managed policy to the user or role whose permissions boundary it is.
type BoundaryUse struct {
	versioned

	Account   string
	Entity    string // unique id of the user or role
	PolicyARN string
}

// Membership links a user to a group.
type Membership struct {
	versioned

	Account string
	UserID  string
	GroupID string
}

// Alias is the one other name of an account, unique over the installation.
type Alias struct {
	versioned

	Name    string
	Account string
}
