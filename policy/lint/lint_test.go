package lint_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/policy/lint"
)

const (
	version = `{"Version":"2012-10-17","Statement":`
	github  = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
	gitlab  = "arn:aws:iam::111122223333:oidc-provider/gitlab.com"
	google  = "arn:aws:iam::111122223333:oidc-provider/accounts.google.com"
	private = "arn:aws:iam::111122223333:oidc-provider/idp.example.com/realm"

	personal = "arn:aws:iam::111122223333:oidc-provider/login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
	saml     = "arn:aws:iam::111122223333:saml-provider/Okta"
	alice    = `{"AWS":"arn:aws:iam::111122223333:user/alice"}`
)

// trust is a trust policy of one Allow; condition is the inside of its Condition element, empty for none.
func trust(principal, action, condition string) string {
	return version + `[{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `"` + element(condition) + `}]}`
}

// web trusts an OIDC provider and asks for the audience and more.
func web(provider, more string) string {
	_, host, _ := strings.Cut(provider, "oidc-provider/")
	condition := `"ForAnyValue:StringEquals":{"` + host + `:aud":"sts.amazonaws.com"}`
	if more != "" {
		condition += "," + strings.ReplaceAll(more, "HOST", host)
	}
	return trust(`{"Federated":"`+provider+`"}`, "sts:AssumeRoleWithWebIdentity", condition)
}

// sub asks for a subject by pattern.
func sub(pattern string) string { return `"StringLike":{"HOST:sub":"` + pattern + `"}` }

// grant is an identity policy of one statement.
func grant(effect, action, resource, condition string) string {
	return version + `[` + statement(effect, action, resource, condition) + `]}`
}

func statement(effect, action, resource, condition string) string {
	return `{"Effect":"` + effect + `","Action":"` + action + `","Resource":"` + resource + `"` + element(condition) + `}`
}

func element(condition string) string {
	if condition == "" {
		return ""
	}
	return `,"Condition":{` + condition + `}`
}

// when is an identity policy with a condition, and nothing else to find.
func when(effect, condition string) string {
	return grant(effect, "store:Get", "arn:aws:store:::docs/a", condition)
}

// both is an identity policy of two statements.
func both(a, b string) string { return version + "[" + a + "," + b + "]}" }

const (
	action    = "Statement[0].Action"
	principal = "Statement[0].Principal."
	condition = "Statement[0].Condition."
)

// rows hold for each class a document that has it and a near twin that has not.
var rows = []struct {
	id, name  string
	kind      policy.Kind
	bad, good string
	path      string // of the finding
}{
	{"invalid", "no such effect", policy.Identity, grant("allow", "s3:Get", "*", ""), grant("Allow", "s3:Get", "*", ""), "Statement[0].Effect"},

	{"trust-wildcard-principal", "everybody, in a list", policy.Trust, trust(`{"AWS":["*"]}`, "sts:AssumeRole", ""), trust(`{"AWS":["111122223333"]}`, "sts:AssumeRole", ""), principal + "AWS[0]"},
	{"trust-wildcard-principal", "limited to an organization", policy.Trust, trust(`"*"`, "sts:AssumeRole", ""), trust(`"*"`, "sts:AssumeRole", `"StringEquals":{"aws:PrincipalOrgID":"o-1"}`), "Statement[0].Principal"},
	{"trust-wildcard-principal", "a condition that holds without the key", policy.Trust, trust(`"*"`, "sts:AssumeRole", `"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}`), trust(`"*"`, "sts:AssumeRole", `"StringEquals":{"AWS:principalorgid":"o-1"}`), "Statement[0].Principal"},
	{"trust-wildcard-principal", "a condition that every account fits", policy.Trust, trust(`"*"`, "sts:AssumeRole", `"StringLike":{"aws:PrincipalAccount":"*"}`), trust(`"*"`, "sts:AssumeRole", `"StringLike":{"aws:PrincipalAccount":"1111*"}`), "Statement[0].Principal"},
	{"resource-wildcard-principal", "everybody", policy.Resource, trust(`"*"`, "s3:Get", ""), trust(alice, "s3:Get", ""), "Statement[0].Principal"},
	{"principal-unique-id", "a deleted user", policy.Trust, trust(`{"AWS":"AIDAEXAMPLE"}`, "sts:AssumeRole", ""), trust(alice, "sts:AssumeRole", ""), principal + "AWS"},
	{"deny-not-principal", "all but one", policy.Resource, version + `{"Effect":"Deny","NotPrincipal":` + alice + `,"Action":"s3:*"}}`, version + `{"Effect":"Deny","Principal":` + alice + `,"Action":"s3:*"}}`, "Statement.NotPrincipal"},
	{"trust-action-mismatch", "a token provider with AssumeRole", policy.Trust, trust(`{"Federated":"`+private+`"}`, "sts:AssumeRole", ""), web(private, sub("a")), principal + "Federated"},
	{"trust-action-mismatch", "a SAML provider with web identity", policy.Trust, trust(`{"Federated":"`+saml+`"}`, "sts:AssumeRoleWithWebIdentity", ""), trust(`{"Federated":"`+saml+`"}`, "sts:AssumeRoleWithSAML", ""), principal + "Federated"},
	{"trust-action-mismatch", "a user with SAML", policy.Trust, trust(alice, "sts:AssumeRoleWithSAML", ""), trust(alice, "sts:TagSession", ""), principal + "AWS"},

	{"oidc-no-audience", "only the subject", policy.Trust, trust(`{"Federated":"`+private+`"}`, "sts:AssumeRoleWithWebIdentity", `"StringEquals":{"idp.example.com/realm:sub":"a"}`), web(private, sub("a")), principal + "Federated"},
	{"oidc-no-audience", "the audience of another issuer", policy.Trust, strings.ReplaceAll(web(private, ""), "realm:aud", "other:aud"), web(private, ""), principal + "Federated"},
	{"oidc-no-audience", "app_id is Facebook's audience", policy.Trust, trust(`{"Federated":"graph.facebook.com"}`, "sts:AssumeRoleWithWebIdentity", ""), trust(`{"Federated":"graph.facebook.com"}`, "sts:AssumeRoleWithWebIdentity", `"StringEquals":{"graph.facebook.com:app_id":"7"}`), principal + "Federated"},
	{"oidc-no-subject", "only the audience", policy.Trust, web(private, ""), web(private, sub("team:a")), principal + "Federated"},
	{"oidc-no-subject", "a subject of nothing but a wildcard", policy.Trust, web(private, sub("*")), web(private, sub("team*")), principal + "Federated"},
	{"oidc-no-subject", "another claim says who", policy.Trust, web(private, `"StringNotEquals":{"HOST:email":"x"}`), web(private, `"StringEquals":{"HOST:email":"x"}`), principal + "Federated"},
	{"oidc-shared-issuer-no-tenant", "GitHub without subject", policy.Trust, web(github, ""), web(github, sub("repo:acme/app:*")), principal + "Federated"},
	{"oidc-shared-issuer-no-tenant", "a condition that holds without the claim", policy.Trust, web(github, `"StringEqualsIfExists":{"HOST:sub":"repo:acme/app:x"}`), web(github, `"StringLike":{"HOST:sub":"repo:acme/app:x"}`), principal + "Federated"},
	{"oidc-shared-issuer-no-tenant", "the owner's id instead of the subject", policy.Trust, web(github, `"StringEquals":{"HOST:actor":"x"}`), web(github, `"StringEquals":{"HOST:repository_owner_id":"7"}`), principal + "Federated"},
	{"oidc-shared-issuer-no-tenant", "Cognito without an identity pool", policy.Trust, trust(`{"Federated":"cognito-identity.amazonaws.com"}`, "sts:AssumeRoleWithWebIdentity", `"ForAnyValue:StringLike":{"cognito-identity.amazonaws.com:amr":"authenticated"}`), trust(`{"Federated":"cognito-identity.amazonaws.com"}`, "sts:AssumeRoleWithWebIdentity", `"StringEquals":{"cognito-identity.amazonaws.com:aud":"us-east-1:7"}`), principal + "Federated"},
	{"oidc-shared-issuer-no-tenant", "Sentinel without a session name", policy.Trust, web("arn:aws:iam::111122223333:oidc-provider/sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d/", sub("a")), web("arn:aws:iam::111122223333:oidc-provider/sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d/", `"StringEquals":{"sts:RoleSessionName":"MicrosoftSentinel_7"}`), principal + "Federated"},
	{"oidc-shared-issuer-no-tenant", "an enterprise's own issuer at GitHub is not shared", policy.Trust, web(github, ""), web(github+"/acme", ""), principal + "Federated"},
	{"oidc-shared-issuer-no-tenant", "any personal Microsoft account", policy.Trust, web(personal, `"StringEquals":{"HOST:azp":"x"}`), web(personal, `"StringEquals":{"HOST:oid":"x"}`), principal + "Federated"},
	{"oidc-pattern-other-namespace", "any namespace", policy.Trust, web(private, sub("system:serviceaccount:*:web")), web(private, sub("system:serviceaccount:app:*")), condition + "StringLike.idp.example.com/realm:sub"},
	{"oidc-pattern-other-namespace", "a namespace whose name begins so", policy.Trust, web(private, sub("system:serviceaccount:app*")), web(private, sub("system:serviceaccount:app:web*")), condition + "StringLike.idp.example.com/realm:sub"},
	{"oidc-pattern-other-namespace", "the namespace by a claim of its own", policy.Trust, web(private, sub("system:serviceaccount:*:web")), web(private, sub("system:serviceaccount:*:web")+`,"StringEquals":{"HOST:kubernetes.io/namespace":"app"}`), condition + "StringLike.idp.example.com/realm:sub"},
	{"oidc-no-original-audience", "only azp", policy.Trust, web(google, sub("107")), web(google, sub("107")+`,"StringEquals":{"HOST:oaud":"x"}`), principal + "Federated"},
	{"oidc-pattern-other-tenant", "any repository of any owner", policy.Trust, web(github, sub("repo:*")), web(github, sub("repo:acme/*")), condition + "StringLike.token.actions.githubusercontent.com:sub"},
	{"oidc-pattern-other-tenant", "an owner whose name begins so", policy.Trust, web(github, sub("repo:acme*")), web(github, sub("repo:acme/app:*")), condition + "StringLike.token.actions.githubusercontent.com:sub"},
	{"oidc-pattern-other-tenant", "a repository of any owner", policy.Trust, web(github, sub("repo:*/app:ref:refs/heads/main")), web(github, sub("repo:acme/*:ref:refs/heads/main")), condition + "StringLike.token.actions.githubusercontent.com:sub"},
	{"oidc-pattern-other-tenant", "a question mark in the owner", policy.Trust, web(github, sub("repo:acm?/app:*")), web(github, sub("repo:acme/ap?:*")), condition + "StringLike.token.actions.githubusercontent.com:sub"},
	{"oidc-pattern-other-tenant", "nothing but the branch", policy.Trust, web(github, sub("*:ref:refs/heads/main")), web(github, sub("repo:acme/app:ref:refs/heads/main")), condition + "StringLike.token.actions.githubusercontent.com:sub"},
	{"oidc-pattern-other-tenant", "one open pattern of two", policy.Trust, web(github, `"StringLike":{"HOST:sub":["repo:acme/a:*","repo:*"]}`), web(github, `"StringLike":{"HOST:sub":["repo:acme/a:*","repo:acme/b:*"]}`), condition + "StringLike.token.actions.githubusercontent.com:sub[1]"},
	{"oidc-pattern-other-tenant", "an open subject with the owner's id", policy.Trust, web(github, sub("repo:*")), web(github, sub("repo:*")+`,"StringEqualsIgnoreCase":{"HOST:repository_owner_id":"7"}`), condition + "StringLike.token.actions.githubusercontent.com:sub"},
	{"oidc-pattern-other-tenant", "a variable where the owner stands", policy.Trust, web(github, sub("repo:${aws:RequestTag/o}/app")), web(github, sub("repo:acme/${aws:RequestTag/o}")), condition + "StringLike.token.actions.githubusercontent.com:sub"},
	{"oidc-pattern-other-tenant", "a GitLab group whose name begins so", policy.Trust, web(gitlab, sub("project_path:acme*")), web(gitlab, sub("project_path:acme/*")), condition + "StringLike.gitlab.com:sub"},
	{"oidc-pattern-other-tenant", "a Terraform organization whose name begins so", policy.Trust, web("arn:aws:iam::111122223333:oidc-provider/app.terraform.io", sub("organization:acme*")), web("arn:aws:iam::111122223333:oidc-provider/app.terraform.io", sub("organization:acme:project:*")), condition + "StringLike.app.terraform.io:sub"},
	{"oidc-pattern-other-repository", "the name is left open", policy.Trust, web(github, sub("repo:acme/app*")), web(github, sub("repo:acme/app:*")), condition + "StringLike.token.actions.githubusercontent.com:sub"},
	{"saml-no-audience", "any recipient", policy.Trust, trust(`{"Federated":"`+saml+`"}`, "sts:AssumeRoleWithSAML", ""), trust(`{"Federated":"`+saml+`"}`, "sts:AssumeRoleWithSAML", `"StringEquals":{"SAML:aud":"https://sts.example.com/saml/acs"}`), principal + "Federated"},
	{"confused-deputy", "a service", policy.Trust, trust(`{"Service":"backup.example.com"}`, "sts:AssumeRole", ""), trust(`{"Service":"backup.example.com"}`, "sts:AssumeRole", `"StringEquals":{"aws:SourceAccount":"111122223333"}`), principal + "Service"},
	{"confused-deputy", "any source", policy.Trust, trust(`{"Service":"backup.example.com"}`, "sts:AssumeRole", `"ArnLike":{"aws:SourceArn":"*"}`), trust(`{"Service":"backup.example.com"}`, "sts:AssumeRole", `"ArnLike":{"aws:SourceArn":"arn:aws:backup:*:111122223333:*"}`), principal + "Service"},

	{"allow-everything", "all on all", policy.Identity, grant("Allow", "*", "*", ""), grant("Allow", "s3:*", "*", ""), action},
	{"allow-everything", "all on some", policy.Identity, grant("Allow", "*", "*", ""), grant("Allow", "*", "arn:aws:s3:::b/*", ""), action},
	{"allow-everything", "a boundary limits only", policy.Identity, grant("Allow", "*", "*", ""), grant("Deny", "*", "*", ""), action},
	{"allow-not-action", "all but some", policy.Identity, strings.Replace(grant("Allow", "s3:*", "*", ""), `"Action"`, `"NotAction"`, 1), strings.Replace(grant("Deny", "s3:*", "*", ""), `"Action"`, `"NotAction"`, 1), "Statement[0].NotAction"},
	{"allow-not-resource", "all but some", policy.Identity, strings.Replace(grant("Allow", "s3:*", "arn:aws:s3:::b", ""), `"Resource"`, `"NotResource"`, 1), strings.Replace(grant("Deny", "s3:*", "arn:aws:s3:::b", ""), `"Resource"`, `"NotResource"`, 1), "Statement[0].NotResource"},
	{"escalation-iam-all", "all of IAM", policy.Identity, grant("Allow", "iam:*", "*", ""), grant("Allow", "iam:Get*", "*", ""), action},
	{"escalation-pass-role", "every role", policy.Identity, grant("Allow", "iam:PassRole", "*", ""), grant("Allow", "iam:PassRole", "arn:aws:iam::111122223333:role/app", ""), action},
	{"escalation-pass-role", "every role of the account, by pattern", policy.Identity, grant("Allow", "iam:pass*", "arn:aws:iam::111122223333:role/*", ""), grant("Allow", "iam:pass*", "arn:aws:iam::111122223333:role/app/*", ""), action},
	{"escalation-pass-role", "denied again", policy.Identity, both(statement("Allow", "iam:P*", "*", ""), statement("Deny", "iam:PassRole", "arn:aws:iam::111122223333:role/x", "")), both(statement("Allow", "iam:P*", "*", ""), statement("Deny", "iam:PassRole", "*", "")), action},
	{"escalation-policy-version", "every policy", policy.Identity, grant("Allow", "iam:CreatePolicyVersion", "*", ""), grant("Allow", "iam:CreatePolicyVersion", "arn:aws:iam::111122223333:policy/app", ""), action},
	{"escalation-policy-version", "going back to a wider version", policy.Identity, grant("Allow", "iam:SetDefaultPolicyVersion", "arn:aws:iam::111122223333:policy/*", ""), grant("Allow", "iam:GetPolicyVersion", "arn:aws:iam::111122223333:policy/*", ""), action},
	{"escalation-attach-policy", "to anybody", policy.Identity, grant("Allow", "iam:AttachUserPolicy", "*", ""), grant("Allow", "iam:AttachUserPolicy", "*", `"ArnEquals":{"iam:PolicyARN":"arn:aws:iam::111122223333:policy/app"}`), action},
	{"escalation-attach-policy", "to oneself", policy.Identity, grant("Allow", "iam:AttachUserPolicy", "arn:aws:iam::111122223333:user/${aws:username}", ""), grant("Allow", "iam:AttachUserPolicy", "arn:aws:iam::111122223333:user/app", ""), action},
	{"escalation-inline-policy", "into oneself", policy.Identity, grant("Allow", "iam:PutUserPolicy", "arn:aws:iam::111122223333:user/${aws:username}", ""), grant("Allow", "iam:PutUserPolicy", "arn:aws:iam::111122223333:user/*", `"StringEquals":{"iam:PermissionsBoundary":"arn:aws:iam::111122223333:policy/b"}`), action},
	{"escalation-trust-policy", "every role", policy.Identity, grant("Allow", "iam:UpdateAssumeRolePolicy", "*", ""), grant("Allow", "iam:UpdateAssumeRolePolicy", "arn:aws:iam::111122223333:role/app", ""), action},
	{"escalation-access-key", "of everybody", policy.Identity, grant("Allow", "iam:CreateAccessKey", "*", ""), grant("Allow", "iam:CreateAccessKey", "arn:aws:iam::111122223333:user/${aws:username}", ""), action},
	{"escalation-login-profile", "of everybody", policy.Identity, grant("Allow", "iam:UpdateLoginProfile", "arn:aws:iam::111122223333:user/*", ""), grant("Allow", "iam:UpdateLoginProfile", "arn:aws:iam::111122223333:user/${aws:username}", ""), action},
	{"escalation-mfa", "of everybody", policy.Identity, grant("Allow", "iam:DeactivateMFADevice", "*", ""), grant("Allow", "iam:DeactivateMFADevice", "arn:aws:iam::111122223333:user/${aws:username}", ""), action},
	{"escalation-group-membership", "every group", policy.Identity, grant("Allow", "iam:AddUserToGroup", "*", ""), grant("Allow", "iam:AddUserToGroup", "arn:aws:iam::111122223333:group/app", ""), action},
	{"escalation-boundary", "of everybody", policy.Identity, grant("Allow", "iam:DeleteUserPermissionsBoundary", "*", ""), grant("Allow", "iam:DeleteUserPermissionsBoundary", "arn:aws:iam::111122223333:user/app", ""), action},
	{"escalation-identity-provider", "every provider", policy.Identity, grant("Allow", "iam:UpdateSAMLProvider", "*", ""), grant("Allow", "iam:UpdateSAMLProvider", "arn:aws:iam::111122223333:saml-provider/test", ""), action},
	{"escalation-instance-profile", "every profile", policy.Identity, grant("Allow", "iam:AddRoleToInstanceProfile", "*", ""), grant("Allow", "iam:AddRoleToInstanceProfile", "arn:aws:iam::111122223333:instance-profile/app", ""), action},
	{"escalation-assume-any-role", "every role", policy.Identity, grant("Allow", "sts:AssumeRole", "*", ""), grant("Allow", "sts:AssumeRole", "arn:aws:iam::111122223333:role/app", ""), action},
	{"escalation-assume-any-role", "every action of STS", policy.Identity, grant("Allow", "sts:*", "arn:aws:iam::*:role/*", ""), grant("Allow", "sts:Get*", "arn:aws:iam::*:role/*", ""), action},

	{"for-all-values-open", "no guard", policy.Identity, when("Allow", `"ForAllValues:StringEquals":{"aws:TagKeys":"a"}`), when("Allow", `"ForAllValues:StringEquals":{"aws:TagKeys":"a"},"Null":{"aws:tagkeys":"false"}`), condition + "ForAllValues:StringEquals.aws:TagKeys"},
	{"for-all-values-open", "a Deny leans the other way", policy.Identity, when("Allow", `"ForAllValues:StringEquals":{"aws:TagKeys":"a"}`), when("Deny", `"ForAllValues:StringEquals":{"aws:TagKeys":"a"}`), condition + "ForAllValues:StringEquals.aws:TagKeys"},
	{"set-operator-missing", "tag keys", policy.Identity, when("Allow", `"StringEquals":{"aws:TagKeys":"a"}`), when("Allow", `"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}`), condition + "StringEquals.aws:TagKeys"},
	{"set-operator-missing", "authentication methods of a token", policy.Identity, when("Allow", `"StringEquals":{"idp.example.com:amr":"mfa"}`), when("Allow", `"StringEquals":{"idp.example.com:email":"mfa"}`), condition + "StringEquals.idp.example.com:amr"},
	{"set-operator-on-single-value", "a tag", policy.Identity, when("Allow", `"ForAnyValue:StringEquals":{"aws:PrincipalTag/a":"b"}`), when("Allow", `"StringEquals":{"aws:PrincipalTag/a":"b"}`), condition + "ForAnyValue:StringEquals.aws:PrincipalTag/a"},
	{"mfa-if-exists", "keys without MFA pass", policy.Identity, when("Allow", `"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}`), when("Allow", `"Bool":{"aws:MultiFactorAuthPresent":"true"}`), condition + "BoolIfExists.aws:MultiFactorAuthPresent"},
	{"mfa-if-exists", "asked to be absent", policy.Identity, when("Allow", `"Null":{"aws:MultiFactorAuthAge":"true"}`), when("Allow", `"Null":{"aws:MultiFactorAuthAge":"false"}`), condition + "Null.aws:MultiFactorAuthAge"},
	{"mfa-deny-without-if-exists", "keys without MFA are not denied", policy.Identity, when("Deny", `"Bool":{"aws:MultiFactorAuthPresent":"false"}`), when("Deny", `"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}`), condition + "Bool.aws:MultiFactorAuthPresent"},
	{"if-exists-open", "a key that may be absent", policy.Identity, when("Allow", `"StringEqualsIfExists":{"aws:SourceVpc":"v"}`), when("Allow", `"StringEquals":{"aws:SourceVpc":"v"}`), condition + "StringEqualsIfExists.aws:SourceVpc"},
	{"if-exists-open", "a key that is always there", policy.Identity, when("Allow", `"StringEqualsIfExists":{"aws:username":"v"}`), when("Allow", `"StringEqualsIfExists":{"aws:PrincipalArn":"v"}`), condition + "StringEqualsIfExists.aws:username"},
	{"negated-open", "a tag that may be absent", policy.Identity, when("Allow", `"StringNotEquals":{"aws:PrincipalTag/a":"b"}`), when("Allow", `"StringNotEquals":{"aws:PrincipalTag/a":"b"},"Null":{"aws:PrincipalTag/a":"false"}`), condition + "StringNotEquals.aws:PrincipalTag/a"},
	{"negated-open", "a key that is always there", policy.Identity, when("Allow", `"StringNotEquals":{"sts:ExternalId":"b"}`), when("Allow", `"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}`), condition + "StringNotEquals.sts:ExternalId"},
	{"wildcard-in-exact-operator", "StringEquals", policy.Identity, when("Allow", `"StringEquals":{"aws:username":["a","b*"]}`), when("Allow", `"StringLike":{"aws:username":["a","b*"]}`), condition + "StringEquals.aws:username[1]"},
	{"wildcard-in-exact-operator", "a star that is meant", policy.Identity, when("Allow", `"StringEqualsIgnoreCase":{"aws:username":"*"}`), when("Allow", `"StringEqualsIgnoreCase":{"aws:username":"${*}"}`), condition + "StringEqualsIgnoreCase.aws:username"},
	{"variable-in-old-version", "no version", policy.Identity, `{"Statement":` + statement("Allow", "s3:Get", "arn:aws:s3:::b/${aws:username}", "") + "}", grant("Allow", "s3:Get", "arn:aws:s3:::b/${aws:username}", ""), "Statement.Resource"},
	{"variable-in-old-version", "in a condition", policy.Identity, strings.Replace(when("Allow", `"StringLike":{"aws:username":"${aws:userid}"}`), "2012-10-17", "2008-10-17", 1), strings.Replace(when("Allow", `"StringLike":{"aws:username":"$a{aws:userid}"}`), "2012-10-17", "2008-10-17", 1), condition + "StringLike.aws:username"},
	{"old-version", "no version", policy.Identity, `{"Statement":` + statement("Allow", "s3:Get", "*", "") + "}", grant("Allow", "s3:Get", "*", ""), "Version"},
	{"year-as-epoch", "a year", policy.Identity, when("Allow", `"DateLessThan":{"aws:CurrentTime":"2030"}`), when("Allow", `"DateLessThan":{"aws:CurrentTime":"2030-01"}`), condition + "DateLessThan.aws:CurrentTime"},
	{"arn-value-incomplete", "a lone star", policy.Identity, when("Deny", `"ArnNotLike":{"aws:PrincipalArn":"*"}`), when("Deny", `"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}`), condition + "ArnNotLike.aws:PrincipalArn"},
	{"string-operator-on-arn", "a star runs over colons", policy.Identity, when("Allow", `"StringLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/a"}`), when("Allow", `"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/a"}`), condition + "StringLike.aws:PrincipalArn"},
	{"network-everything", "all of IPv6", policy.Identity, when("Allow", `"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::/0"]}`), when("Allow", `"IpAddress":{"aws:SourceIp":["10.0.0.0/8","fd00::/8"]}`), condition + "IpAddress.aws:SourceIp[1]"},
	{"unknown-key", "a slip", policy.Identity, when("Allow", `"StringEquals":{"aws:PrincpalTag/a":"b"}`), when("Allow", `"StringEquals":{"aws:principaltag/a":"b"}`), condition + "StringEquals.aws:PrincpalTag/a"},
	{"unknown-key", "keys of other services are theirs", policy.Identity, when("Allow", `"StringEquals":{"sts:ExternalID2":"b"}`), when("Allow", `"StringEquals":{"s3:prefix":"b"}`), condition + "StringEquals.sts:ExternalID2"},

	{"unreachable-allow", "all of it is denied", policy.Identity, both(statement("Allow", "s3:GetObject", "arn:aws:s3:::b/x", ""), statement("Deny", "S3:Get*", "arn:aws:s3:::b/*", "")), both(statement("Allow", "s3:GetObject", "arn:aws:s3:::b/x", ""), statement("Deny", "S3:Get*", "arn:aws:s3:::c/*", "")), "Statement[0]"},
	{"unreachable-allow", "the Deny asks for more", policy.Identity, both(statement("Allow", "s3:GetObject", "*", ""), statement("Deny", "s3:*", "*", "")), both(statement("Allow", "s3:GetObject", "*", ""), statement("Deny", "s3:*", "*", `"Bool":{"aws:SecureTransport":"false"}`)), "Statement[0]"},
	{"unreachable-allow", "a question mark is not a star", policy.Identity, both(statement("Allow", "s3:GetObject", "arn:aws:s3:::b/a", ""), statement("Deny", "s3:*", "arn:aws:s3:::b/?", "")), both(statement("Allow", "s3:GetObject", "arn:aws:s3:::b/*", ""), statement("Deny", "s3:*", "arn:aws:s3:::b/?", "")), "Statement[0]"},
	{"duplicate-statement", "in another order", policy.Identity, both(statement("Allow", "s3:Get", "*", `"Bool":{"aws:SecureTransport":"true"},"StringEquals":{"aws:username":["a","b"]}`), statement("Allow", "s3:get", "*", `"StringEquals":{"AWS:username":["b","a"]},"Bool":{"aws:SecureTransport":"true"}`)), both(statement("Allow", "s3:Get", "*", `"StringEquals":{"aws:username":["a","b"]}`), statement("Allow", "s3:get", "*", `"StringEquals":{"aws:username":["a","c"]}`)), "Statement[1]"},
	{"redundant-allow", "the other asks for less", policy.Identity, both(statement("Allow", "s3:Get", "*", `"Bool":{"aws:SecureTransport":"true"}`), statement("Allow", "s3:G*", "*", "")), both(statement("Allow", "s3:Get", "*", ""), statement("Allow", "s3:G*", "*", `"Bool":{"aws:SecureTransport":"true"}`)), "Statement[0]"},
	{"redundant-action", "within a pattern", policy.Identity, strings.Replace(grant("Allow", "A", "*", ""), `"A"`, `["s3:Get*","s3:GetObject"]`, 1), strings.Replace(grant("Allow", "A", "*", ""), `"A"`, `["s3:Get*","s3:PutObject"]`, 1), action + "[1]"},
	{"redundant-action", "twice", policy.Identity, strings.Replace(grant("Allow", "A", "*", ""), `"A"`, `["s3:Get","s3:Put","S3:get"]`, 1), strings.Replace(grant("Allow", "A", "*", ""), `"A"`, `["s3:Get","s3:Put","S3:gets"]`, 1), action + "[2]"},
	{"never-applies", "all but everything", policy.Identity, strings.Replace(grant("Deny", "*", "*", ""), `"Action"`, `"NotAction"`, 1), grant("Deny", "*", "*", ""), "Statement[0].NotAction"},
	{"never-applies", "all of STS, in a trust policy", policy.Trust, version + `{"Effect":"Deny","NotAction":"sts:*","Principal":"*"}}`, version + `{"Effect":"Deny","NotAction":"sts:A*","Principal":"*"}}`, "Statement.NotAction"},
	{"never-applies", "absent and equal", policy.Identity, when("Deny", `"Null":{"aws:username":"true"},"StringEquals":{"aws:username":"a"}`), when("Deny", `"Null":{"aws:username":"false"},"StringEquals":{"aws:username":"a"}`), condition + "StringEquals.aws:username"},
	{"unknown-sts-action", "a slip", policy.Trust, trust(alice, "sts:AssumeRoles", ""), trust(alice, "sts:assumerole", ""), action},
	{"action-without-resource", "on an ARN", policy.Identity, grant("Allow", "sts:DecodeAuthorizationMessage", "arn:aws:sts::111122223333:x", ""), grant("Allow", "sts:DecodeAuthorizationMessage", "*", ""), action},
}

func find(findings []lint.Finding, id string) *lint.Finding {
	if n := slices.IndexFunc(findings, func(f lint.Finding) bool { return f.ID == id }); n >= 0 {
		return &findings[n]
	}
	return nil
}

func TestCheck(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, row := range rows {
		seen[row.id] = true
		t.Run(row.id+"/"+row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := policy.Parse(row.kind, row.good); err != nil {
				t.Fatalf("the twin is refused: %v", err)
			}
			if f := find(lint.Check(row.kind, row.good), row.id); f != nil {
				t.Errorf("the twin has it: %+v\n%s", f, row.good)
			}
			f := find(lint.Check(row.kind, row.bad), row.id)
			if f == nil {
				t.Fatalf("not found: %v\n%s", lint.Check(row.kind, row.bad), row.bad)
			}
			if f.Path != row.path {
				t.Errorf("at %s, want %s", f.Path, row.path)
			}
			if f.Line != 1 || f.Column < 1 || f.Severity == 0 || f.Sentence == "" || f.SafeForm == "" {
				t.Errorf("incomplete: %+v", f)
			}
		})
	}
	for _, rule := range lint.Rules() {
		if !seen[rule.ID] {
			t.Errorf("%s has no test", rule.ID)
		}
	}
}

func TestCheck_FindsNothingInSafeForms(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		kind policy.Kind
		text string
	}{
		"GitHub branch":     {policy.Trust, web(github, sub("repo:acme/app:ref:refs/heads/main"))},
		"Kubernetes":        {policy.Trust, web("arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/ABC", sub("system:serviceaccount:app:web"))},
		"a user with MFA":   {policy.Trust, trust(alice, "sts:AssumeRole", `"Bool":{"aws:MultiFactorAuthPresent":"true"}`)},
		"own credentials":   {policy.Identity, grant("Allow", "iam:*AccessKey*", "arn:aws:iam::111122223333:user/${aws:username}", "")},
		"full access level": {policy.ServiceControl, grant("Allow", "*", "*", "")},
		"boundary":          {policy.Boundary, grant("Allow", "*", "*", "")},
		"session policy":    {policy.Session, grant("Allow", "s3:*", "*", "")},
	} {
		if findings := lint.Check(row.kind, row.text); len(findings) != 0 {
			t.Errorf("%s: %+v", name, findings)
		}
	}
}

func TestCheck_Place(t *testing.T) {
	t.Parallel()
	findings := lint.Check(policy.Trust, "{\"Version\":\"2012-10-17\",\n \"Statement\": {\"Effect\":\"Allow\", \"Action\":\"sts:AssumeRole\",\n  \"Principal\": {\"AWS\": [\"111122223333\", \"*\"]}}}")
	if len(findings) != 1 || findings[0].Line != 3 || findings[0].Column != 41 || findings[0].Path != "Statement.Principal.AWS[1]" {
		t.Errorf("%+v", findings)
	}
	encoded, err := json.Marshal(findings[0])
	if err != nil || !strings.Contains(string(encoded), `"severity":"error","sentence":"Everybody`) {
		t.Errorf("%s %v", encoded, err)
	}
}

func TestCheck_IsBounded(t *testing.T) {
	t.Parallel()
	var actions []string
	for n := range 10000 {
		actions = append(actions, fmt.Sprintf(`"iam:P%d*"`, n))
	}
	text := version + `{"Effect":"Allow","Resource":"*","Action":[` + strings.Join(actions, ",") + `]}}`
	if n := len(lint.Check(policy.Identity, text)); n != 0 {
		t.Errorf("%d findings", n)
	}
	text = version + `{"Effect":"Allow","Resource":"*","Action":["` + strings.Repeat(`iam:P*","`, 10000) + `iam:P*"]}}`
	if n := len(lint.Check(policy.Identity, text)); n != 200 {
		t.Errorf("%d findings", n)
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	for _, s := range []lint.Severity{lint.Note, lint.Warning, lint.Error} {
		if got, err := lint.ParseSeverity(s.String()); err != nil || got != s {
			t.Errorf("%v: %v, %v", s, got, err)
		}
	}
	if _, err := lint.ParseSeverity("none"); err == nil {
		t.Error("none is a severity")
	}
}

// TestCheck_WhatDoesNothing takes statements that are said to do nothing out of the decision vectors' policies. No decision
// may change.
func TestCheck_WhatDoesNothing(t *testing.T) {
	t.Parallel()
	removed := make(map[string]int)
	numbered := regexp.MustCompile(`^Statement\[(\d+)\]`)
	for _, d := range mixed(t, identityPolicies(t)) {
		for _, f := range lint.Check(policy.Identity, d) {
			m := numbered.FindStringSubmatch(f.Path)
			if m == nil || !slices.Contains([]string{"unreachable-allow", "duplicate-statement", "redundant-allow", "never-applies"}, f.ID) {
				continue
			}
			removed[f.ID]++
			without := withoutStatement(t, d, m[1])
			for _, request := range requestsOf(t, d) {
				before, after := decide(t, d, request), decide(t, without, request)
				if before != after {
					t.Fatalf("%s: %s %s is %v, without the statement %v\n%s", f.ID, request.Action, request.Resource, before, after, d)
				}
			}
		}
	}
	if len(removed) < 2 {
		t.Errorf("too little was found to test with: %v", removed)
	}
	t.Log(removed)
}

func withoutStatement(t *testing.T, text, index string) string {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(index)
	list := slices.Delete(slices.Clone(d["Statement"].([]any)), n, n+1)
	if d["Statement"] = list; len(list) == 0 {
		d["Statement"] = json.RawMessage(statement("Allow", "nothing:Nothing", "*", ""))
	}
	out, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// requestsOf makes requests from a document's own actions and resources, so that its statements apply.
func requestsOf(t *testing.T, text string) []*policy.Request {
	t.Helper()
	d, err := policy.Parse(policy.Identity, text)
	if err != nil {
		t.Fatal(err)
	}
	concrete := strings.NewReplacer("*", "x", "?", "y", "${aws:username}", "alice")
	contexts := []*policy.Context{nil, new(policy.Context), new(policy.Context)}
	var requests []*policy.Request
	for _, s := range d.Statements() {
		for _, c := range s.Conditions {
			contexts[1].Set(c.Key, concrete.Replace(c.Values[0].Text))
			contexts[2].SetList(c.Key, []string{concrete.Replace(c.Values[0].Text), "other"})
		}
		for _, action := range s.Action.Values {
			for _, resource := range s.Resource.Values {
				for _, context := range contexts {
					requests = append(requests, &policy.Request{
						Principal: &policy.Principal{Type: policy.User, ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333"},
						Action:    concrete.Replace(action.Text), Resource: concrete.Replace(resource.Text),
						ResourceAccount: "111122223333", Context: context,
					})
				}
			}
		}
	}
	return requests
}

func decide(t *testing.T, text string, r *policy.Request) policy.Effect {
	t.Helper()
	d, err := policy.Parse(policy.Identity, text)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Evaluate(r, &policy.Policies{Identity: []*policy.Document{d}}).Effect
}

// mixed puts the statements of neighbours together, so that they bear on each other.
func mixed(t *testing.T, texts []string) []string {
	t.Helper()
	const together = 8
	var out []string
	for group := range slices.Chunk(texts[:len(texts)/12], together) {
		var statements []any
		for _, text := range group {
			var d struct{ Statement any }
			if err := json.Unmarshal([]byte(text), &d); err != nil {
				t.Fatal(err)
			}
			if list, ok := d.Statement.([]any); ok {
				statements = append(statements, list...)
			} else {
				statements = append(statements, d.Statement)
			}
		}
		for _, s := range statements {
			delete(s.(map[string]any), "Sid")
		}
		text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	return out
}

// identityPolicies are those of the decision vectors of package policy.
func identityPolicies(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("../testdata/vectors/*.jsonl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("vectors: %v %v", paths, err)
	}
	var texts []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			var v struct {
				Policies struct{ Identity []json.RawMessage }
			}
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
			for _, raw := range v.Policies.Identity {
				texts = append(texts, string(raw))
			}
		}
	}
	return texts
}

func FuzzCheck(f *testing.F) {
	for _, row := range rows {
		f.Add(uint8(row.kind), row.bad)
		f.Add(uint8(row.kind), row.good)
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		if kind < uint8(policy.Identity) || kind > uint8(policy.ServiceControl) {
			return
		}
		_, invalid := policy.Parse(policy.Kind(kind), text)
		findings := lint.Check(policy.Kind(kind), text)
		if (find(findings, "invalid") != nil) != (invalid != nil) {
			t.Fatalf("%v: %v", invalid, findings)
		}
		for _, finding := range findings {
			if finding.Line < 1 || finding.Column < 1 || finding.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("place of %+v", finding)
			}
		}
	})
}
