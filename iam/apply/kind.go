package apply

import "github.com/stint-sts/stint/iam"

// step is one operation of the IAM API.
type step struct {
	operation string
	in        any
}

// kind is a kind of object that holds policies, with the operations that change it.
type kind struct {
	name         string
	attach       func(name, policyARN string) step
	detach       func(name, policyARN string) step
	putInline    func(name, policy, document string) step
	deleteInline func(name, policy string) step
	delete       func(name string) step

	// Not for groups.
	tag     func(name string, tags []iam.Tag) step
	untag   func(name string, keys []string) step
	bound   func(name, policyARN string) step
	unbound func(name string) step
}

var groupKind = &kind{
	name: "group",
	attach: func(name, policyARN string) step {
		return step{"AttachGroupPolicy", &iam.AttachGroupPolicyInput{GroupName: name, PolicyARN: policyARN}}
	},
	detach: func(name, policyARN string) step {
		return step{"DetachGroupPolicy", &iam.DetachGroupPolicyInput{GroupName: name, PolicyARN: policyARN}}
	},
	putInline: func(name, policy, document string) step {
		return step{"PutGroupPolicy", &iam.PutGroupPolicyInput{GroupName: name, PolicyName: policy, PolicyDocument: document}}
	},
	deleteInline: func(name, policy string) step {
		return step{"DeleteGroupPolicy", &iam.DeleteGroupPolicyInput{GroupName: name, PolicyName: policy}}
	},
}

var userKind = &kind{
	name: "user",
	attach: func(name, policyARN string) step {
		return step{"AttachUserPolicy", &iam.AttachUserPolicyInput{UserName: name, PolicyARN: policyARN}}
	},
	detach: func(name, policyARN string) step {
		return step{"DetachUserPolicy", &iam.DetachUserPolicyInput{UserName: name, PolicyARN: policyARN}}
	},
	putInline: func(name, policy, document string) step {
		return step{"PutUserPolicy", &iam.PutUserPolicyInput{UserName: name, PolicyName: policy, PolicyDocument: document}}
	},
	deleteInline: func(name, policy string) step {
		return step{"DeleteUserPolicy", &iam.DeleteUserPolicyInput{UserName: name, PolicyName: policy}}
	},
	delete: func(name string) step { return step{"DeleteUser", &iam.DeleteUserInput{UserName: name}} },
	tag: func(name string, tags []iam.Tag) step {
		return step{"TagUser", &iam.TagUserInput{UserName: name, Tags: tags}}
	},
	untag: func(name string, keys []string) step {
		return step{"UntagUser", &iam.UntagUserInput{UserName: name, TagKeys: keys}}
	},
	bound: func(name, policyARN string) step {
		return step{"PutUserPermissionsBoundary", &iam.PutUserPermissionsBoundaryInput{UserName: name, PermissionsBoundary: policyARN}}
	},
	unbound: func(name string) step {
		return step{"DeleteUserPermissionsBoundary", &iam.DeleteUserPermissionsBoundaryInput{UserName: name}}
	},
}

var roleKind = &kind{
	name: "role",
	attach: func(name, policyARN string) step {
		return step{"AttachRolePolicy", &iam.AttachRolePolicyInput{RoleName: name, PolicyARN: policyARN}}
	},
	detach: func(name, policyARN string) step {
		return step{"DetachRolePolicy", &iam.DetachRolePolicyInput{RoleName: name, PolicyARN: policyARN}}
	},
	putInline: func(name, policy, document string) step {
		return step{"PutRolePolicy", &iam.PutRolePolicyInput{RoleName: name, PolicyName: policy, PolicyDocument: document}}
	},
	deleteInline: func(name, policy string) step {
		return step{"DeleteRolePolicy", &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: policy}}
	},
	delete: func(name string) step { return step{"DeleteRole", &iam.DeleteRoleInput{RoleName: name}} },
	tag: func(name string, tags []iam.Tag) step {
		return step{"TagRole", &iam.TagRoleInput{RoleName: name, Tags: tags}}
	},
	untag: func(name string, keys []string) step {
		return step{"UntagRole", &iam.UntagRoleInput{RoleName: name, TagKeys: keys}}
	},
	bound: func(name, policyARN string) step {
		return step{"PutRolePermissionsBoundary", &iam.PutRolePermissionsBoundaryInput{RoleName: name, PermissionsBoundary: policyARN}}
	},
	unbound: func(name string) step {
		return step{"DeleteRolePermissionsBoundary", &iam.DeleteRolePermissionsBoundaryInput{RoleName: name}}
	},
}

// policyKind has tags, but holds no policies.
var policyKind = &kind{
	name: "policy",
	tag: func(policyARN string, tags []iam.Tag) step {
		return step{"TagPolicy", &iam.TagPolicyInput{PolicyARN: policyARN, Tags: tags}}
	},
	untag: func(policyARN string, keys []string) step {
		return step{"UntagPolicy", &iam.UntagPolicyInput{PolicyARN: policyARN, TagKeys: keys}}
	},
}
