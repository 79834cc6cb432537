package sts

import (
	"slices"
	"strings"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/signer"
)

// grant is what a new role session takes over from the calling session and from the request.
type grant struct {
	requested      []authn.Tag  // tags passed in this request
	inherited      []signer.Tag // transitive tags of the calling session
	tags           []signer.Tag // of the new session
	transitive     []string     // keys of tags that pass on
	sourceIdentity string
	proved         bool // a second factor, in this call; the session does not inherit it
	packed         *int32
}

// inherit joins what the caller's session passes on with what the request asks for. A source identity can never change
// once set, and an inherited transitive tag cannot be overridden (AWS IAM User Guide, "Chaining roles with session tags").
func inherit(c *authn.Caller, in *AssumeRoleInput) (*grant, error) {
	g := &grant{sourceIdentity: in.SourceIdentity, requested: requestTags(in.Tags)}
	if s := c.Session; s != nil && c.Kind == authn.RoleSession {
		if s.SourceIdentity != "" {
			if in.SourceIdentity != "" && in.SourceIdentity != s.SourceIdentity {
				return nil, awserr.New(awserr.ValidationError, "The source identity is already set for this assume role session")
			}
			g.sourceIdentity = s.SourceIdentity
		}
		for _, t := range s.Tags {
			if containsFold(s.TransitiveKeys, t.Key) {
				g.inherited = append(g.inherited, t)
			}
		}
	}
	for _, t := range g.inherited {
		if slices.ContainsFunc(in.Tags, func(requested Tag) bool { return policy.SameKey(requested.Key, t.Key) }) {
			return nil, awserr.New(awserr.InvalidParameterValue, "One of the specified transitive tag keys can't be set "+
				"because it conflicts with a transitive tag key from the calling session.")
		}
		g.tags = append(g.tags, t)
		g.transitive = append(g.transitive, t.Key)
	}
	g.tags = append(g.tags, sessionTags(in.Tags)...)
	g.transitive = append(g.transitive, in.TransitiveTagKeys...)
	return g, nil
}

// overlay is the role's tags as the trust policy sees them: an inherited transitive tag replaces the role's own of that key.
func (g *grant) overlay(roleTags []authn.Tag) []authn.Tag {
	if len(g.inherited) == 0 {
		return roleTags
	}
	out := make([]authn.Tag, 0, len(roleTags)+len(g.inherited))
	for _, t := range roleTags {
		if !slices.ContainsFunc(g.inherited, func(i signer.Tag) bool { return policy.SameKey(i.Key, t.Key) }) {
			out = append(out, t)
		}
	}
	for _, t := range g.inherited {
		out = append(out, authn.Tag(t))
	}
	return out
}

// reservedTagPrefix may not begin a tag key or value (AWS IAM User Guide, "Rules for tagging in IAM and AWS STS").
const reservedTagPrefix = "aws:"

// checkTags refuses tags and transitive keys that contradict each other.
func checkTags(tags []Tag, transitive []string) error {
	for i, t := range tags {
		if hasPrefixFold(t.Key, reservedTagPrefix) || hasPrefixFold(t.Value, reservedTagPrefix) {
			return awserr.New(awserr.InvalidParameterValue, "Tag keys and values must not begin with aws:, which is reserved.")
		}
		for _, earlier := range tags[:i] {
			if policy.SameKey(earlier.Key, t.Key) {
				return awserr.New(awserr.InvalidParameterValue,
					"Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			}
		}
	}
	for _, key := range transitive {
		if !slices.ContainsFunc(tags, func(t Tag) bool { return policy.SameKey(t.Key, key) }) {
			return awserr.New(awserr.InvalidParameterValue,
				"The specified transitive tag key must be included in the requested tags.")
		}
	}
	return nil
}

// requestTags are tags as condition keys see them.
func requestTags(tags []Tag) []authn.Tag {
	if len(tags) == 0 {
		return nil
	}
	out := make([]authn.Tag, len(tags))
	for i, t := range tags {
		out[i] = authn.Tag(t)
	}
	return out
}

// sessionTags are tags as a session carries them.
func sessionTags(tags []Tag) []signer.Tag {
	if len(tags) == 0 {
		return nil
	}
	out := make([]signer.Tag, len(tags))
	for i, t := range tags {
		out[i] = signer.Tag(t)
	}
	return out
}

func containsFold(keys []string, key string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return policy.SameKey(k, key) })
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
