package sts_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/signer"
	"github.com/stint-sts/stint/sts"
)

// FuzzTags: whatever tags a session asks for, those that it inherits stay as they are, and no two of the new session are one
// condition key.
func FuzzTags(f *testing.F) {
	for _, seed := range []struct{ inherited, keys, transitive string }{
		{"team", "project", "project"},
		{"team", "Team", ""},
		{"team", "a,A", "a"},
		{"team,cost", "x", "y"},
		{"k", "\u212a", ""},
		{"id", "\u0130d", ""},
		{"s", "\u017f", ""},
		{"", "aws:x", ""},
		{"", strings.Repeat("a,", 60), ""},
		{"", " , ", " "},
	} {
		f.Add(seed.inherited, seed.keys, seed.transitive)
	}
	f.Fuzz(func(t *testing.T, inherited, keys, transitive string) {
		w := newWorld(t)
		role := w.role(accountA, "/", "target", `"Effect":"Allow","Principal":"*","Action":["sts:AssumeRole","sts:TagSession"]`)
		parent := w.role(accountA, "/", "parent", `"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"`)
		caller := w.session(parent, "session", func(c *signer.Claims) {
			for key := range strings.SplitSeq(inherited, ",") {
				c.Tags = append(c.Tags, signer.Tag{Key: key, Value: "inherited"})
				c.TransitiveKeys = append(c.TransitiveKeys, key)
			}
		})
		in := &sts.AssumeRoleInput{RoleARN: role.ARN, RoleSessionName: "chained", TransitiveTagKeys: strings.Split(transitive, ",")}
		if transitive == "" {
			in.TransitiveTagKeys = nil
		}
		for key := range strings.SplitSeq(keys, ",") {
			in.Tags = append(in.Tags, sts.Tag{Key: key, Value: "requested"})
		}
		minter := &remembering{world: w}
		service := sts.New(sts.Config{Directory: w, Minter: minter, Sessions: w})
		if _, err := service.AssumeRole(context.Background(), caller, in); err != nil {
			return
		}
		var seen policy.Context
		for _, tag := range minter.claims.Tags {
			seen.Set("aws:PrincipalTag/"+tag.Key, tag.Value)
		}
		different := make(map[string]bool) // inherited keys may be given twice by the fuzzer, though never by a session
		for _, tag := range caller.Session.Tags {
			different[tag.Key] = true
			if values, _, present := seen.Lookup("aws:PrincipalTag/" + tag.Key); !present || values[0] != "inherited" {
				t.Errorf("the inherited tag %q became %q", tag.Key, values)
			}
		}
		distinct := 0
		seen.All(func(string, []string, bool) bool { distinct++; return true })
		if len(different) == len(caller.Session.Tags) && inherited == strings.ToLower(inherited) && distinct != len(minter.claims.Tags) {
			t.Errorf("%d tags are %d condition keys: %q", len(minter.claims.Tags), distinct, minter.claims.Tags)
		}
	})
}

// remembering keeps what was minted last.
type remembering struct {
	*world
	claims *signer.Claims
}

func (r *remembering) Mint(c *signer.Claims) (*signer.Credentials, error) {
	r.claims = c
	return r.world.Mint(c)
}
