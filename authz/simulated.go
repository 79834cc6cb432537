package authz

import (
	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/policy"
)

// Simulated returns who a user or role is as a caller, and the condition keys that follow from that alone. It serves to ask
// what the entity may do without a request of its own: keys of a request, a session and a resource are absent. An entity that
// is known by its ARN only has no ID and no tags.
func Simulated(e *authn.Entity) (policy.Principal, *policy.Context) {
	c := &authn.Caller{Kind: authn.User, Account: e.Account, ARN: e.ARN, UserID: e.ID, Entity: e}
	if e.Type == authn.RoleEntity {
		// No session has this name, so that no policy which names one session speaks of the role at large.
		c.Kind, c.ARN, c.UserID = authn.RoleSession, arn.AssumedRole(e.Account, e.Name, "*"), ""
	}
	ctx := policy.NewContext(nil)
	callerKeys(ctx, c)
	return principal(c), ctx
}
