package authz_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/signer"
)

const account = "111122223333"

var (
	now    = time.Date(2026, 3, 14, 15, 9, 26, 535_897_932, time.UTC)
	issued = now.Add(-10 * time.Minute)
)

func request() *authn.Request {
	return &authn.Request{
		ID: "r", Service: "sts", Operation: "AssumeRole", Region: "eu-west-1", Time: now, SourceIP: "203.0.113.9", UserAgent: "sdk",
		SecureTransport: true,
	}
}

// The kinds of caller of the reference's table.
func rootUser() *authn.Caller {
	arn := "arn:aws:iam::" + account + ":root"
	return &authn.Caller{
		Kind: authn.Root, Account: account, ARN: arn, UserID: account, Request: request(),
		Entity: &authn.Entity{Type: authn.AccountEntity, Account: account, ID: account, ARN: arn},
	}
}

func user() *authn.Caller {
	e := &authn.Entity{
		Type: authn.UserEntity, Account: account, ID: "AIDAEXAMPLE", ARN: "arn:aws:iam::" + account + ":user/path/alice", Path: "/path/", Name: "alice",
		Identity: []*policy.Document{}, Tags: []authn.Tag{{Key: "team", Value: "red"}, {Key: "Level", Value: "1"}},
	}
	return &authn.Caller{Kind: authn.User, Account: account, ARN: e.ARN, UserID: e.ID, Entity: e, Request: request()}
}

func userSession() *authn.Caller {
	c := user()
	c.Session = &signer.Claims{Kind: signer.UserSession, IssuedAt: issued}
	return c
}

func roleSession() *authn.Caller {
	e := &authn.Entity{
		Type: authn.RoleEntity, Account: account, ID: "AROAEXAMPLE", ARN: "arn:aws:iam::" + account + ":role/path/worker", Path: "/path/", Name: "worker",
		Identity: []*policy.Document{}, Tags: []authn.Tag{{Key: "team", Value: "red"}, {Key: "Level", Value: "1"}},
	}
	return &authn.Caller{
		Kind: authn.RoleSession, Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/worker/job", UserID: e.ID + ":job", Entity: e,
		Session: &signer.Claims{Kind: signer.RoleSession, IssuedAt: issued, SessionName: "job"}, Request: request(),
	}
}

func federatedUser() *authn.Caller {
	c := user()
	c.Kind, c.ARN, c.UserID = authn.FederatedUser, "arn:aws:sts::"+account+":federated-user/bob", account+":bob"
	c.Session = &signer.Claims{Kind: signer.FederatedSession, IssuedAt: issued, SessionName: "bob"}
	return c
}

func anonymous() *authn.Caller {
	r := request()
	r.Region = ""
	return &authn.Caller{Kind: authn.Anonymous, Request: r}
}

var kinds = []struct {
	name string
	make func() *authn.Caller
}{
	{"U", user}, {"R", roleSession}, {"F", federatedUser}, {"G", userSession}, {"root", rootUser}, {"anonymous", anonymous},
}

// seen is the request context that a question is decided on.
func seen(c *authn.Caller, q authz.Question) map[string][]string {
	if q.Action == "" {
		q.Action, q.Resource = "sts:AssumeRole", "arn:aws:iam::"+account+":role/r"
	}
	authz.Decide(c, &q)
	keys := make(map[string][]string)
	c.Request.Decisions[len(c.Request.Decisions)-1].Request.Context.All(func(key string, values []string, _ bool) bool {
		keys[strings.ToLower(key)] = slices.Clone(values)
		return true
	})
	return keys
}

// The presence table of "AWS global condition context keys", kind by kind; a value of "" is an absent key.
func TestContext_OfEachCaller(t *testing.T) {
	t.Parallel()
	const userARN, roleARN = "arn:aws:iam::111122223333:user/path/alice", "arn:aws:iam::111122223333:role/path/worker"
	always := func(v string) [6]string { return [6]string{v, v, v, v, v, v} }
	signed := func(v string) [6]string { return [6]string{v, v, v, v, v, ""} }
	temporary := func(v string) [6]string { return [6]string{"", v, v, v, "", ""} }
	for key, want := range map[string][6]string{ // U, R, F, G, root, anonymous
		"aws:CurrentTime":            always("2026-03-14T15:09:26Z"),
		"aws:EpochTime":              always("1773500966"),
		"aws:SecureTransport":        always("true"),
		"aws:UserAgent":              always("sdk"),
		"aws:SourceIp":               always("203.0.113.9"),
		"aws:ViaAWSService":          always("false"),
		"aws:RequestedRegion":        {"eu-west-1", "eu-west-1", "eu-west-1", "eu-west-1", "eu-west-1", "us-east-1"},
		"aws:ResourceAccount":        always(account),
		"aws:PrincipalArn":           {userARN, roleARN, "arn:aws:sts::111122223333:federated-user/bob", userARN, "arn:aws:iam::111122223333:root", ""},
		"aws:PrincipalAccount":       {account, account, account, account, account, "anonymous"},
		"aws:PrincipalType":          {"User", "AssumedRole", "FederatedUser", "User", "Account", "Anonymous"},
		"aws:userid":                 {"AIDAEXAMPLE", "AROAEXAMPLE:job", account + ":bob", "AIDAEXAMPLE", account, "anonymous"},
		"aws:username":               {"alice", "", "", "alice", "", ""},
		"aws:PrincipalIsAWSService":  signed("false"),
		"aws:PrincipalTag/TEAM":      {"red", "red", "red", "red", "", ""},
		"aws:TokenIssueTime":         temporary("2026-03-14T14:59:26Z"),
		"aws:MultiFactorAuthPresent": temporary("false"),
		"aws:MultiFactorAuthAge":     always(""),
		// What stint does not have is absent, as AWS has it absent outside of networks, organizations and services.
		"aws:Referer": always(""), "aws:SourceVpc": always(""), "aws:SourceVpce": always(""), "aws:VpcSourceIp": always(""),
		"aws:SourceVpcArn": always(""), "aws:VpceAccount": always(""), "aws:VpceOrgID": always(""), "aws:VpceOrgPaths": always(""),
		"aws:PrincipalOrgID": always(""), "aws:PrincipalOrgPaths": always(""), "aws:ResourceOrgID": always(""), "aws:ResourceOrgPaths": always(""),
		"aws:PrincipalServiceName": always(""), "aws:PrincipalServiceNamesList": always(""), "aws:SourceArn": always(""),
		"aws:SourceAccount": always(""), "aws:SourceOrgID": always(""), "aws:SourceOrgPaths": always(""), "aws:CalledVia": always(""),
		"aws:CalledViaFirst": always(""), "aws:CalledViaLast": always(""), "aws:Ec2InstanceSourceVpc": always(""),
		"aws:Ec2InstanceSourcePrivateIPv4": always(""), "ec2:SourceInstanceArn": always(""), "aws:SourceIdentity": always(""),
		"aws:FederatedProvider": always(""), "aws:AssumedRoot": always(""), "aws:RequestTag/team": always(""), "aws:TagKeys": always(""),
		"aws:ResourceTag/team": always(""), "iam:ResourceTag/team": always(""), "sts:ExternalId": always(""),
	} {
		for i, kind := range kinds {
			got, present := seen(kind.make(), authz.Question{ResourceAccount: "", Action: "sts:X", Resource: "*"})[strings.ToLower(key)]
			if key == "aws:ResourceAccount" && kind.name == "anonymous" {
				continue // an anonymous caller has no account that a resource could default to
			}
			switch {
			case want[i] == "" && present:
				t.Errorf("%s of %s is %q, want absent", key, kind.name, got)
			case want[i] != "" && (len(got) != 1 || got[0] != want[i]):
				t.Errorf("%s of %s is %q (present %t), want %q", key, kind.name, got, present, want[i])
			}
		}
	}
}

// Every key that a fact of the request, the session or the operation brings, beside the same call without the fact.
func TestContext_OfFacts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(*authn.Caller, *authz.Question)
		want   map[string][]string // in lower case
	}{
		{"a Referer is sent", func(c *authn.Caller, _ *authz.Question) { c.Request.Referer = "https://x" }, map[string][]string{"aws:referer": {"https://x"}}},
		{
			"MFA was used", func(c *authn.Caller, _ *authz.Question) {
				c.Session.MFATime = now.Add(-90*time.Second - time.Nanosecond)
			},
			map[string][]string{"aws:multifactorauthpresent": {"true"}, "aws:multifactorauthage": {"90"}},
		},
		{
			"the session has a source identity", func(c *authn.Caller, _ *authz.Question) { c.Session.SourceIdentity = "carol" },
			map[string][]string{"aws:sourceidentity": {"carol"}},
		},
		{
			"the session comes from a provider", func(c *authn.Caller, _ *authz.Question) {
				c.Session.Provider = "arn:aws:iam::111122223333:oidc-provider/idp"
				c.Session.FederatedKeys = map[string][]string{"idp:sub": {"s"}, "idp:amr": {"a", "b"}}
			}, map[string][]string{
				"aws:federatedprovider": {"arn:aws:iam::111122223333:oidc-provider/idp"}, "idp:sub": {"s"}, "idp:amr": {"a", "b"},
			},
		},
		{"it is an AssumeRoot session", func(c *authn.Caller, _ *authz.Question) { c.Session.Kind = signer.RootSession }, map[string][]string{"aws:assumedroot": {"true"}}},
		{
			"session tags overlay the entity's, ignoring case", func(c *authn.Caller, _ *authz.Question) {
				c.Session.Tags = []signer.Tag{{Key: "TEAM", Value: "blue"}, {Key: "cost", Value: ""}}
			}, map[string][]string{"aws:principaltag/team": {"blue"}, "aws:principaltag/cost": {""}},
		},
		{
			"tags are passed", func(_ *authn.Caller, q *authz.Question) {
				q.RequestTags = []authn.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: ""}}
			},
			map[string][]string{"aws:requesttag/a": {"1"}, "aws:requesttag/b": {""}, "aws:tagkeys": {"a", "b"}},
		},
		{"tag keys are passed", func(_ *authn.Caller, q *authz.Question) { q.TagKeys = []string{"a"} }, map[string][]string{"aws:tagkeys": {"a"}}},
		{
			"the resource has tags", func(_ *authn.Caller, q *authz.Question) { q.ResourceTags = []authn.Tag{{Key: "a", Value: "1"}} },
			map[string][]string{"aws:resourcetag/a": {"1"}, "iam:resourcetag/a": {"1"}},
		},
		{
			"the resource is of another account", func(_ *authn.Caller, q *authz.Question) { q.ResourceAccount = "444455556666" },
			map[string][]string{"aws:resourceaccount": {"444455556666"}},
		},
		{
			"the operation has keys", func(_ *authn.Caller, q *authz.Question) {
				q.Keys = func(ctx *policy.Context) { ctx.Set("sts:ExternalId", "e") }
			}, map[string][]string{"sts:externalid": {"e"}},
		},
	} {
		plain := seen(roleSession(), authz.Question{})
		c, q := roleSession(), authz.Question{}
		row.change(c, &q)
		got := seen(c, q)
		changed := make(map[string][]string)
		for key, values := range got {
			if !slices.Equal(values, plain[key]) || plain[key] == nil {
				changed[key] = values
			}
		}
		if diff := cmp.Diff(row.want, changed); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// The names of tags are the only part of a key that a caller chooses. Whatever they are, no other key changes.
func TestContext_TagsCannotForgeKeys(t *testing.T) {
	t.Parallel()
	forged := []authn.Tag{
		{Key: "aws:PrincipalArn", Value: "x"}, {Key: "../aws:userid", Value: "x"}, {Key: "/aws:SourceIp", Value: "x"}, {Key: "", Value: "x"},
		{Key: "\x00aws:username", Value: "x"}, {Key: "aws:MultiFactorAuthPresent", Value: "true"}, {Key: "ſts:ExternalId", Value: "x"},
		{Key: "K\u212A", Value: "x"}, {Key: "sts:ExternalId", Value: "x"}, {Key: "a/b:c=d +-@_.", Value: "x"},
	}
	for _, kind := range kinds {
		plain := seen(kind.make(), authz.Question{})
		c := kind.make()
		if c.Entity != nil {
			c.Entity.Tags = append(slices.Clone(c.Entity.Tags), forged...)
		}
		if c.Session != nil {
			for _, tag := range forged {
				c.Session.Tags = append(c.Session.Tags, signer.Tag(tag))
			}
		}
		got := seen(c, authz.Question{RequestTags: forged, ResourceTags: forged})
		if len(got) <= len(plain) {
			t.Fatalf("%s: the tags are not there at all", kind.name)
		}
		for key, values := range got {
			behind := key == "aws:tagkeys"
			for _, prefix := range []string{"aws:principaltag/", "aws:requesttag/", "aws:resourcetag/", "iam:resourcetag/"} {
				behind = behind || strings.HasPrefix(key, prefix)
			}
			if !behind && !slices.Equal(values, plain[key]) {
				t.Errorf("%s: a tag made %q %q, it was %q", kind.name, key, values, plain[key])
			}
		}
		for key := range plain {
			if _, ok := got[key]; !ok {
				t.Errorf("%s: a tag took %q away", kind.name, key)
			}
		}
	}
}

// What claims of an identity token or attributes of an assertion are called is for their issuer to choose: they must not pass
// for anything that stint says of the caller or the request.
func TestContext_FederatedKeysCannotForgeKeys(t *testing.T) {
	t.Parallel()
	plain := seen(roleSession(), authz.Question{})
	c := roleSession()
	c.Session.FederatedKeys = map[string][]string{
		"aws:PrincipalArn": {"x"}, "AWS:SourceIp": {"x"}, "aws:MultiFactorAuthPresent": {"true"}, "sts:ExternalId": {"x"},
		"aws:username": {"x"}, "iam:PolicyARN": {"x"}, "aws:PrincipalTag/admin": {"x"}, "idp.example.com/aws:sub": {"kept"},
	}
	got := seen(c, authz.Question{})
	if diff := cmp.Diff([]string{"kept"}, got["idp.example.com/aws:sub"]); diff != "" {
		t.Error(diff)
	}
	delete(got, "idp.example.com/aws:sub")
	if diff := cmp.Diff(plain, got); diff != "" {
		t.Errorf("reserved keys changed (-plain +got):\n%s", diff)
	}
}
