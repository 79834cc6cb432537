package authn

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sigv4"
)

// ErrUnknown is what a Directory returns for a key, user, role, account or policy that does not exist (any more).
var ErrUnknown = errors.New("unknown")

// AccessKey is a long-lived key as authentication needs it.
type AccessKey struct {
	ID      string
	Account string
	Owner   string // unique id of the user; the account id for root
	Active  bool
	Secret  secret.String
}

// Directory is what authentication needs to know about accounts. Errors for what does not exist match ErrUnknown; any other
// error means that the directory could not be asked, and nobody is authenticated.
type Directory interface {
	// AccessKey returns a long-lived key, active or not.
	AccessKey(ctx context.Context, id string) (*AccessKey, error)
	// Entity returns the user or role with that unique id, or the account itself when id is the account id.
	Entity(ctx context.Context, account, id string) (*Entity, error)
	// ManagedPolicy returns the default version of a managed policy of the account or of AWS.
	ManagedPolicy(ctx context.Context, account, policyARN string) (*policy.Document, error)
}

// Tokens verifies session tokens and derives the secret keys that belong to them.
type Tokens interface {
	// Verify returns the claims of a token that this installation signed. The error matches signer.ErrExpiredToken when the
	// token is genuine but over, and then the claims are returned with it; otherwise it matches signer.ErrInvalidToken.
	Verify(token secret.String) (*signer.Claims, error)
	// SecretKey derives the secret access key of the session.
	SecretKey(c *signer.Claims) (secret.String, error)
}

// Verifier checks what a request was signed with; *sigv4.Verifier is the one.
type Verifier interface {
	// CheckScope checks everything about the material but the signature.
	CheckScope(r *sigv4.Request, m *sigv4.Material, service string) error
	// Verify checks the signature under a secret access key.
	Verify(r *sigv4.Request, m *sigv4.Material, secretKey secret.String) error
	// VerifyUnknown takes the time of a Verify that fails.
	VerifyUnknown(r *sigv4.Request, m *sigv4.Material)
}

// Config is what an Authenticator needs. Fields are required unless they say a default.
type Config struct {
	Directory Directory
	Tokens    Tokens
	Verifier  Verifier

	// Revocations tells which sessions were ended before their time. Default: none.
	Revocations *session.Revocations
	// Certificates tells whom client certificates stand for. Default: nobody.
	Certificates Certificates
}

// Authenticator tells who signed a request. It is safe for concurrent use.
type Authenticator struct {
	directory Directory
	tokens    Tokens
	verifier  Verifier
	inline    policyCache

	revocations  *session.Revocations // not nil
	certificates Certificates         // nil: none counts
}

// New makes an Authenticator.
func New(cfg Config) *Authenticator {
	if cfg.Revocations == nil {
		cfg.Revocations = session.NewRevocations()
	}
	return &Authenticator{
		directory: cfg.Directory, tokens: cfg.Tokens, verifier: cfg.Verifier,
		revocations: cfg.Revocations, certificates: cfg.Certificates,
	}
}

const (
	invalidTokenText = "The security token included in the request is invalid"
	expiredTokenText = "The security token included in the request is expired"
)

// Authenticate returns the caller that signed r, or one of MissingAuthenticationToken, IncompleteSignature,
// InvalidClientTokenId, ExpiredToken, SignatureDoesNotMatch. req is completed with the
// region of the credential scope and the access key id, as they were claimed.
//
// A call without authentication material may have a client certificate in its place; a signature that is there decides, right or
// wrong.
//
// The order of checks is the one seen on AWS: form of the material, credential scope and clock, access key with its session
// token and the entity behind it, expiry, signature.
func (a *Authenticator) Authenticate(ctx context.Context, r *sigv4.Request, req *Request) (*Caller, error) {
	material, err := sigv4.Parse(r)
	if errors.Is(err, sigv4.ErrMissing) && len(req.Certificate) > 0 && a.certificates != nil {
		return a.certified(ctx, req)
	}
	if err != nil {
		return nil, signatureError(err)
	}
	req.Region, req.AccessKeyID = material.Region, material.AccessKeyID
	if err := a.verifier.CheckScope(r, material, req.Service); err != nil {
		return nil, signatureError(err)
	}
	caller, secretKey, err := a.identify(ctx, material, req)
	if err != nil {
		if awserr.From(err).Kind == awserr.InvalidClientTokenID {
			// The time that a refusal takes must not tell known access key ids from unknown ones.
			a.verifier.VerifyUnknown(r, material)
		}
		return nil, err
	}
	if err := a.verifier.Verify(r, material, secretKey); err != nil {
		return nil, signatureError(err)
	}
	if err := caller.barred(); err != nil {
		return nil, err
	}
	return caller, nil
}

// identify finds whose access key the material names, and the secret that the signature must have been made with.
func (a *Authenticator) identify(ctx context.Context, m *sigv4.Material, req *Request) (*Caller, secret.String, error) {
	if m.SessionToken.IsZero() {
		return a.longLived(ctx, m, req)
	}
	return a.temporary(ctx, m, req)
}

func (a *Authenticator) longLived(ctx context.Context, m *sigv4.Material, req *Request) (*Caller, secret.String, error) {
	key, err := a.directory.AccessKey(ctx, m.AccessKeyID)
	if err != nil {
		return nil, secret.String{}, lookupError("access key", err)
	}
	if !key.Active {
		return nil, secret.String{}, invalidToken(fmt.Errorf("access key %s is inactive", key.ID))
	}
	entity, err := a.directory.Entity(ctx, key.Account, key.Owner)
	if err != nil {
		return nil, secret.String{}, lookupError("owner of the access key", err)
	}
	c := &Caller{Account: key.Account, ARN: entity.ARN, UserID: entity.ID, AccessKeyID: key.ID, Entity: entity, Request: req}
	switch entity.Type {
	case AccountEntity:
		c.Kind = Root
	case UserEntity:
		c.Kind = User
	default:
		return nil, secret.String{}, invalidToken(fmt.Errorf("access key %s belongs to a role", key.ID))
	}
	return c, key.Secret, nil
}

func (a *Authenticator) temporary(ctx context.Context, m *sigv4.Material, req *Request) (*Caller, secret.String, error) {
	claims, err := a.tokens.Verify(m.SessionToken)
	expired := errors.Is(err, signer.ErrExpiredToken)
	if err != nil && !expired {
		return nil, secret.String{}, invalidToken(err)
	}
	if claims.AccessKeyID != m.AccessKeyID {
		return nil, secret.String{}, invalidToken(errors.New("session token of another access key"))
	}
	entity, err := a.directory.Entity(ctx, claims.Account, claims.EntityID)
	if err != nil {
		return nil, secret.String{}, lookupError("issuer of the session", err)
	}
	if expired {
		return nil, secret.String{}, awserr.New(awserr.ExpiredToken, expiredTokenText)
	}
	if a.revoked(claims) {
		return nil, secret.String{}, awserr.Wrap(awserr.ExpiredToken, expiredTokenText, errRevoked)
	}
	c, err := sessionCaller(claims, entity)
	if err != nil {
		return nil, secret.String{}, err
	}
	c.Request = req
	if c.SessionPolicies, err = a.sessionPolicies(ctx, claims); err != nil {
		return nil, secret.String{}, err
	}
	secretKey, err := a.tokens.SecretKey(claims)
	if err != nil {
		return nil, secret.String{}, invalidToken(err)
	}
	return c, secretKey, nil
}

// errRevoked is what operators see of a session that was revoked. Its holder sees that it is over: SDKs then ask for a new one.
var errRevoked = errors.New("the session was revoked")

func (a *Authenticator) revoked(c *signer.Claims) bool {
	return a.revocations.Revoked(&session.Holder{
		Account: c.Account, AccessKeyID: c.AccessKeyID, EntityID: c.EntityID, Name: c.SessionName,
		Issuer: c.Provider, Subject: c.Subject, IssuedAt: c.IssuedAt,
		Parent: c.Parent, Ancestors: c.Ancestors, Cut: c.AncestorsCut,
	})
}

// sessionCaller is the caller that a session's claims describe, acting for entity.
func sessionCaller(s *signer.Claims, entity *Entity) (*Caller, error) {
	c := &Caller{Account: s.Account, ARN: s.ARN, AccessKeyID: s.AccessKeyID, Entity: entity, Session: s}
	switch {
	case s.Kind == signer.RoleSession && entity.Type == RoleEntity:
		c.Kind, c.UserID = RoleSession, s.EntityID+":"+s.SessionName
	case s.Kind == signer.UserSession && entity.Type == UserEntity:
		c.Kind, c.UserID, c.ARN = User, entity.ID, entity.ARN // a renamed user shows its present ARN
	case (s.Kind == signer.UserSession || s.Kind == signer.RootSession) && entity.Type == AccountEntity:
		c.Kind, c.UserID = Root, entity.ID
	case s.Kind == signer.FederatedSession && entity.Type != RoleEntity:
		c.Kind, c.UserID = FederatedUser, s.Account+":"+s.SessionName
	default:
		return nil, invalidToken(fmt.Errorf("session of kind %q for an entity of type %d", s.Kind, entity.Type))
	}
	return c, nil
}

// sessionPolicies compiles the session's policies; nil when it was made without any. Managed ones are read as they are now:
// an edit applies at once, and one that was deleted allows nothing any more, while the session stays limited by it.
func (a *Authenticator) sessionPolicies(ctx context.Context, s *signer.Claims) ([]*policy.Document, error) {
	if s.Policy == "" && len(s.PolicyARNs) == 0 {
		return nil, nil
	}
	documents := make([]*policy.Document, 0, 1+len(s.PolicyARNs))
	if s.Policy != "" {
		d, err := a.inline.compile(s.Policy)
		if err != nil {
			return nil, fmt.Errorf("session policy of %s: %w", s.AccessKeyID, err)
		}
		documents = append(documents, d)
	}
	for _, policyARN := range s.PolicyARNs {
		d, err := a.directory.ManagedPolicy(ctx, s.Account, policyARN)
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("session policy %s: %w", policyARN, err)
		}
		documents = append(documents, d)
	}
	return documents, nil
}

// barred tells what temporary credentials of users may not call at all
// (AWS IAM User Guide, "Compare AWS STS credentials").
func (c *Caller) barred() error {
	if c.Session == nil || c.Session.Kind == signer.RoleSession || c.Session.Kind == signer.RootSession {
		return nil
	}
	federated := c.Session.Kind == signer.FederatedSession
	if c.Request.Service == "iam" {
		if federated || c.Session.MFATime.IsZero() {
			return invalidToken(errors.New("IAM call with a session that may not make it"))
		}
		return nil
	}
	switch operation := c.Request.Operation; {
	case operation == "GetCallerIdentity", operation == "AssumeRole" && !federated:
		return nil
	case operation == "RevokeSessions":
		return nil // whoever holds a session may end it
	case operation == "GetSessionToken", operation == "GetFederationToken":
		return nil // those refuse session credentials in their own words
	default:
		return awserr.New(awserr.AccessDenied, "Cannot call "+operation+" with session credentials")
	}
}

func invalidToken(cause error) error {
	return awserr.Wrap(awserr.InvalidClientTokenID, invalidTokenText, cause)
}

// lookupError reads what does not exist like a bad token; a directory that cannot be asked is our failure.
func lookupError(what string, err error) error {
	if errors.Is(err, ErrUnknown) {
		return invalidToken(fmt.Errorf("%s: %w", what, err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// signatures finds what may be the signature in a header that AWS's texts repeat. The signature of a request whose header has
// one comma too many is good; whoever reads it in a log could mend the header and send the request again.
var signatures = regexp.MustCompile(`[0-9a-fA-F]{64}`)

// signatureError gives sigv4's errors their AWS codes.
func signatureError(err error) error {
	if errors.Is(err, sigv4.ErrMissing) {
		return awserr.New(awserr.MissingAuthenticationToken, "Request is missing Authentication Token")
	}
	if syntax, ok := errors.AsType[*sigv4.SyntaxError](err); ok {
		return awserr.New(awserr.IncompleteSignature, signatures.ReplaceAllLiteralString(syntax.Message, "[redacted]"))
	}
	if mismatch, ok := errors.AsType[*sigv4.MismatchError](err); ok {
		return awserr.New(awserr.SignatureDoesNotMatch, mismatch.Message)
	}
	return err
}

// policyCache keeps compiled inline session policies by their text, so that a session's requests do not compile it again.
type policyCache struct {
	mu   sync.RWMutex
	docs map[string]*policy.Document
}

// maxCachedPolicies bounds the cache; texts are at most 2,048 characters.
const maxCachedPolicies = 1024

func (p *policyCache) compile(text string) (*policy.Document, error) {
	p.mu.RLock()
	d := p.docs[text]
	p.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	d, err := policy.Parse(policy.Session, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.docs == nil || len(p.docs) >= maxCachedPolicies {
		p.docs = make(map[string]*policy.Document) // start over: cheaper than order, and bounded
	}
	d = d.Named("the session's own policy")
	p.docs[text] = d
	return d, nil
}
