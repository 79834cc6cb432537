package lint

import "strings"

// keyFacts is what is known of a condition key.
type keyFacts uint8

const (
	known  keyFacts = 1 << iota
	multi           // has many values
	always          // every request has it
	isARN
)

// keys are the global condition keys, those of STS and SAML's lists, lower case. Sources: IAM User Guide, "AWS global condition
// context keys" and "Keys for AWS web identity federation, SAML"; Service Authorization Reference, AWS Security Token Service.
var keys = map[string]keyFacts{
	"aws:currenttime": known | always, "aws:epochtime": known | always, "aws:securetransport": known | always,
	"aws:requestedregion": known | always, "aws:useragent": known | always, "aws:sourceip": known | always,
	"aws:principalarn": known | always | isARN, "aws:principalaccount": known | always, "aws:principaltype": known | always,
	"aws:userid": known | always, "aws:viaawsservice": known | always, "aws:principalisawsservice": known | always,
	"aws:resourceaccount": known | always,

	"aws:referer": known, "aws:vpcsourceip": known, "aws:sourcevpc": known, "aws:sourcevpce": known, "aws:sourcevpcarn": known | isARN,
	"aws:vpceaccount": known, "aws:vpceorgid": known, "aws:vpceorgpaths": known | multi,
	"aws:username": known, "aws:principalorgid": known, "aws:principalorgpaths": known | multi,
	"aws:principalservicename": known, "aws:principalservicenameslist": known | multi,
	"aws:tokenissuetime": known, "aws:multifactorauthpresent": known, "aws:multifactorauthage": known,
	"aws:sourceidentity": known, "aws:federatedprovider": known, "aws:assumedroot": known, "aws:tagkeys": known | multi,
	"aws:resourceorgid": known, "aws:resourceorgpaths": known | multi,
	"aws:sourcearn": known | isARN, "aws:sourceaccount": known, "aws:sourceorgid": known, "aws:sourceorgpaths": known | multi,
	"aws:calledvia": known | multi, "aws:calledviafirst": known, "aws:calledvialast": known,
	"aws:ec2instancesourcevpc": known, "aws:ec2instancesourceprivateipv4": known, "aws:chatbotsourcearn": known | isARN,
	"aws:signinsessionarn": known | isARN,

	"sts:externalid": known, "sts:rolesessionname": known, "sts:sourceidentity": known, "sts:transitivetagkeys": known | multi,
	"sts:durationseconds": known, "sts:awsservicename": known, "sts:identitytokenaudience": known | multi,
	"sts:signingalgorithm": known, "sts:requestcontextproviders": known | multi | isARN, "sts:taskpolicyarn": known | isARN,
	"sts:roleauthorizedbyidp": known,

	"iam:passedtoservice": known, "iam:policyarn": known | isARN, "iam:permissionsboundary": known | isARN,
	"iam:associatedresourcearn": known | isARN,

	"saml:aud": known, "saml:iss": known, "saml:sub": known, "saml:sub_type": known, "saml:doc": known, "saml:namequalifier": known,
	"saml:edupersonaffiliation": known | multi, "saml:edupersonnickname": known | multi, "saml:edupersonorgunitdn": known | multi,
	"saml:edupersonentitlement": known | multi, "saml:edupersonscopedaffiliation": known | multi,
	"saml:edupersonassurance": known | multi, "saml:eduorghomepageuri": known | multi,
	"saml:eduorgidentityauthnpolicyuri": known | multi, "saml:eduorglegalname": known | multi,
	"saml:eduorgsuperioruri": known | multi, "saml:eduorgwhitepagesuri": known | multi, "saml:cn": known | multi,
}

// tagKeys are the beginnings of keys that go on with a tag's key.
var tagKeys = []string{"aws:principaltag/", "aws:requesttag/", "aws:resourcetag/", "iam:resourcetag/", "sts:requestcontext/"}

// factsOf returns what is known of a key, ignoring case; 0 when nothing is.
func factsOf(key string) keyFacts {
	key = strings.ToLower(key)
	if facts, ok := keys[key]; ok {
		return facts
	}
	for _, prefix := range tagKeys {
		if len(key) > len(prefix) && strings.HasPrefix(key, prefix) {
			return known
		}
	}
	if issuer, claim := cutClaim(key); issuer != "" && claim == "amr" {
		return known | multi
	}
	return 0
}

// cutClaim splits the key of a web identity token's claim, such as idp.example.com/path:sub. The issuer is empty when the key
// is of another kind.
func cutClaim(key string) (issuer, claim string) {
	i := strings.LastIndexByte(key, ':')
	if i < 0 || !strings.Contains(key[:i], ".") {
		return "", ""
	}
	return key[:i], key[i+1:]
}
