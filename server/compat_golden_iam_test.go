package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/server"
)

// iamStep is one call of a script that goes through the life of everything in a fresh account, as root. Values that begin with $ are
// what an earlier step kept.
type iamStep struct {
	action string
	name   string // of the case; empty: success
	code   string // empty: none
	pairs  []string
	keep   string // "$name=Element": what later steps need of the answer
	who    string // default root
	as     string // who has the access key that was made
}

// iamErrors are the errors that IAM gives and STS does not, with the step that gives it or the reason why none does.
var iamErrors = map[string]string{
	"ConcurrentModification":    "needs two changes at once; iam has TestConcurrency",
	"DeleteConflict":            "DeleteUser",
	"EntityAlreadyExists":       "CreateUser",
	"FeatureDisabled":           "GetOutboundWebIdentityFederationInfo",
	"FeatureEnabled":            "EnableOutboundWebIdentityFederation",
	"InvalidAuthenticationCode": "EnableMFADevice",
	"InvalidInput":              "AttachUserPolicy",
	"InvalidUserType":           "ChangePassword",
	"LimitExceeded":             "CreateAccessKey",
	"NoSuchEntity":              "GetUser",
	"PasswordPolicyViolation":   "CreateLoginProfile",
	"PolicyEvaluation":          "needs a policy in the directory that does not compile",
	"PolicyNotAttachable":       "no policy that stint knows is kept from users, groups and roles",
	"UnmodifiableEntity":        "no role or policy that stint knows is another service's",
}

const (
	idpProvider   = "arn:aws:iam::111122223333:oidc-provider/idp.example.com/a"
	thumbprint    = "0123456789abcdef0123456789abcdef01234567"
	readerPolicy  = "arn:aws:iam::111122223333:policy/app/reader"
	readerText    = `{"Version":"2012-10-17","Statement":{"Sid":"Read","Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`
	writerText    = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Put*","Resource":"*"}}`
	trustsAccount = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}}`
)

// iamScript goes through every operation. $code… are codes of the MFA device.
var iamScript = []iamStep{
	{action: "CreateUser", pairs: []string{"UserName", "alice", "Path", "/staff/", "Tags.member.1.Key", "team", "Tags.member.1.Value", "Blau grün"}},
	{action: "CreateUser", name: "exists", code: "EntityAlreadyExists", pairs: []string{"UserName", "Alice"}},
	{action: "CreateUser", name: "name", code: "ValidationError", pairs: []string{"UserName", "a b"}},
	{action: "CreateUser", name: "nothing", code: "ValidationError"},
	{action: "GetUser", pairs: []string{"UserName", "alice"}},
	{action: "GetUser", name: "success-json", pairs: []string{"UserName", "alice"}},
	{action: "GetUser", name: "success-root"},
	{action: "GetUser", name: "missing", code: "NoSuchEntity", pairs: []string{"UserName", "nobody"}},
	{action: "GetUser", name: "missing-json", code: "NoSuchEntity", pairs: []string{"UserName", "nobody"}},
	{action: "CreateAccessKey", pairs: []string{"UserName", "alice"}, keep: "$key=AccessKeyId", as: "alice"},
	{action: "ListUsers", name: "denied", code: "AccessDenied", who: "alice"},
	{action: "CreateAccessKey", name: "success-second", pairs: []string{"UserName", "alice"}, keep: "$second=AccessKeyId"},
	{action: "CreateAccessKey", name: "quota", code: "LimitExceeded", pairs: []string{"UserName", "alice"}},
	{action: "ListAccessKeys", pairs: []string{"UserName", "alice"}},
	{action: "UpdateAccessKey", pairs: []string{"UserName", "alice", "AccessKeyId", "$second", "Status", "Inactive"}},
	{action: "GetAccessKeyLastUsed", pairs: []string{"AccessKeyId", "$second"}},
	{action: "DeleteAccessKey", pairs: []string{"UserName", "alice", "AccessKeyId", "$second"}},
	{action: "TagUser", pairs: []string{"UserName", "alice", "Tags.member.1.Key", "cost", "Tags.member.1.Value", ""}},
	{action: "ListUserTags", pairs: []string{"UserName", "alice"}},
	{action: "UntagUser", pairs: []string{"UserName", "alice", "TagKeys.member.1", "cost"}},
	{action: "UpdateUser", pairs: []string{"UserName", "alice", "NewUserName", "alicia", "NewPath", "/"}},
	{action: "CreateUser", name: "success-plain", pairs: []string{"UserName", "bob"}},
	{action: "ListUsers"},
	{action: "ListUsers", name: "success-page", pairs: []string{"MaxItems", "1"}},
	{action: "GetLoginProfile", name: "missing", code: "NoSuchEntity", pairs: []string{"UserName", "bob"}},
	{action: "GetAccountPasswordPolicy", name: "missing", code: "NoSuchEntity"},
	{action: "CreateLoginProfile", name: "weak", code: "PasswordPolicyViolation", pairs: []string{"UserName", "bob", "Password", "password"}},
	{action: "CreateLoginProfile", name: "too-long", code: "ValidationError", pairs: []string{"UserName", "bob", "Password", strings.Repeat("Aa1!", 33)}},
	{action: "CreateLoginProfile", pairs: []string{"UserName", "bob", "Password", "Correct Horse 7", "PasswordResetRequired", "true"}},
	{action: "CreateLoginProfile", name: "exists", code: "EntityAlreadyExists", pairs: []string{"UserName", "bob", "Password", "Correct Horse 7"}},
	{action: "GetLoginProfile", pairs: []string{"UserName", "bob"}},
	{action: "DeleteUser", name: "has-password", code: "DeleteConflict", pairs: []string{"UserName", "bob"}},
	{action: "UpdateLoginProfile", pairs: []string{"UserName", "bob", "PasswordResetRequired", "false"}},
	{action: "UpdateLoginProfile", name: "missing", code: "NoSuchEntity", pairs: []string{"UserName", "alicia", "PasswordResetRequired", "false"}},
	{action: "UpdateAccountPasswordPolicy", pairs: []string{"MinimumPasswordLength", "12", "RequireNumbers", "true", "MaxPasswordAge", "90", "PasswordReusePrevention", "3", "AllowUsersToChangePassword", "true"}},
	{action: "UpdateAccountPasswordPolicy", name: "out-of-bounds", code: "ValidationError", pairs: []string{"MinimumPasswordLength", "5", "MaxPasswordAge", "1096", "PasswordReusePrevention", "25"}},
	{action: "GetAccountPasswordPolicy"},
	{action: "UpdateLoginProfile", name: "too-short", code: "PasswordPolicyViolation", pairs: []string{"UserName", "bob", "Password", "0123456789a"}},
	{action: "UpdateLoginProfile", name: "used-before", code: "PasswordPolicyViolation", pairs: []string{"UserName", "bob", "Password", "Correct Horse 7"}},
	{action: "ChangePassword", name: "root", code: "InvalidUserType", pairs: []string{"OldPassword", "Correct Horse 7", "NewPassword", "Battery Staple 8"}},
	{action: "CreateAccessKey", name: "success-bob", pairs: []string{"UserName", "bob"}, as: "bob"},
	{action: "ChangePassword", name: "wrong-password", code: "AccessDenied", who: "bob", pairs: []string{"OldPassword", "Wrong Horse 7", "NewPassword", "Battery Staple 8"}},
	{action: "ChangePassword", who: "bob", pairs: []string{"OldPassword", "Correct Horse 7", "NewPassword", "Battery Staple 8"}},
	{action: "DeleteAccountPasswordPolicy"},
	{action: "DeleteLoginProfile", pairs: []string{"UserName", "bob"}},
	{action: "ListSSHPublicKeys", pairs: []string{"UserName", "bob"}},
	{action: "ListServiceSpecificCredentials", pairs: []string{"UserName", "bob"}},
	{action: "ListSigningCertificates", pairs: []string{"UserName", "bob"}},

	{action: "CreateGroup", pairs: []string{"GroupName", "staff", "Path", "/g/"}},
	{action: "AddUserToGroup", pairs: []string{"GroupName", "staff", "UserName", "alicia"}},
	{action: "GetGroup", pairs: []string{"GroupName", "staff"}},
	{action: "ListGroups"},
	{action: "ListGroupsForUser", pairs: []string{"UserName", "alicia"}},
	{action: "UpdateGroup", pairs: []string{"GroupName", "staff", "NewGroupName", "people"}},

	{action: "CreatePolicy", pairs: []string{"PolicyName", "reader", "Path", "/app/", "PolicyDocument", readerText, "Description", "reads", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"}},
	{action: "CreatePolicy", name: "malformed", code: "MalformedPolicyDocument", pairs: []string{"PolicyName", "bad", "PolicyDocument", `{"Statement":1}`}},
	{action: "CreatePolicyVersion", pairs: []string{"PolicyArn", readerPolicy, "PolicyDocument", writerText}},
	{action: "GetPolicy", pairs: []string{"PolicyArn", readerPolicy}},
	{action: "GetPolicyVersion", pairs: []string{"PolicyArn", readerPolicy, "VersionId", "v2"}},
	{action: "ListPolicyVersions", pairs: []string{"PolicyArn", readerPolicy}},
	{action: "SetDefaultPolicyVersion", pairs: []string{"PolicyArn", readerPolicy, "VersionId", "v2"}},
	{action: "DeletePolicyVersion", name: "default", code: "DeleteConflict", pairs: []string{"PolicyArn", readerPolicy, "VersionId", "v2"}},
	{action: "DeletePolicyVersion", pairs: []string{"PolicyArn", readerPolicy, "VersionId", "v1"}},
	{action: "ListPolicies", pairs: []string{"Scope", "Local"}},
	{action: "TagPolicy", pairs: []string{"PolicyArn", readerPolicy, "Tags.member.1.Key", "c", "Tags.member.1.Value", "d"}},
	{action: "ListPolicyTags", pairs: []string{"PolicyArn", readerPolicy}},
	{action: "UntagPolicy", pairs: []string{"PolicyArn", readerPolicy, "TagKeys.member.1", "c"}},

	{action: "CreateRole", pairs: []string{"RoleName", "worker", "Path", "/w/", "AssumeRolePolicyDocument", trustsAccount, "Description", "works <always> & \"well\"", "MaxSessionDuration", "7200"}},
	{action: "GetRole", pairs: []string{"RoleName", "worker"}},
	{action: "ListRoles"},
	{action: "TagRole", pairs: []string{"RoleName", "worker", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"}},
	{action: "ListRoleTags", pairs: []string{"RoleName", "worker"}},
	{action: "UntagRole", pairs: []string{"RoleName", "worker", "TagKeys.member.1", "a"}},
	{action: "UpdateRole", pairs: []string{"RoleName", "worker", "MaxSessionDuration", "3600"}},
	{action: "UpdateRoleDescription", pairs: []string{"RoleName", "worker", "Description", "rests"}},
	{action: "UpdateAssumeRolePolicy", pairs: []string{"RoleName", "worker", "PolicyDocument", trustsAccount}},

	{action: "AttachUserPolicy", pairs: []string{"UserName", "alicia", "PolicyArn", readerPolicy}},
	{action: "AttachUserPolicy", name: "not-an-arn", code: "ValidationError", pairs: []string{"UserName", "alicia", "PolicyArn", "not an ARN but long enough"}},
	{action: "AttachUserPolicy", name: "not-a-policy", code: "InvalidInput", pairs: []string{"UserName", "alicia", "PolicyArn", "arn:aws:iam::111122223333:role/worker"}},
	{action: "AttachUserPolicy", name: "missing", code: "NoSuchEntity", pairs: []string{"UserName", "alicia", "PolicyArn", "arn:aws:iam::111122223333:policy/none"}},
	{action: "AttachGroupPolicy", pairs: []string{"GroupName", "people", "PolicyArn", readerPolicy}},
	{action: "AttachRolePolicy", pairs: []string{"RoleName", "worker", "PolicyArn", readerPolicy}},
	{action: "ListAttachedUserPolicies", pairs: []string{"UserName", "alicia"}},
	{action: "ListAttachedGroupPolicies", pairs: []string{"GroupName", "people"}},
	{action: "ListAttachedRolePolicies", pairs: []string{"RoleName", "worker"}},
	{action: "ListEntitiesForPolicy", pairs: []string{"PolicyArn", readerPolicy}},
	{action: "PutUserPolicy", pairs: []string{"UserName", "alicia", "PolicyName", "own", "PolicyDocument", readerText}},
	{action: "PutGroupPolicy", pairs: []string{"GroupName", "people", "PolicyName", "own", "PolicyDocument", readerText}},
	{action: "PutRolePolicy", pairs: []string{"RoleName", "worker", "PolicyName", "own", "PolicyDocument", readerText}},
	{action: "GetUserPolicy", pairs: []string{"UserName", "alicia", "PolicyName", "own"}},
	{action: "GetGroupPolicy", pairs: []string{"GroupName", "people", "PolicyName", "own"}},
	{action: "GetRolePolicy", pairs: []string{"RoleName", "worker", "PolicyName", "own"}},
	{action: "ListUserPolicies", pairs: []string{"UserName", "alicia"}},
	{action: "ListGroupPolicies", pairs: []string{"GroupName", "people"}},
	{action: "ListRolePolicies", pairs: []string{"RoleName", "worker"}},
	{action: "PutUserPermissionsBoundary", pairs: []string{"UserName", "alicia", "PermissionsBoundary", readerPolicy}},
	{action: "PutRolePermissionsBoundary", pairs: []string{"RoleName", "worker", "PermissionsBoundary", readerPolicy}},

	{action: "CreateInstanceProfile", pairs: []string{"InstanceProfileName", "machine", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"}},
	{action: "AddRoleToInstanceProfile", pairs: []string{"InstanceProfileName", "machine", "RoleName", "worker"}},
	{action: "GetInstanceProfile", pairs: []string{"InstanceProfileName", "machine"}},
	{action: "ListInstanceProfiles"},
	{action: "ListInstanceProfilesForRole", pairs: []string{"RoleName", "worker"}},
	{action: "TagInstanceProfile", pairs: []string{"InstanceProfileName", "machine", "Tags.member.1.Key", "c", "Tags.member.1.Value", "d"}},
	{action: "ListInstanceProfileTags", pairs: []string{"InstanceProfileName", "machine"}},
	{action: "UntagInstanceProfile", pairs: []string{"InstanceProfileName", "machine", "TagKeys.member.1", "c"}},

	{action: "CreateVirtualMFADevice", pairs: []string{"VirtualMFADeviceName", "phone"}, keep: "$seed=Base32StringSeed"},
	{action: "EnableMFADevice", name: "wrong-code", code: "InvalidAuthenticationCode", pairs: []string{"UserName", "alicia", "SerialNumber", "arn:aws:iam::111122223333:mfa/phone", "AuthenticationCode1", "$code0", "AuthenticationCode2", "$code0"}},
	{action: "EnableMFADevice", pairs: []string{"UserName", "alicia", "SerialNumber", "arn:aws:iam::111122223333:mfa/phone", "AuthenticationCode1", "$code-1", "AuthenticationCode2", "$code0"}},
	{action: "ResyncMFADevice", pairs: []string{"UserName", "alicia", "SerialNumber", "arn:aws:iam::111122223333:mfa/phone", "AuthenticationCode1", "$code2", "AuthenticationCode2", "$code3"}},
	{action: "GetMFADevice", pairs: []string{"UserName", "alicia", "SerialNumber", "arn:aws:iam::111122223333:mfa/phone"}},
	{action: "TagMFADevice", pairs: []string{"SerialNumber", "arn:aws:iam::111122223333:mfa/phone", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"}},
	{action: "ListMFADeviceTags", pairs: []string{"SerialNumber", "arn:aws:iam::111122223333:mfa/phone"}},
	{action: "UntagMFADevice", pairs: []string{"SerialNumber", "arn:aws:iam::111122223333:mfa/phone", "TagKeys.member.1", "a"}},
	{action: "ListMFADevices", pairs: []string{"UserName", "alicia"}},
	{action: "ListVirtualMFADevices"},
	{action: "DeleteVirtualMFADevice", name: "in-use", code: "DeleteConflict", pairs: []string{"SerialNumber", "arn:aws:iam::111122223333:mfa/phone"}},

	{action: "CreateOpenIDConnectProvider", pairs: []string{"Url", "https://idp.example.com/a", "ClientIDList.member.1", "stint", "ThumbprintList.member.1", thumbprint, "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"}},
	{action: "CreateOpenIDConnectProvider", name: "exists", code: "EntityAlreadyExists", pairs: []string{"Url", "https://idp.example.com/a"}},
	{action: "CreateOpenIDConnectProvider", name: "not-https", code: "ValidationError", pairs: []string{"Url", "ftp://idp.example.com"}},
	{action: "CreateOpenIDConnectProvider", name: "thumbprint", code: "InvalidInput", pairs: []string{"Url", "https://idp.example.com/b", "ThumbprintList.member.1", strings.Repeat("g", 40)}},
	{action: "GetOpenIDConnectProvider", pairs: []string{"OpenIDConnectProviderArn", idpProvider}},
	{action: "ListOpenIDConnectProviders"},
	{action: "AddClientIDToOpenIDConnectProvider", pairs: []string{"OpenIDConnectProviderArn", idpProvider, "ClientID", "other"}},
	{action: "RemoveClientIDFromOpenIDConnectProvider", pairs: []string{"OpenIDConnectProviderArn", idpProvider, "ClientID", "other"}},
	{action: "UpdateOpenIDConnectProviderThumbprint", pairs: []string{"OpenIDConnectProviderArn", idpProvider, "ThumbprintList.member.1", thumbprint}},
	{action: "TagOpenIDConnectProvider", pairs: []string{"OpenIDConnectProviderArn", idpProvider, "Tags.member.1.Key", "c", "Tags.member.1.Value", "d"}},
	{action: "ListOpenIDConnectProviderTags", pairs: []string{"OpenIDConnectProviderArn", idpProvider}},
	{action: "UntagOpenIDConnectProvider", pairs: []string{"OpenIDConnectProviderArn", idpProvider, "TagKeys.member.1", "c"}},
	{action: "DeleteOpenIDConnectProvider", pairs: []string{"OpenIDConnectProviderArn", idpProvider}},

	{action: "CreateSAMLProvider", pairs: []string{"Name", "corp", "SAMLMetadataDocument", "$metadata", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"}},
	{action: "CreateSAMLProvider", name: "exists", code: "EntityAlreadyExists", pairs: []string{"Name", "corp", "SAMLMetadataDocument", "$metadata"}},
	{action: "CreateSAMLProvider", name: "no-metadata", code: "InvalidInput", pairs: []string{"Name", "else", "SAMLMetadataDocument", strings.Repeat("x", 1000)}},
	{action: "GetSAMLProvider", pairs: []string{"SAMLProviderArn", corpProvider}},
	{action: "ListSAMLProviders"},
	{action: "UpdateSAMLProvider", pairs: []string{"SAMLProviderArn", corpProvider, "SAMLMetadataDocument", "$metadata"}},
	{action: "TagSAMLProvider", pairs: []string{"SAMLProviderArn", corpProvider, "Tags.member.1.Key", "c", "Tags.member.1.Value", "d"}},
	{action: "ListSAMLProviderTags", pairs: []string{"SAMLProviderArn", corpProvider}},
	{action: "UntagSAMLProvider", pairs: []string{"SAMLProviderArn", corpProvider, "TagKeys.member.1", "c"}},
	{action: "DeleteSAMLProvider", pairs: []string{"SAMLProviderArn", corpProvider}},
	{action: "DeleteSAMLProvider", name: "missing", code: "NoSuchEntity", pairs: []string{"SAMLProviderArn", corpProvider}},

	{action: "CreateAccountAlias", pairs: []string{"AccountAlias", "acme"}},
	{action: "ListAccountAliases"},
	{action: "DeleteAccountAlias", pairs: []string{"AccountAlias", "acme"}},
	{action: "GetAccountSummary"},
	{action: "GetAccountAuthorizationDetails", pairs: []string{"Filter.member.1", "User", "Filter.member.2", "Role", "Filter.member.3", "Group", "Filter.member.4", "LocalManagedPolicy"}},
	{action: "GetContextKeysForCustomPolicy", pairs: []string{"PolicyInputList.member.1", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}}`}},
	{action: "GetContextKeysForPrincipalPolicy", pairs: []string{"PolicySourceArn", "arn:aws:iam::111122223333:user/alicia"}},
	{action: "SimulateCustomPolicy", pairs: []string{"PolicyInputList.member.1", readerText, "ActionNames.member.1", "s3:GetObject", "ActionNames.member.2", "s3:PutObject"}},
	{action: "SimulatePrincipalPolicy", pairs: []string{"PolicySourceArn", "arn:aws:iam::111122223333:user/alicia", "ActionNames.member.1", "s3:GetObject"}},
	{action: "GetOutboundWebIdentityFederationInfo", name: "disabled", code: "FeatureDisabled"},
	{action: "EnableOutboundWebIdentityFederation"},
	{action: "EnableOutboundWebIdentityFederation", name: "enabled", code: "FeatureEnabled"},
	{action: "GetOutboundWebIdentityFederationInfo"},
	{action: "DisableOutboundWebIdentityFederation"},

	{action: "DeleteUser", name: "in-use", code: "DeleteConflict", pairs: []string{"UserName", "alicia"}},
	{action: "DeactivateMFADevice", pairs: []string{"UserName", "alicia", "SerialNumber", "arn:aws:iam::111122223333:mfa/phone"}},
	{action: "DeleteVirtualMFADevice", pairs: []string{"SerialNumber", "arn:aws:iam::111122223333:mfa/phone"}},
	{action: "RemoveRoleFromInstanceProfile", pairs: []string{"InstanceProfileName", "machine", "RoleName", "worker"}},
	{action: "DeleteInstanceProfile", pairs: []string{"InstanceProfileName", "machine"}},
	{action: "DeleteUserPermissionsBoundary", pairs: []string{"UserName", "alicia"}},
	{action: "DeleteRolePermissionsBoundary", pairs: []string{"RoleName", "worker"}},
	{action: "DeleteUserPolicy", pairs: []string{"UserName", "alicia", "PolicyName", "own"}},
	{action: "DeleteGroupPolicy", pairs: []string{"GroupName", "people", "PolicyName", "own"}},
	{action: "DeleteRolePolicy", pairs: []string{"RoleName", "worker", "PolicyName", "own"}},
	{action: "DetachUserPolicy", pairs: []string{"UserName", "alicia", "PolicyArn", readerPolicy}},
	{action: "DetachGroupPolicy", pairs: []string{"GroupName", "people", "PolicyArn", readerPolicy}},
	{action: "DetachRolePolicy", pairs: []string{"RoleName", "worker", "PolicyArn", readerPolicy}},
	{action: "DeletePolicy", pairs: []string{"PolicyArn", readerPolicy}},
	{action: "DeleteRole", pairs: []string{"RoleName", "worker"}},
	{action: "RemoveUserFromGroup", pairs: []string{"GroupName", "people", "UserName", "alicia"}},
	{action: "DeleteGroup", pairs: []string{"GroupName", "people"}},
	{action: "DeleteAccessKey", name: "success-last", pairs: []string{"UserName", "alicia", "AccessKeyId", "$key"}},
	{action: "DeleteUser", pairs: []string{"UserName", "alicia"}},
}

// Every operation of IAM once, and every error.
func TestCompatibility_GoldenIAM(t *testing.T) {
	t.Parallel()
	w := openCompat(t, nil)
	g := newGoldenFiles(t, "iam")
	kept := map[string]string{"$metadata": samltest.New(t, "https://idp.example.com/saml").Metadata()}
	for _, step := range iamScript {
		c := wireCall{who: "root", action: step.action, service: "iam", params: with(w.resolve(kept, step.pairs)...)}
		if step.who != "" {
			c.who = step.who
		}
		name := step.name
		switch {
		case name == "":
			name = "success"
		case strings.HasSuffix(name, "-json"):
			c.before = asJSON
		}
		got, err := w.do(c)
		if err != nil {
			t.Fatal(err)
		}
		g.record(step.action, name, step.code, got)
		if step.action == "CreateAccessKey" && step.as != "" {
			w.keep(step.as, answer{got.response, got.body})
		}
		if into, element, ok := strings.Cut(step.keep, "="); ok {
			kept[into] = answer{got.response, got.body}.element(element)
		}
	}
	g.finish()
	for _, name := range server.Operations(w.server) {
		if action, ok := strings.CutPrefix(name, "iam:"); ok && !g.calls[action] {
			t.Errorf("no golden success of %s", action)
		}
	}
	for code, from := range iamErrors {
		if !strings.Contains(from, " ") && !g.codes[code] {
			t.Errorf("no golden error %s", code)
		}
	}
}

// resolve replaces what earlier steps kept.
func (w *compat) resolve(kept map[string]string, pairs []string) []string {
	out, now := make([]string, len(pairs)), time.Now()
	for i, p := range pairs {
		out[i] = p
		if steps, ok := strings.CutPrefix(p, "$code"); ok {
			ahead, err := time.ParseDuration(steps + "s")
			if err != nil {
				w.t.Fatal(err)
			}
			if out[i], err = totp.GenerateCode(fromBase64(w.t, kept["$seed"]), now.Add(30*ahead)); err != nil {
				w.t.Fatal(err)
			}
		} else if strings.HasPrefix(p, "$") {
			out[i] = kept[p]
		}
	}
	return out
}
