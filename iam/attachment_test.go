package iam_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
)

func TestAttachments(t *testing.T) {
	t.Parallel()
	forHolders(t, func(t *testing.T, f *fixture, h holder) {
		own := f.policy("readonlyaccess", allActions) // AWS has one of that name
		f.ok(h.attach(f, f.root(), "Holder", readOnly))
		f.ok(h.attach(f, f.root(), "HOLDER", own))
		f.ok(h.attach(f, f.root(), "Holder", own)) // again
		f.ok(h.attach(f, f.root(), "Holder", "arn:aws:iam::aws:policy/job-function/Support"))
		want := []iam.AttachedPolicy{
			{PolicyName: "readonlyaccess", PolicyARN: own},
			{PolicyName: "ReadOnlyAccess", PolicyARN: readOnly},
			{PolicyName: "Support", PolicyARN: "arn:aws:iam::aws:policy/job-function/Support"},
		}
		for _, size := range []int32{1, 2, 100} {
			if diff := cmp.Diff(want, f.attached(h, "", size)); diff != "" {
				t.Errorf("%d at a time: %s", size, diff)
			}
		}
		if diff := cmp.Diff(want[2:], f.attached(h, "/job-function/", 100)); diff != "" {
			t.Errorf("by path: %s", diff)
		}
		if n := f.getPolicy(own).AttachmentCount; n != 1 {
			t.Errorf("attachment count %d", n)
		}
		f.ok(h.detach(f, f.root(), "Holder", own))
		f.refused(h.detach(f, f.root(), "Holder", own), awserr.NoSuchEntity, "Policy "+own+" was not found.")
		if diff := cmp.Diff(want[1:], f.attached(h, "", 100)); diff != "" {
			t.Errorf("after detaching: %s", diff)
		}
	})
}

// attached lists the policies attached to the holder, so many at a time.
func (f *fixture) attached(h holder, prefix string, size int32) []iam.AttachedPolicy {
	f.t.Helper()
	var all []iam.AttachedPolicy
	page := iam.PageInput{MaxItems: &size}
	for {
		out, err := h.attached(f, f.root(), "Holder", prefix, page)
		f.ok(err)
		all = append(all, out.AttachedPolicies...)
		if !out.IsTruncated {
			return all
		}
		page.Marker = out.Marker
	}
}

func TestAttachments_Refuses(t *testing.T) {
	t.Parallel()
	forHolders(t, func(t *testing.T, f *fixture, h holder) {
		other := f.other()
		foreign, err := f.CreatePolicy(t.Context(), other, &iam.CreatePolicyInput{PolicyName: "p", PolicyDocument: allActions})
		f.ok(err)
		for _, a := range []string{
			"arn:aws:iam::111122223333:policy/absent", "arn:aws:iam::aws:policy/Absent", foreign.Policy.ARN,
		} {
			f.refused(h.attach(f, f.root(), "Holder", a), awserr.NoSuchEntity, "Policy "+a+" does not exist or is not attachable.")
			f.refused(h.detach(f, f.root(), "Holder", a), awserr.NoSuchEntity, "Policy "+a+" was not found.")
		}
		for _, attach := range []func() error{
			func() error { return h.attach(f, f.root(), "Holder", "not/an/arn/of/any/kind") },
			func() error { return h.detach(f, f.root(), "Holder", "not/an/arn/of/any/kind") },
		} {
			f.refused(attach(), awserr.ValidationError, "Invalid ARN:  Could not be parsed!")
		}
		f.refused(h.attach(f, f.root(), "absent", readOnly), awserr.NoSuchEntity, "The "+h.noun+" with name absent cannot be found.")
		f.ok(h.attach(f, f.root(), "Holder", readOnly))
		f.ok(h.attach(f, f.root(), "Holder", readOnly)) // at the quota already, and yet idempotent
		f.refused(h.attach(f, f.root(), "Holder", "arn:aws:iam::aws:policy/AdministratorAccess"), awserr.LimitExceeded,
			"Cannot exceed quota for PoliciesPer"+h.kind+": 1")
	}, quotas(func(q *iam.Quotas) { q.PoliciesPerUser, q.PoliciesPerGroup, q.PoliciesPerRole = 1, 1, 1 }))
}

func TestAttachments_Authorization(t *testing.T) {
	t.Parallel()
	forHolders(t, func(t *testing.T, f *fixture, h holder) {
		some := f.user("some", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["iam:Attach`+h.kind+`Policy",
			"iam:Detach`+h.kind+`Policy"],"Resource":"arn:aws:iam::111122223333:`+h.noun+`/*","Condition":{"ArnEquals":{"iam:PolicyARN":"`+readOnly+`"}}}}`)
		admin := "arn:aws:iam::aws:policy/AdministratorAccess"
		denied := func(action string) string {
			return "User: arn:aws:iam::111122223333:user/some is not authorized to perform: iam:" + action + " on resource: " +
				"arn:aws:iam::111122223333:" + h.noun + "/Holder because no identity-based policy allows the iam:" + action + " action"
		}
		f.ok(h.attach(f, some, "Holder", readOnly))
		f.refused(h.attach(f, some, "Holder", admin), awserr.AccessDenied, denied("Attach"+h.kind+"Policy"))
		f.ok(h.attach(f, f.root(), "Holder", admin))
		f.refused(h.detach(f, some, "Holder", admin), awserr.AccessDenied, denied("Detach"+h.kind+"Policy"))
		f.ok(h.detach(f, some, "Holder", readOnly))
		_, err := h.attached(f, some, "Holder", "", iam.PageInput{})
		f.refused(err, awserr.AccessDenied, denied("ListAttached"+h.kind+"Policies"))
	})
}

func TestAttachments_LongPathsFitIntoMarkers(t *testing.T) {
	t.Parallel()
	forHolders(t, func(t *testing.T, f *fixture, h holder) {
		for _, name := range []string{"a", "b"} {
			out, err := f.CreatePolicy(t.Context(), f.root(), &iam.CreatePolicyInput{
				PolicyName: strings.Repeat(name, 128), Path: "/" + strings.Repeat("p", 510) + "/", PolicyDocument: allActions,
			})
			f.ok(err)
			f.ok(h.attach(f, f.root(), "Holder", out.Policy.ARN))
		}
		out, err := h.attached(f, f.root(), "Holder", "", iam.PageInput{MaxItems: pointer[int32](1)})
		f.ok(err)
		if !out.IsTruncated || len(out.Marker) > 320 {
			t.Errorf("marker of %d characters", len(out.Marker))
		}
	})
}

func TestAttachments_RaceForTheLastPlace(t *testing.T) {
	t.Parallel()
	f := newFixture(t, quotas(func(q *iam.Quotas) { q.PoliciesPerRole = 1 }))
	f.role("r")
	results := make(chan error)
	const racers = 8
	for i := range racers {
		a := f.policy("p"+strings.Repeat("x", i), allActions)
		go func() {
			results <- f.AttachRolePolicy(t.Context(), f.root(), &iam.AttachRolePolicyInput{RoleName: "r", PolicyARN: a})
		}()
	}
	won := 0
	for range racers {
		if err := <-results; err == nil {
			won++
		} else {
			f.refused(err, awserr.LimitExceeded, "Cannot exceed quota for PoliciesPerRole: 1")
		}
	}
	if won != 1 {
		t.Errorf("%d of %d racers won", won, racers)
	}
}

// What the operations change is in force for the next request: the request path reads it through the directory.
func TestPolicies_AreInForceAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	alice := f.user("alice")
	_, err := f.CreateGroup(ctx, f.root(), &iam.CreateGroupInput{GroupName: "g"})
	f.ok(err)
	f.ok(f.AddUserToGroup(ctx, f.root(), &iam.AddUserToGroupInput{GroupName: "g", UserName: "alice"}))
	own := f.policy("own", allow("*", "s3:first"))
	actions := func(step string, want ...string) {
		t.Helper()
		e, err := f.directory.Entity(ctx, testAccount, alice.Entity.ID)
		f.ok(err)
		var got []string
		for _, d := range e.Identity {
			got = append(got, d.Text())
		}
		for _, action := range want {
			if !strings.Contains(strings.Join(got, ""), `"`+action+`"`) {
				t.Errorf("%s: %s is missing in %q", step, action, got)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: policies %q, want %q", step, got, want)
		}
	}
	actions("at first")
	f.ok(userHolder.put(f, f.root(), "alice", "in", allow("*", "s3:inline")))
	actions("with an inline policy", "s3:inline")
	f.ok(userHolder.attach(f, f.root(), "alice", own))
	actions("with an attached policy", "s3:inline", "s3:first")
	_, err = f.CreatePolicyVersion(ctx, f.root(), &iam.CreatePolicyVersionInput{PolicyARN: own, PolicyDocument: allow("*", "s3:second"), SetAsDefault: true})
	f.ok(err)
	actions("with a new default", "s3:inline", "s3:second")
	f.ok(f.SetDefaultPolicyVersion(ctx, f.root(), &iam.SetDefaultPolicyVersionInput{PolicyARN: own, VersionID: "v1"}))
	actions("with the old default", "s3:inline", "s3:first")
	f.ok(userHolder.del(f, f.root(), "alice", "in"))
	f.ok(userHolder.detach(f, f.root(), "alice", own))
	actions("with nothing again")
	f.ok(groupHolder.put(f, f.root(), "g", "in", allow("*", "s3:group")))
	f.ok(groupHolder.attach(f, f.root(), "g", own))
	actions("through a group", "s3:group", "s3:first")
	f.ok(groupHolder.detach(f, f.root(), "g", own))
	f.ok(userHolder.attach(f, f.root(), "alice", readOnly))
	actions("with a policy of AWS's", "s3:group", "iam:ReadOnlyAccess")

	f.ok(f.PutUserPermissionsBoundary(ctx, f.root(), &iam.PutUserPermissionsBoundaryInput{UserName: "alice", PermissionsBoundary: own}))
	e, err := f.directory.Entity(ctx, testAccount, alice.Entity.ID)
	f.ok(err)
	if e.Boundary == nil || e.Boundary.Text() != allow("*", "s3:first") {
		t.Errorf("boundary %+v", e.Boundary)
	}
	f.ok(f.DeleteUserPermissionsBoundary(ctx, f.root(), &iam.DeleteUserPermissionsBoundaryInput{UserName: "alice"}))
	e, err = f.directory.Entity(ctx, testAccount, alice.Entity.ID)
	f.ok(err)
	if e.Boundary != nil {
		t.Errorf("boundary %+v", e.Boundary)
	}
}
