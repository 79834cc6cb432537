package iam_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

// holder is one of the three kinds of entity that hold policies, with its operations under common names.
type holder struct {
	noun, kind  string // "user", "User"
	inlineQuota int
	get         func(f *fixture, c *authn.Caller, name, policy string) (string, error)
	put         func(f *fixture, c *authn.Caller, name, policy, document string) error
	del         func(f *fixture, c *authn.Caller, name, policy string) error
	list        func(f *fixture, c *authn.Caller, name string, page iam.PageInput) ([]string, iam.PageOutput, error)
	attach      func(f *fixture, c *authn.Caller, name, policyARN string) error
	detach      func(f *fixture, c *authn.Caller, name, policyARN string) error
	attached    func(f *fixture, c *authn.Caller, name, prefix string, page iam.PageInput) (*iam.ListAttachedPoliciesOutput, error)
}

var userHolder = holder{
	noun: "user", kind: "User", inlineQuota: 2048,
	get: func(f *fixture, c *authn.Caller, name, policy string) (string, error) {
		out, err := f.GetUserPolicy(f.t.Context(), c, &iam.GetUserPolicyInput{UserName: name, PolicyName: policy})
		if err != nil {
			return "", err
		}
		return out.PolicyDocument, nil
	},
	put: func(f *fixture, c *authn.Caller, name, policy, document string) error {
		return f.PutUserPolicy(f.t.Context(), c, &iam.PutUserPolicyInput{UserName: name, PolicyName: policy, PolicyDocument: document})
	},
	del: func(f *fixture, c *authn.Caller, name, policy string) error {
		return f.DeleteUserPolicy(f.t.Context(), c, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: policy})
	},
	list: func(f *fixture, c *authn.Caller, name string, page iam.PageInput) ([]string, iam.PageOutput, error) {
		return names(f.ListUserPolicies(f.t.Context(), c, &iam.ListUserPoliciesInput{UserName: name, PageInput: page}))
	},
	attach: func(f *fixture, c *authn.Caller, name, policyARN string) error {
		return f.AttachUserPolicy(f.t.Context(), c, &iam.AttachUserPolicyInput{UserName: name, PolicyARN: policyARN})
	},
	detach: func(f *fixture, c *authn.Caller, name, policyARN string) error {
		return f.DetachUserPolicy(f.t.Context(), c, &iam.DetachUserPolicyInput{UserName: name, PolicyARN: policyARN})
	},
	attached: func(f *fixture, c *authn.Caller, name, prefix string, page iam.PageInput) (*iam.ListAttachedPoliciesOutput, error) {
		return f.ListAttachedUserPolicies(f.t.Context(), c,
			&iam.ListAttachedUserPoliciesInput{UserName: name, PathPrefix: prefix, PageInput: page})
	},
}

var groupHolder = holder{
	noun: "group", kind: "Group", inlineQuota: 5120,
	get: func(f *fixture, c *authn.Caller, name, policy string) (string, error) {
		out, err := f.GetGroupPolicy(f.t.Context(), c, &iam.GetGroupPolicyInput{GroupName: name, PolicyName: policy})
		if err != nil {
			return "", err
		}
		return out.PolicyDocument, nil
	},
	put: func(f *fixture, c *authn.Caller, name, policy, document string) error {
		return f.PutGroupPolicy(f.t.Context(), c, &iam.PutGroupPolicyInput{GroupName: name, PolicyName: policy, PolicyDocument: document})
	},
	del: func(f *fixture, c *authn.Caller, name, policy string) error {
		return f.DeleteGroupPolicy(f.t.Context(), c, &iam.DeleteGroupPolicyInput{GroupName: name, PolicyName: policy})
	},
	list: func(f *fixture, c *authn.Caller, name string, page iam.PageInput) ([]string, iam.PageOutput, error) {
		return names(f.ListGroupPolicies(f.t.Context(), c, &iam.ListGroupPoliciesInput{GroupName: name, PageInput: page}))
	},
	attach: func(f *fixture, c *authn.Caller, name, policyARN string) error {
		return f.AttachGroupPolicy(f.t.Context(), c, &iam.AttachGroupPolicyInput{GroupName: name, PolicyARN: policyARN})
	},
	detach: func(f *fixture, c *authn.Caller, name, policyARN string) error {
		return f.DetachGroupPolicy(f.t.Context(), c, &iam.DetachGroupPolicyInput{GroupName: name, PolicyARN: policyARN})
	},
	attached: func(f *fixture, c *authn.Caller, name, prefix string, page iam.PageInput) (*iam.ListAttachedPoliciesOutput, error) {
		return f.ListAttachedGroupPolicies(f.t.Context(), c,
			&iam.ListAttachedGroupPoliciesInput{GroupName: name, PathPrefix: prefix, PageInput: page})
	},
}

var roleHolder = holder{
	noun: "role", kind: "Role", inlineQuota: 10_240,
	get: func(f *fixture, c *authn.Caller, name, policy string) (string, error) {
		out, err := f.GetRolePolicy(f.t.Context(), c, &iam.GetRolePolicyInput{RoleName: name, PolicyName: policy})
		if err != nil {
			return "", err
		}
		return out.PolicyDocument, nil
	},
	put: func(f *fixture, c *authn.Caller, name, policy, document string) error {
		return f.PutRolePolicy(f.t.Context(), c, &iam.PutRolePolicyInput{RoleName: name, PolicyName: policy, PolicyDocument: document})
	},
	del: func(f *fixture, c *authn.Caller, name, policy string) error {
		return f.DeleteRolePolicy(f.t.Context(), c, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: policy})
	},
	list: func(f *fixture, c *authn.Caller, name string, page iam.PageInput) ([]string, iam.PageOutput, error) {
		return names(f.ListRolePolicies(f.t.Context(), c, &iam.ListRolePoliciesInput{RoleName: name, PageInput: page}))
	},
	attach: func(f *fixture, c *authn.Caller, name, policyARN string) error {
		return f.AttachRolePolicy(f.t.Context(), c, &iam.AttachRolePolicyInput{RoleName: name, PolicyARN: policyARN})
	},
	detach: func(f *fixture, c *authn.Caller, name, policyARN string) error {
		return f.DetachRolePolicy(f.t.Context(), c, &iam.DetachRolePolicyInput{RoleName: name, PolicyARN: policyARN})
	},
	attached: func(f *fixture, c *authn.Caller, name, prefix string, page iam.PageInput) (*iam.ListAttachedPoliciesOutput, error) {
		return f.ListAttachedRolePolicies(f.t.Context(), c,
			&iam.ListAttachedRolePoliciesInput{RoleName: name, PathPrefix: prefix, PageInput: page})
	},
}

func names(out *iam.PolicyNamesOutput, err error) ([]string, iam.PageOutput, error) {
	if err != nil {
		return nil, iam.PageOutput{}, err
	}
	return out.PolicyNames, out.PageOutput, nil
}

// make creates the entity "Holder".
func (h holder) make(ctx context.Context, f *fixture) {
	f.t.Helper()
	switch h.kind {
	case "User":
		f.user("Holder")
	case "Group":
		_, err := f.CreateGroup(ctx, f.root(), &iam.CreateGroupInput{GroupName: "Holder"})
		f.ok(err)
	case "Role":
		f.role("Holder")
	}
}

// forHolders runs a test for users, groups and roles, on a fixture with an entity "Holder" of that kind.
func forHolders(t *testing.T, test func(t *testing.T, f *fixture, h holder), configure ...func(*iam.Config)) {
	for _, h := range []holder{userHolder, groupHolder, roleHolder} {
		t.Run(h.noun, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, configure...)
			h.make(t.Context(), f)
			test(t, f, h)
		})
	}
}

func TestInlinePolicies(t *testing.T) {
	t.Parallel()
	forHolders(t, func(t *testing.T, f *fixture, h holder) {
		text := "\n { \"Statement\" : [ " + strings.TrimPrefix(allActions, `{"Version":"2012-10-17","Statement":[`)
		text = strings.Replace(text, "]}", " ] ,\t\"Version\":\"2012-10-17\"}\r\n", 1)
		f.ok(h.put(f, f.root(), "holder", "b", allow("*", "s3:Get*")))
		f.ok(h.put(f, f.root(), "HOLDER", "a", allActions))
		f.ok(h.put(f, f.root(), "Holder", "b", text))
		got, err := h.get(f, f.root(), "Holder", "b")
		f.ok(err)
		if got != text {
			t.Errorf("the text came back as %q", got)
		}
		first, page, err := h.list(f, f.root(), "Holder", iam.PageInput{MaxItems: pointer[int32](1)})
		f.ok(err)
		second, rest, err := h.list(f, f.root(), "Holder", iam.PageInput{Marker: page.Marker})
		f.ok(err)
		if !page.IsTruncated || rest.IsTruncated || !slices.Equal(append(first, second...), []string{"a", "b"}) {
			t.Errorf("pages %q %+v and %q %+v", first, page, second, rest)
		}
		f.ok(h.del(f, f.root(), "Holder", "a"))
		missing := "The " + h.noun + " policy with name a cannot be found."
		f.refused(h.del(f, f.root(), "Holder", "a"), awserr.NoSuchEntity, missing)
		_, err = h.get(f, f.root(), "Holder", "a")
		f.refused(err, awserr.NoSuchEntity, missing)
		absent := "The " + h.noun + " with name absent cannot be found."
		f.refused(h.put(f, f.root(), "absent", "a", allActions), awserr.NoSuchEntity, absent)
		f.refused(h.del(f, f.root(), "absent", "a"), awserr.NoSuchEntity, absent)
		_, _, err = h.list(f, f.root(), "absent", iam.PageInput{})
		f.refused(err, awserr.NoSuchEntity, absent)
	})
}

func TestInlinePolicies_Documents(t *testing.T) {
	t.Parallel()
	forHolders(t, func(t *testing.T, f *fixture, h holder) {
		for _, row := range []struct{ name, document, message string }{
			{"no JSON", "{", "Syntax errors in policy."},
			{"a principal", strings.Replace(allActions, `"Action"`, `"Principal":"*","Action"`, 1), "Policy document should not specify a principal."},
			{"no resource", strings.Replace(allActions, `,"Resource":"*"`, ``, 1), "Policy statement must contain resources."},
		} {
			t.Run(row.name, func(t *testing.T) {
				refused(t, h.put(f, f.root(), "Holder", "p", row.document), awserr.MalformedPolicyDocument, row.message)
			})
		}
		f.ok(h.put(f, f.root(), "Holder", "p", allActions))
	})
}

func TestInlinePolicies_SumQuota(t *testing.T) {
	t.Parallel()
	forHolders(t, func(t *testing.T, f *fixture, h holder) {
		sized := func(n int) string { // n characters, and white space that does not count
			text := allow("*", "s3:*")
			return strings.Replace(strings.Replace(text, `"s3:*"`, `"s3:`+strings.Repeat("x", n-len(text))+`*"`, 1), ",", ", \n", 2)
		}
		half := h.inlineQuota / 2
		over := func(name string) string {
			return "Maximum policy size of " + map[string]string{"user": "2048", "group": "5120", "role": "10240"}[h.noun] +
				" bytes exceeded for " + h.noun + " " + name
		}
		f.ok(h.put(f, f.root(), "Holder", "a", sized(half)))
		f.refused(h.put(f, f.root(), "Holder", "b", sized(half+1)), awserr.LimitExceeded, over("Holder"))
		f.ok(h.put(f, f.root(), "Holder", "b", sized(half)))
		f.ok(h.put(f, f.root(), "Holder", "b", sized(half))) // in place of itself
		f.refused(h.put(f, f.root(), "Holder", "c", allActions), awserr.LimitExceeded, over("Holder"))
	})
}

func TestInlinePolicies_Authorization(t *testing.T) {
	t.Parallel()
	forHolders(t, func(t *testing.T, f *fixture, h holder) {
		resource := "arn:aws:iam::111122223333:" + h.noun + "/Holder"
		may := f.user("may", allow(resource, "iam:Put"+h.kind+"Policy", "iam:Get"+h.kind+"Policy", "iam:Delete"+h.kind+"Policy",
			"iam:List"+h.kind+"Policies"))
		mayNot := f.user("maynot", allow("arn:aws:iam::111122223333:"+h.noun+"/Other", "iam:*"))
		denied := func(action string) string {
			return "User: arn:aws:iam::111122223333:user/maynot is not authorized to perform: iam:" + action + " on resource: " + resource +
				" because no identity-based policy allows the iam:" + action + " action"
		}
		f.refused(h.put(f, mayNot, "Holder", "p", "{"), awserr.AccessDenied, denied("Put"+h.kind+"Policy"))
		f.ok(h.put(f, may, "Holder", "p", allActions))
		_, err := h.get(f, mayNot, "Holder", "p")
		f.refused(err, awserr.AccessDenied, denied("Get"+h.kind+"Policy"))
		_, err = h.get(f, may, "Holder", "p")
		f.ok(err)
		_, _, err = h.list(f, mayNot, "Holder", iam.PageInput{})
		f.refused(err, awserr.AccessDenied, denied("List"+h.kind+"Policies"))
		_, _, err = h.list(f, may, "Holder", iam.PageInput{})
		f.ok(err)
		f.refused(h.del(f, mayNot, "Holder", "p"), awserr.AccessDenied, denied("Delete"+h.kind+"Policy"))
		f.ok(h.del(f, may, "Holder", "p"))
	})
}
