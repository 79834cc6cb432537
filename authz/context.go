package authz

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/signer"
)

// dateFormat is how dates stand in the request context (AWS IAM User Guide, "Date condition operators").
const dateFormat = "2006-01-02T15:04:05Z"

// globalRegion is the region of calls that name none, as of AWS's global STS endpoint.
const globalRegion = "us-east-1"

// callerKeys sets the condition keys that tell who calls and how. A key that does not apply is absent, never empty.
// Source: AWS IAM User Guide, "AWS global condition context keys".
func callerKeys(ctx *policy.Context, c *authn.Caller) {
	if c.Kind == authn.WebIdentity || c.Kind == authn.SAML {
		return // only the identity provider's own keys, which the operation sets, tell who it is
	}
	if c.UserID != "" { // a simulated role session has no name
		ctx.Set("aws:userid", c.UserID)
	}
	ctx.Set("aws:PrincipalAccount", c.Account)
	switch c.Kind {
	case authn.Root:
		ctx.Set("aws:PrincipalArn", c.ARN)
		ctx.Set("aws:PrincipalType", "Account")
	case authn.User:
		ctx.Set("aws:PrincipalArn", c.Entity.ARN)
		ctx.Set("aws:PrincipalType", "User")
		ctx.Set("aws:username", c.Entity.Name)
	case authn.RoleSession:
		ctx.Set("aws:PrincipalArn", c.Entity.ARN) // the role, not the session
		ctx.Set("aws:PrincipalType", "AssumedRole")
	case authn.FederatedUser:
		ctx.Set("aws:PrincipalArn", c.ARN)
		ctx.Set("aws:PrincipalType", "FederatedUser")
	case authn.Anonymous:
		ctx.Set("aws:userid", "anonymous")
		ctx.Set("aws:PrincipalAccount", "anonymous")
		ctx.Set("aws:PrincipalType", "Anonymous")
		return
	}
	ctx.Set("aws:PrincipalIsAWSService", "false")
	principalTags(ctx, c)
	sessionKeys(ctx, c)
}

// principalTags sets aws:PrincipalTag/KEY: the entity's tags, overlaid by the session's (keys compare ignoring case).
func principalTags(ctx *policy.Context, c *authn.Caller) {
	if c.Entity != nil {
		for _, t := range c.Entity.Tags {
			ctx.Set("aws:PrincipalTag/"+t.Key, t.Value)
		}
	}
	if c.Session != nil {
		for _, t := range c.Session.Tags {
			ctx.Set("aws:PrincipalTag/"+t.Key, t.Value)
		}
	}
}

// sessionKeys sets the keys that only temporary credentials have.
func sessionKeys(ctx *policy.Context, c *authn.Caller) {
	s := c.Session
	if s == nil {
		return
	}
	ctx.Set("aws:TokenIssueTime", s.IssuedAt.UTC().Format(dateFormat))
	if s.MFATime.IsZero() {
		ctx.Set("aws:MultiFactorAuthPresent", "false")
	} else {
		ctx.Set("aws:MultiFactorAuthPresent", "true")
		ctx.Set("aws:MultiFactorAuthAge", strconv.FormatInt(int64(c.Request.Time.Sub(s.MFATime)/time.Second), 10))
	}
	if s.Kind == signer.RootSession {
		ctx.Set("aws:AssumedRoot", "true")
	}
	if s.SourceIdentity != "" {
		ctx.Set("aws:SourceIdentity", s.SourceIdentity)
	}
	if s.Provider != "" {
		ctx.Set("aws:FederatedProvider", s.Provider)
	}
	for key, values := range s.FederatedKeys {
		switch {
		case isReserved(key):
		case len(values) == 1:
			ctx.Set(key, values[0])
		default:
			ctx.SetList(key, values)
		}
	}
}

// isReserved reports a key that only stint sets. An identity provider chooses how its own keys are called: an issuer whose name
// is aws must not say who calls.
func isReserved(key string) bool {
	prefix, _, _ := strings.Cut(key, ":")
	return strings.EqualFold(prefix, "aws") || strings.EqualFold(prefix, "sts") || strings.EqualFold(prefix, "iam")
}

// Clock sets the keys that tell the time of a call.
func Clock(ctx *policy.Context, now time.Time) {
	var room [len(dateFormat) + 20]byte
	b := now.UTC().AppendFormat(room[:0], dateFormat)
	date := len(b)
	text := string(strconv.AppendInt(b, now.Unix(), 10)) // one allocation for both
	ctx.Set("aws:CurrentTime", text[:date])
	ctx.Set("aws:EpochTime", text[date:])
}

// requestKeys sets the condition keys of the call itself and of the resource. They come after the caller's, and the
// operation's own keys last: a caller cannot set reserved keys, because none of the names is the caller's to choose but
// the tag keys, and those sit behind a fixed prefix.
func requestKeys(ctx *policy.Context, c *authn.Caller, q *Question) {
	r := c.Request
	Clock(ctx, r.Time)
	ctx.Set("aws:SecureTransport", strconv.FormatBool(r.SecureTransport))
	ctx.Set("aws:UserAgent", r.UserAgent)
	ctx.Set("aws:SourceIp", r.SourceIP)
	ctx.Set("aws:ViaAWSService", "false")
	ctx.Set("aws:RequestedRegion", cmp.Or(r.Region, globalRegion))
	if r.Referer != "" {
		ctx.Set("aws:Referer", r.Referer)
	}
	ctx.Set("aws:ResourceAccount", q.account(c))
	for _, t := range q.ResourceTags {
		ctx.Set("aws:ResourceTag/"+t.Key, t.Value)
		ctx.Set("iam:ResourceTag/"+t.Key, t.Value)
	}
	for _, t := range q.RequestTags {
		ctx.Set("aws:RequestTag/"+t.Key, t.Value)
	}
	if keys := q.tagKeys(); keys != nil {
		ctx.SetList("aws:TagKeys", keys)
	}
	if q.Keys != nil {
		q.Keys(ctx)
	}
}

func (q *Question) tagKeys() []string {
	if q.TagKeys != nil || len(q.RequestTags) == 0 {
		return q.TagKeys
	}
	keys := make([]string, len(q.RequestTags))
	for i, t := range q.RequestTags {
		keys[i] = t.Key
	}
	return keys
}
