package iam_test

import (
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

// bearer is a user or a role as the bearer of a permissions boundary.
type bearer struct {
	holder
	set    func(f *fixture, c *authn.Caller, policyARN string) error
	clear  func(f *fixture, c *authn.Caller) error
	bounds func(f *fixture) *iam.PermissionsBoundary
}

var bearers = []bearer{
	{
		holder: userHolder,
		set: func(f *fixture, c *authn.Caller, policyARN string) error {
			in := &iam.PutUserPermissionsBoundaryInput{UserName: "Holder", PermissionsBoundary: policyARN}
			return f.PutUserPermissionsBoundary(f.t.Context(), c, in)
		},
		clear: func(f *fixture, c *authn.Caller) error {
			return f.DeleteUserPermissionsBoundary(f.t.Context(), c, &iam.DeleteUserPermissionsBoundaryInput{UserName: "Holder"})
		},
		bounds: func(f *fixture) *iam.PermissionsBoundary {
			out, err := f.GetUser(f.t.Context(), f.root(), &iam.GetUserInput{UserName: "Holder"})
			f.ok(err)
			return out.User.PermissionsBoundary
		},
	},
	{
		holder: roleHolder,
		set: func(f *fixture, c *authn.Caller, policyARN string) error {
			in := &iam.PutRolePermissionsBoundaryInput{RoleName: "Holder", PermissionsBoundary: policyARN}
			return f.PutRolePermissionsBoundary(f.t.Context(), c, in)
		},
		clear: func(f *fixture, c *authn.Caller) error {
			return f.DeleteRolePermissionsBoundary(f.t.Context(), c, &iam.DeleteRolePermissionsBoundaryInput{RoleName: "Holder"})
		},
		bounds: func(f *fixture) *iam.PermissionsBoundary { return f.getRole("Holder").PermissionsBoundary },
	},
}

func forBearers(t *testing.T, test func(t *testing.T, f *fixture, b bearer)) {
	for _, b := range bearers {
		t.Run(b.noun, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			b.make(t.Context(), f)
			test(t, f, b)
		})
	}
}

func TestBoundary(t *testing.T) {
	t.Parallel()
	forBearers(t, func(t *testing.T, f *fixture, b bearer) {
		own := f.policy("limit", allActions)
		f.ok(b.clear(f, f.root())) // nothing to do
		f.ok(b.set(f, f.root(), readOnly))
		f.ok(b.set(f, f.root(), own))
		f.ok(b.set(f, f.root(), own))
		if got := b.bounds(f); got == nil || *got != (iam.PermissionsBoundary{Type: "PermissionsBoundaryPolicy", ARN: own}) {
			t.Errorf("boundary %+v", got)
		}
		if f.getPolicy(own).PermissionsBoundaryUsageCount != 1 || f.getPolicy(readOnly).PermissionsBoundaryUsageCount != 0 {
			t.Error("uses are counted wrong")
		}
		f.ok(b.clear(f, f.root()))
		if b.bounds(f) != nil || f.getPolicy(own).PermissionsBoundaryUsageCount != 0 {
			t.Error("the boundary stayed")
		}
	})
}

func TestBoundary_Refuses(t *testing.T) {
	t.Parallel()
	forBearers(t, func(t *testing.T, f *fixture, b bearer) {
		foreign, err := f.CreatePolicy(t.Context(), f.other(), &iam.CreatePolicyInput{PolicyName: "p", PolicyDocument: allActions})
		f.ok(err)
		f.ok(b.set(f, f.root(), readOnly))
		for _, a := range []string{"arn:aws:iam::111122223333:policy/absent", "arn:aws:iam::aws:policy/Absent", foreign.Policy.ARN} {
			f.refused(b.set(f, f.root(), a), awserr.NoSuchEntity, "Scope ARN: "+a+" does not exist or is not attachable.")
		}
		for _, a := range []string{"certainly-not-an-arn-of-any-kind", "arn:aws:iam::111122223333:user/Holder", "arn:aws:s3:::policy/bucket"} {
			f.refused(b.set(f, f.root(), a), awserr.InvalidParameterValue, "Value ("+a+") for parameter PermissionsBoundary is invalid.")
		}
		if got := b.bounds(f); got == nil || got.ARN != readOnly {
			t.Errorf("a refused request changed the boundary to %+v", got)
		}
	})
}

// A delegated administrator may do what it likes to entities that carry the boundary, and cannot take the boundary away
// (AWS IAM User Guide, "Delegating responsibility to others using permissions boundaries").
func TestBoundary_Delegation(t *testing.T) {
	t.Parallel()
	forBearers(t, func(t *testing.T, f *fixture, b bearer) {
		delegate := f.user("delegate", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*","Action":["iam:Attach*","iam:Detach*",
			"iam:Put*","iam:DeleteUserPolicy","iam:DeleteRolePolicy"],"Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+readOnly+`"}}}}`)
		admin := "arn:aws:iam::aws:policy/AdministratorAccess"
		denied := func(err error, action string) {
			t.Helper()
			refused(t, err, awserr.AccessDenied, "User: arn:aws:iam::111122223333:user/delegate is not authorized to perform: iam:"+action+
				" on resource: arn:aws:iam::111122223333:"+b.noun+"/Holder because no identity-based policy allows the iam:"+action+" action")
		}
		f.ok(b.put(f, f.root(), "Holder", "old", allActions))
		denied(b.attach(f, delegate, "Holder", admin), "Attach"+b.kind+"Policy")
		denied(b.put(f, delegate, "Holder", "p", allActions), "Put"+b.kind+"Policy")
		denied(b.del(f, delegate, "Holder", "old"), "Delete"+b.kind+"Policy")
		denied(b.set(f, delegate, admin), "Put"+b.kind+"PermissionsBoundary")
		f.ok(b.set(f, delegate, readOnly))
		f.ok(b.attach(f, delegate, "Holder", admin))
		f.ok(b.put(f, delegate, "Holder", "p", allActions))
		f.ok(b.del(f, delegate, "Holder", "old"))
		f.ok(b.detach(f, delegate, "Holder", admin))
		denied(b.set(f, delegate, admin), "Put"+b.kind+"PermissionsBoundary")
		denied(b.clear(f, delegate), "Delete"+b.kind+"PermissionsBoundary")
		undo := f.user("undo", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*","Action":"iam:Delete*",
			"Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+readOnly+`"}}}}`)
		f.ok(b.clear(f, undo))
	})
}
