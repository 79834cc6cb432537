package oidc

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Claims are what a verified token says.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string // as the token has it
	Client    string   // the registered client that the token is good for: azp if there is one, else of aud
	IssuedAt  time.Time
	ExpiresAt time.Time

	party string // azp; empty: none
	all   value
}

const (
	maxSubject   = 2048 // bytes; a SPIFFE ID has at most as many
	minSubject   = 1
	maxAudiences = 64
)

// Claims that AWS reads (AWS IAM User Guide, "Pass session tags in AWS STS", "Monitor and control actions taken with assumed roles").
const (
	claimTags           = "https://aws.amazon.com/tags"
	claimSourceIdentity = "https://aws.amazon.com/source_identity"
	claimRoles          = "https://aws.amazon.com/roles"
)

// readClaims checks the claims of a token whose signature is good.
func readClaims(t *Token, p *Provider, now time.Time, leeway time.Duration) (*Claims, error) {
	c := &Claims{Issuer: t.issuer, all: t.claims}
	for _, check := range []func() error{
		func() error { return c.readSubject(&t.claims) },
		func() error { return c.readAudience(&t.claims, p) },
		func() error { return c.checkTimes(&t.claims, now, leeway) },
		c.checkNames,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Claims) readSubject(claims *value) error {
	if claims.get("sub") == nil {
		return &MissingClaimError{"sub"}
	}
	var ok bool
	if c.Subject, ok = claims.string("sub"); !ok || len(c.Subject) < minSubject || len(c.Subject) > maxSubject {
		return badClaim("sub", "is no text, empty or too long")
	}
	return nil
}

// readAudience finds the client. The authorized party wins over the audience, as on AWS; without one, any audience that is
// registered will do (DESIGN.md section 11).
func (c *Claims) readAudience(claims *value, p *Provider) error {
	var ok bool
	switch aud := claims.get("aud"); {
	case aud == nil:
		return &MissingClaimError{"aud"}
	case aud.kind == text:
		c.Audience = []string{aud.text}
	default:
		if c.Audience, ok = texts(aud); !ok || len(c.Audience) == 0 || len(c.Audience) > maxAudiences {
			return badClaim("aud", "is neither a text nor a list of texts")
		}
	}
	accepted := c.Audience
	if claims.get("azp") != nil {
		if c.party, ok = claims.string("azp"); !ok || c.party == "" {
			return badClaim("azp", "is no text, or empty")
		}
		accepted = []string{c.party}
	}
	i := slices.IndexFunc(accepted, func(a string) bool { return a != "" && slices.Contains(p.ClientIDs, a) })
	if i < 0 {
		return ErrAudience
	}
	c.Client = accepted[i]
	return nil
}

// texts returns the elements of a list of texts.
func texts(v *value) ([]string, bool) {
	if v.kind != array {
		return nil, false
	}
	list := make([]string, len(v.list))
	for i := range v.list {
		if v.list[i].kind != text {
			return nil, false
		}
		list[i] = v.list[i].text
	}
	return list, true
}

// ConditionPrefix is what stands before the colon in the condition keys of an issuer: its URL without the scheme.
func ConditionPrefix(issuer string) string {
	return strings.TrimPrefix(strings.TrimPrefix(issuer, "https://"), "http://")
}

// Setter receives condition keys; *policy.Context is one.
type Setter interface {
	// Set gives key one value; SetList makes it multivalued.
	Set(key, value string)
	SetList(key string, values []string)
}

// Keys sets every claim as condition key PREFIX:claim: texts, numbers and booleans with one value, lists of them as multivalued
// keys. A member of an object is PREFIX:claim/member. Claims of no such form, and those that are instructions to AWS, are no keys.
// AWS's own keys (aud, oaud, sub, amr) keep AWS's meaning (AWS IAM User Guide, "Available keys for AWS OIDC federation").
func (c *Claims) Keys(to Setter) {
	prefix := ConditionPrefix(c.Issuer) + ":"
	var spelled strings.Builder // all keys, in memory that is had at once
	spelled.Grow(len(c.all.members) * (len(prefix) + usualName))
	c.all.flatten("", func(name string, v *value) {
		start := spelled.Len()
		spelled.WriteString(prefix)
		spelled.WriteString(name)
		setKey(to, spelled.String()[start:], v)
	})
	to.Set(prefix+"sub", c.Subject)
	to.Set(prefix+"aud", c.Client)
	if c.party != "" {
		if len(c.Audience) == 1 {
			to.Set(prefix+"oaud", c.Audience[0])
		} else {
			to.SetList(prefix+"oaud", c.Audience)
		}
	}
}

// usualName is how long names of claims are, in bytes.
const usualName = 16

func setKey(to Setter, key string, v *value) {
	switch v.kind {
	case text, number, boolean:
		to.Set(key, v.text)
	case array:
		values := make([]string, len(v.list))
		for i := range v.list {
			switch e := &v.list[i]; e.kind {
			case text, number, boolean:
				values[i] = e.text
			default:
				return // a list that is not whole would pass ForAllValues
			}
		}
		to.SetList(key, values)
	default:
	}
}

// flatten yields the claims that become condition keys, members of objects after a slash.
func (v *value) flatten(path string, yield func(name string, v *value)) {
	for i := range v.members {
		m := &v.members[i]
		if path == "" && isInstruction(m.name) {
			continue
		}
		name := path + m.name
		if m.value.kind == object {
			m.value.flatten(name+"/", yield)
			continue
		}
		if !beginsWithPort(name) {
			yield(name, &m.value)
		}
	}
}

// beginsWithPort tells names that, after the colon of a condition key, would make it a key of the issuer on another port of the host:
// "8443:sub" of https://idp.example is spelled like "sub" of https://idp.example:8443.
func beginsWithPort(name string) bool {
	rest := strings.TrimLeft(name, "0123456789")
	return len(rest) < len(name) && rest != "" && (rest[0] == ':' || rest[0] == '/')
}

// isInstruction tells claims that say what to do from those that say who somebody is. The second form of tags is the flattened one.
func isInstruction(name string) bool {
	return name == claimTags || strings.HasPrefix(name, claimTags+"/") || name == claimSourceIdentity || name == claimRoles ||
		name == "aud" || name == "oaud" || name == "sub"
}

const (
	maxConditionKeys = 256
	maxClaimName     = 512 // bytes, with those of enclosing objects
)

// checkNames refuses a token two of whose claims would be one condition key: keys ignore case. It bounds what a policy is decided
// on.
func (c *Claims) checkNames() error {
	seen := make(map[string]struct{}, 3+min(len(c.all.members), maxConditionKeys))
	seen["aud"], seen["oaud"], seen["sub"] = struct{}{}, struct{}{}, struct{}{}
	var err error
	c.all.flatten("", func(name string, _ *value) {
		folded := strings.ToLower(name)
		_, twice := seen[folded]
		switch seen[folded] = struct{}{}; {
		case err != nil:
		case twice:
			err = fmt.Errorf("%w: two claims differ in letter case only, or one has the name of another's member", ErrClaim)
		case len(name) > maxClaimName || len(seen) > maxConditionKeys:
			err = fmt.Errorf("%w: too many claims, or too long a name", ErrClaim)
		}
	})
	return err
}

// LastingKeys are the condition keys that stay with the session and that later requests are judged by (AWS IAM User Guide,
// "Available keys for AWS OIDC federation": cross-service keys).
func (c *Claims) LastingKeys() map[string][]string {
	prefix := ConditionPrefix(c.Issuer) + ":"
	keys := map[string][]string{prefix + "aud": {c.Client}, prefix + "sub": {c.Subject}}
	switch amr := c.all.get("amr"); {
	case amr == nil:
	case amr.kind == text:
		keys[prefix+"amr"] = []string{amr.text}
	default:
		if list, ok := texts(amr); ok && len(list) > 0 {
			keys[prefix+"amr"] = list
		}
	}
	return keys
}

// Tag is a session tag.
type Tag struct{ Key, Value string }

// Instructions are what the issuer tells AWS to do with the session.
type Instructions struct {
	Tags              []Tag // sorted by key
	TransitiveTagKeys []string
	SourceIdentity    string   // empty: none
	Roles             []string // ARNs of the only roles that the token is good for
	HasRoles          bool     // Roles is said, possibly to be empty
}

// Instructions reads the claims that AWS defines for session tags, source identity and roles. A claim of another form is an error
// matching ErrClaim: what restricts or describes a session must not be passed over. Limits of tags and of the source identity are
// the operation's to check.
func (c *Claims) Instructions() (*Instructions, error) {
	in := new(Instructions)
	if c.all.get(claimSourceIdentity) != nil {
		var ok bool
		if in.SourceIdentity, ok = c.all.string(claimSourceIdentity); !ok || in.SourceIdentity == "" {
			return nil, badClaim(claimSourceIdentity, "is no text, or empty")
		}
	}
	if roles := c.all.get(claimRoles); roles != nil {
		in.HasRoles = true
		if roles.kind == text {
			in.Roles = []string{roles.text}
		} else if list, ok := texts(roles); ok {
			in.Roles = list
		} else {
			return nil, badClaim(claimRoles, "is neither a text nor a list of texts")
		}
	}
	tags := c.all.get(claimTags)
	if tags == nil {
		return in, nil
	}
	return in, in.readTags(tags)
}

// readTags reads {"principal_tags": {"KEY": ["VALUE"]}, "transitive_tag_keys": ["KEY"]}.
func (in *Instructions) readTags(tags *value) error {
	if tags.kind != object {
		return badClaim(claimTags, "is no object")
	}
	for i := range tags.members {
		m := &tags.members[i]
		switch m.name {
		case "principal_tags":
			if m.value.kind != object {
				return badClaim(claimTags, "has principal_tags that are no object")
			}
			for j := range m.value.members {
				tag := &m.value.members[j]
				values, ok := texts(&tag.value)
				if !ok || len(values) != 1 {
					return badClaim(claimTags, "has a tag whose value is no list of one text")
				}
				in.Tags = append(in.Tags, Tag{tag.name, values[0]})
			}
			slices.SortFunc(in.Tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
		case "transitive_tag_keys":
			var ok bool
			if in.TransitiveTagKeys, ok = texts(&m.value); !ok {
				return badClaim(claimTags, "has transitive_tag_keys that are no list of texts")
			}
		}
	}
	return nil
}

// Text returns a claim that is a text.
func (c *Claims) Text(name string) (text string, ok bool) { return c.all.string(name) }
