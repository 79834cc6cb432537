package saml_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// threats are the ways in which a response is turned against its reader, and the tests that try them: "Test" or "Test/row", in this package,
// in sts (the operation), in server and cmd/stint (over HTTP) or in samltest/idps (real providers). Each has its honest twin beside it:
// the row of TestVerify_Accepts, TestAssumeRoleWithSAML_Answer, or the good response that the test begins with.
var threats = map[string][]string{
	"wrapping: what is read is not what was signed": {
		"TestVerify_Wrapping/XSW1: the signed response inside the signature of an evil one",
		"TestVerify_Wrapping/XSW2: the signed response before the signature, detached",
		"TestVerify_Wrapping/XSW3: an evil assertion before the signed one", "TestVerify_Wrapping/XSW4: the signed assertion inside an evil one",
		"TestVerify_Wrapping/XSW5: the evil assertion keeps the signature, the original follows",
		"TestVerify_Wrapping/XSW6: the original inside the signature of the evil assertion", "TestVerify_Wrapping/XSW7: the evil assertion in Extensions",
		"TestVerify_Wrapping/XSW8: the original in an Object of the evil assertion's signature",
		"TestVerify_Wrapping/the signed assertion elsewhere, an evil one without signature in its place", "TestVerify_Wrapping/the bare assertion",
		"FuzzVerify",
	},
	"none, several, or misplaced assertions and signatures": {
		"TestVerify_Refuses/no assertion", "TestVerify_Refuses/two signatures", "TestVerify_Refuses/a signature in a statement",
		"TestVerify_Refuses/nothing signed", "TestVerify_Encrypted/a plain assertion beside",
	},
	"one of two signatures fails": {"TestVerify_Refuses/a response signature that fails beside an assertion signature that holds"},
	"references to something else": {
		"TestVerify_Refuses/a reference to everything", "TestVerify_Refuses/a reference to the response", "TestVerify_Refuses/a reference by XPointer",
		"TestVerify_Refuses/a reference elsewhere", "TestVerify_Refuses/two references",
	},
	"an ID that is not one": {
		"TestVerify_Wrapping/an evil assertion that takes the ID", "TestVerify_Wrapping/the ID given by a second attribute", "TestVerify_Refuses/no ID",
		"TestVerify_Encrypted/the ID of the response inside",
	},
	"digests and values that are empty or loosely written": {
		"TestVerify_Refuses/an empty digest", "TestVerify_Refuses/a digest with loose bits", "TestVerify_Refuses/no signature value", "TestVerify_Curves",
	},
	"weak or foreign algorithms": {
		"TestVerify_Refuses/SHA-1 signature", "TestVerify_Refuses/SHA-1 digest", "TestVerify_Refuses/HMAC under the public key",
		"TestVerify_Refuses/a truncated HMAC", "TestVerify_Refuses/an ECDSA algorithm for an RSA key", "TestMetadata_Refused/a small key",
	},
	"transforms that change what is digested": {
		"TestVerify_Refuses/an XSLT transform", "TestVerify_Refuses/an XPath transform", "TestVerify_Refuses/a base64 transform",
		"TestVerify_Refuses/a third transform", "TestVerify_Refuses/no transforms", "TestVerify_Refuses/inclusive c14n", "TestVerify_Refuses/c14n with comments",
	},
	"a void canonical form": {"TestVerify_Refuses/the digest of nothing"},
	"keys that the message brings, of another provider, or withdrawn": {
		"TestVerify_Refuses/another provider's key", "TestMetadata_Keys", "TestMetadata_OtherRoles", "TestSAML_Rollover", "TestMetadata_ValidUntil", "TestAssumeRoleWithSAML_Trust/another provider",
	},
	"entities, document types, comments, processing instructions": {
		"TestVerify_Refuses/a document type", "TestVerify_Refuses/an entity", "TestVerify_Refuses/an undeclared entity", "TestVerify_Refuses/a comment in the name",
		"TestVerify_Refuses/a processing instruction", "TestMetadata_Refused/a document type",
	},
	"XML that two parsers read differently": {
		"TestVerify_Refuses/an attribute twice", "TestVerify_Refuses/an attribute twice by another prefix", "TestVerify_Refuses/a prefix without a name space",
		"TestVerify_Refuses/two documents", "TestVerify_Refuses/text behind the end", "TestVerify_Refuses/another encoding",
		"TestVerify_Refuses/bytes that are no UTF-8", "TestVerify_Refuses/an element in the name", "TestVerify_Refuses/a character that XML forbids",
		"TestXMLSec_JudgesAlike", "FuzzVerify",
	},
	"names compared by prefix": {"TestVerify_Refuses/the root of another name space", "TestVerify_Refuses/a name of another name space"},
	"documents that cost too much": {
		"TestVerify_Refuses/a deep document", "TestVerify_Refuses/a wide document", "TestVerify_Refuses/a long document", "TestVerify_Refuses/many attributes",
		"TestVerify_Refuses/a canonical form that explodes", "TestVerify_Encrypted/many keys", "TestMetadata_Refused/eleven keys",
	},
	"a sign-in that failed": {"TestVerify_Refuses/no success", "TestAssumeRoleWithSAML_Refuses/no success at the IdP"},
	"another issuer":        {"TestVerify_Refuses/another issuer", "TestVerify_Refuses/another issuer of the response", "TestAssumeRoleWithSAML_Refuses/another issuer"},
	"for somebody else": {
		"TestVerify_Refuses/another audience", "TestVerify_Refuses/no audience", "TestVerify_Refuses/one restriction that names us not",
		"TestVerify_Refuses/another recipient", "TestVerify_Refuses/no recipient", "TestVerify_Refuses/another destination",
		"TestAssumeRoleWithSAML_Refuses/another audience", "TestAssumeRoleWithSAML_Refuses/another recipient",
	},
	"in answer to somebody else": {"TestVerify_InResponseTo/two requests", "TestAssumeRoleWithSAML_Refuses/two requests answered"},
	"confirmed by other means": {
		"TestVerify_Refuses/no confirmation", "TestVerify_Refuses/two confirmations", "TestVerify_Refuses/a holder-of-key confirmation",
		"TestVerify_Refuses/a confirmation without data", "TestVerify_Refuses/a confirmation without an end", "TestVerify_Refuses/a confirmation with a beginning",
	},
	"conditions that are missing, unknown, over or to come": {
		"TestVerify_Refuses/no conditions", "TestVerify_Refuses/a condition that nobody knows", "TestVerify_Refuses/the future", "TestVerify_Refuses/a time with an offset",
		"TestVerify_Refuses/a time that is none", "TestVerify_Expiry", "TestAssumeRoleWithSAML_Refuses/too early", "TestAssumeRoleWithSAML_Refuses/too late",
	},
	"an old response":                        {"TestVerify_Refuses/more than five minutes", "TestAssumeRoleWithSAML_Refuses/after five minutes"},
	"a response used again":                  {"TestAssumeRoleWithSAML_SingleUse"},
	"a guard that is not there":              {"TestAssumeRoleWithSAML_SingleUse"},
	"a session that outlasts the provider's": {"TestAssumeRoleWithSAML_Duration"},
	"ciphertext that is probed": {
		"TestVerify_Encrypted/altered GCM", "TestVerify_Encrypted/altered CBC", "TestVerify_Encrypted/CBC outside of a signature",
		"TestVerify_Encrypted/PKCS#1 v1.5", "TestVerify_Encrypted/3DES", "TestVerify_Encrypted/the wrong key size",
	},
	"plain where it has to be encrypted": {"TestVerify_Encrypted/required and plain"},
	"evil inside of the ciphertext": {
		"TestVerify_Encrypted/an unsigned assertion inside", "TestVerify_Encrypted/a forged assertion inside",
		"TestVerify_Encrypted/an assertion inside of the one inside", "TestVerify_Encrypted/no XML inside",
	},
	"roles that are not offered, or of another account": {
		"TestAssumeRoleWithSAML_Refuses/a role that is not offered", "TestAssumeRoleWithSAML_Refuses/a role offered with another provider",
		"TestAssumeRoleWithSAML_Refuses/a role of another account", "TestAssumeRoleWithSAML_Refuses/a reserved role",
		"TestAssumeRoleWithSAML_Refuses/the attribute's name in another case",
	},
	"instructions that are ambiguous": {
		"TestAssumeRoleWithSAML_Refuses/two session names", "TestAssumeRoleWithSAML_Refuses/a tag with two values", "TestAssumeRoleWithSAML_Refuses/a reserved tag",
		"TestAssumeRoleWithSAML_Refuses/a reserved source identity", "TestVerify_Refuses/an encrypted attribute",
	},
	"metadata that lead elsewhere": {"TestMetadata_Endpoints/a script", "TestMetadata_Endpoints/a name and password", "FuzzParseMetadata"},
	"requests of others":           {"TestIdPs/refuses requests of others"},
	"errors that quote":            {"TestAssumeRoleWithSAML_Refuses", "TestSAML_EndToEnd"},
}

func TestThreats(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	for _, pattern := range []string{"*_test.go", "../../sts/*saml*_test.go", "../samltest/idps/*_test.go", "../../cmd/stint/saml*_test.go", "../../server/saml_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, f := range files {
			if f == "threats_test.go" {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(text)
		}
	}
	for threat, tests := range threats {
		for _, name := range tests {
			function, row, of := strings.Cut(name, "/")
			if _, body, found := strings.Cut(sources.String(), "\nfunc "+function+"("); !found || of && !strings.Contains(body, `"`+row+`"`) {
				t.Errorf("%s: there is no %s", threat, name)
			}
		}
	}
}
