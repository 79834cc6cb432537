package policy

// Kind is what a document is attached as; it decides which elements are required and forbidden.
type Kind uint8

// The kinds of policy.
const (
	Identity       Kind = iota + 1 // managed or inline policy of a user, group or role
	Boundary                       // permissions boundary
	Session                        // session policy
	Trust                          // role trust policy (AssumeRolePolicyDocument)
	Resource                       // any other resource policy
	ServiceControl                 // service control policy of an organization level
)

// Effect is the outcome of an evaluation. The zero value denies.
type Effect uint8

// The outcomes.
const (
	ImplicitDeny Effect = iota // nothing allowed it, or a limit did not cover it
	ExplicitDeny               // a Deny statement applied
	Allow
)

// PrincipalType is the kind of caller, for principal matching and for the rules of combination.
type PrincipalType uint8

// The types of principal.
const (
	Anonymous PrincipalType = iota
	Root
	User          // an IAM user, also with GetSessionToken credentials
	RoleSession   // a session of a role
	FederatedUser // a session made by GetFederationToken
	Federated     // the holder of a SAML assertion or web identity token, calling AssumeRoleWith…
	Service       // a service principal
)

// Principal is who asks.
type Principal struct {
	Type    PrincipalType
	ARN     string // user ARN, assumed-role session ARN, federated-user ARN, root ARN, provider ARN, or service name
	Account string // empty for a service
	RoleARN string // RoleSession: the role, with its path
	UserARN string // FederatedUser: the user that made it
	ID      string // unique id of the user (also a federated user's maker) or role; empty where there is none
}

// Request is one question: may Principal do Action on Resource?
type Request struct {
	Principal       *Principal
	Action          string // "sts:AssumeRole"
	Resource        string // an ARN, or "*" for an action without resource
	ResourceAccount string // owner of the resource; the request is cross-account when it differs from Principal.Account
	Context         *Context
}

// Policies are all documents that bear on a request. A nil slice or pointer means that no policy of that kind is attached,
// which is not the same as one that allows nothing.
type Policies struct {
	Identity       []*Document
	Resource       *Document // for sts:AssumeRole and its companions the role's trust policy (Kind Trust)
	Boundary       *Document
	Session        []*Document
	ServiceControl [][]*Document // a list per level, from the organization's root to the account
}
