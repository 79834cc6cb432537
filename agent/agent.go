// Package agent is the workload's side of stint: it fetches credentials of a role, keeps them fresh, and hands them to AWS SDKs in
// the forms that they know: the container credentials endpoint (Amazon ECS, EKS Pod Identity), the EC2 instance metadata service
// (IMDSv2), and a file that many short-lived processes share (credential_process).
//
// A Source fetches credentials, a Keeper holds and renews them, Container and Metadata are the endpoints, a Cache is the file.
// Nothing here hands out credentials that are empty or about to expire.
package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stint-sts/stint/secret"
)

// Credentials are temporary credentials of a role.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey secret.String
	SessionToken    secret.String
	Expiration      time.Time     // by the server's clock, UTC
	Lifetime        time.Duration // how long they had when they were fetched, whatever the clock of this machine says
}

// margin is how long before their end credentials are not handed out any more: a request that is signed with them must still arrive.
const margin = 15 * time.Second

// check tells why c must not be handed out.
func (c *Credentials) check() error {
	switch {
	case c.AccessKeyID == "" || c.SecretAccessKey.IsZero() || c.SessionToken.IsZero() || c.Expiration.IsZero():
		return errors.New("the server's answer lacks a part of the credentials")
	case c.Lifetime <= margin:
		return fmt.Errorf("the server's credentials end within %v: is the clock of this machine right?", margin)
	}
	return nil
}

// refreshAfter is the age at which credentials are renewed: two thirds of their life.
func (c *Credentials) refreshAfter() time.Duration { return c.Lifetime / 3 * 2 }

// Source fetches credentials. Files that it needs are read at each fetch, so that whoever renews them need not tell.
type Source interface {
	// Fetch asks the server once. Its error matches *Refusal when asking again soon is of no use.
	Fetch(ctx context.Context) (Credentials, error)
}

// Refusal is the server's answer to a call that will not succeed until somebody changes something: the role, its trust policy, the
// token, the clock.
type Refusal struct {
	Code    string // AWS error code: "AccessDenied"
	Message string
}

// Error returns code and message.
func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// ErrNotReady tells that there are no credentials yet, and that the attempts to get them go on.
var ErrNotReady = errors.New("there are no credentials yet")
