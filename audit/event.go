package audit

import "time"

// Event is one call or one change of the directory. Its texts may be hostile: the encoding bounds and escapes them.
type Event struct {
	Time               time.Time // default: the Recorder's Now
	Source             string    // "sts.amazonaws.com", "iam.amazonaws.com"
	Name               string    // the operation: "AssumeRole"
	Region             string
	SourceIP           string
	UserAgent          string
	ErrorCode          string // AWS code; empty when the call succeeded
	ErrorMessage       string // as the caller saw it
	RequestParameters  []Attr
	ResponseElements   []Attr
	Additional         []Attr // additionalEventData: the decision with its reason, the internal cause
	RequestID          string
	EventID            string // default: a random UUID
	Type               string // eventType; default "AwsApiCall"
	ReadOnly           bool
	RecipientAccountID string
	Identity           Identity
}

// Identity is CloudTrail's userIdentity: who made the call. Empty texts are left out.
type Identity struct {
	Type        string // "Root", "IAMUser", "AssumedRole", "FederatedUser", "WebIdentityUser", "SAMLUser", "Unknown", ...
	PrincipalID string
	ARN         string
	AccountID   string
	AccessKeyID string
	UserName    string
	Provider    string   // identityProvider of a web identity or SAML user
	Session     *Session // nil for long-lived keys and anonymous calls
}

// Session is CloudTrail's sessionContext.
type Session struct {
	Issuer           Issuer // zero: left out
	Created          time.Time
	MFAAuthenticated bool
	SourceIdentity   string
}

// Issuer is CloudTrail's sessionIssuer: the role or user behind a session.
type Issuer struct {
	Type        string // "Role", "IAMUser", "Root"
	PrincipalID string
	ARN         string
	AccountID   string
	UserName    string
}

// Attr is one named value of requestParameters, responseElements or additionalEventData. Only the constructors of this
// package make one, and none of them takes a secret.String or an any. Names within one object must differ.
type Attr struct {
	name   string
	kind   attrKind
	text   string
	number int64    // the value, a boolean as 0 or 1, or seconds since 1970
	texts  []string // textsKind
	groups [][]Attr // objectKind has one, objectsKind any number
}

type attrKind uint8

const (
	textKind attrKind = iota
	numberKind
	boolKind
	timeKind
	textsKind
	objectKind
	objectsKind
)

// String returns a text attribute.
func String(name, value string) Attr { return Attr{name: name, kind: textKind, text: value} }

// Int returns an integer attribute.
func Int(name string, value int64) Attr { return Attr{name: name, kind: numberKind, number: value} }

// Bool returns a boolean attribute.
func Bool(name string, value bool) Attr {
	a := Attr{name: name, kind: boolKind}
	if value {
		a.number = 1
	}
	return a
}

// Time returns an instant, encoded in UTC with whole seconds.
func Time(name string, value time.Time) Attr {
	return Attr{name: name, kind: timeKind, number: value.Unix()}
}

// Strings returns a list of texts.
func Strings(name string, values []string) Attr {
	return Attr{name: name, kind: textsKind, texts: values}
}

// Object returns attributes grouped under a name.
func Object(name string, attrs ...Attr) Attr {
	return Attr{name: name, kind: objectKind, groups: [][]Attr{attrs}}
}

// Objects returns a list of groups of attributes, for example tags.
func Objects(name string, objects [][]Attr) Attr {
	return Attr{name: name, kind: objectsKind, groups: objects}
}
