package authn

import (
	"context"
	"errors"
)

// Certificates is the operator's mapping of client certificates to users.
type Certificates interface {
	// User returns the user that the names of a certificate are mapped to. The error matches ErrUnknown when none of them is
	// mapped, when they are mapped to different users, and when the user does not exist (any more).
	User(ctx context.Context, names []string) (*Entity, error)
}

// certified returns the user whom the call's client certificate stands for. It is a caller like one with a long-lived key, and
// has no access key id.
func (a *Authenticator) certified(ctx context.Context, req *Request) (*Caller, error) {
	entity, err := a.certificates.User(ctx, req.Certificate)
	if err != nil {
		return nil, lookupError("client certificate", err)
	}
	if entity.Type != UserEntity {
		return nil, invalidToken(errors.New("client certificate mapped to what is no user"))
	}
	return &Caller{Kind: User, Account: entity.Account, ARN: entity.ARN, UserID: entity.ID, Entity: entity, Request: req}, nil
}
