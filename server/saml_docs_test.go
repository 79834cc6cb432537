package server_test

import (
	"crypto/rsa"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/federation/samltest"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/policy/lint"
)

// samlMistake is what somebody sets up wrongly, as the pages of docs/federation name it.
type samlMistake struct {
	response func(*samltest.Response)
	idp      *samltest.IdP // that signs; nil: the registered one
	provider string        // name; "": corp
	metadata string        // that CreateSAMLProvider is given, instead of a response
}

func samlMistakes(t *testing.T, idp *samltest.IdP) map[string]samlMistake {
	t.Helper()
	key, _ := samltest.EncryptionKey(t)
	change := func(f func(*samltest.Response)) samlMistake { return samlMistake{response: f} }
	set := func(name string, values ...string) samlMistake {
		return change(func(r *samltest.Response) { r.Attributes[samltest.AttributePrefix+name] = values })
	}
	edit := func(old, with string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, old, with) }
	}
	entities := `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">` +
		strings.Replace(idp.Metadata(), `<?xml version="1.0" encoding="UTF-8"?>`, "", 1) + `</md:EntitiesDescriptor>`
	return map[string]samlMistake{
		"another audience":                  change(func(r *samltest.Response) { r.Audiences = []string{"urn:other"} }),
		"another recipient":                 change(func(r *samltest.Response) { r.Recipient = "https://other.example.com/saml/acs" }),
		"another issuer":                    change(func(r *samltest.Response) { r.Issuer, r.ResponseIssuer = "urn:other", "urn:other" }),
		"a key that is not in the metadata": {idp: samltest.With(t, idp.EntityID, samltest.New(t, "next").Key)},
		"SHA-1":                             change(func(r *samltest.Response) { r.SignatureMethod = samltest.RSASHA1 }),
		"no signature":                      change(func(r *samltest.Response) { r.SignAssertion = false }),
		"inclusive canonicalization": change(func(r *samltest.Response) {
			r.EditSignature = edit("http://www.w3.org/2001/10/xml-exc-c14n#", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315")
		}),
		"no session name":                           set("RoleSessionName"),
		"a session name with other characters":      set("RoleSessionName", "Alice Smith"),
		"an attribute with two values":              set("RoleSessionName", "alice", "bob"),
		"a role that is not offered":                set("Role", worker+","+corp),
		"tags that the trust policy does not allow": set("PrincipalTag:Team", "blue"),
		"no NameID": change(func(r *samltest.Response) { r.NameID = "" }),
		"no AuthnStatement": change(func(r *samltest.Response) {
			r.EditAssertion = func(s string) string {
				from, to := strings.Index(s, "<saml:AuthnStatement"), strings.Index(s, "<saml:AttributeStatement>")
				return s[:from] + s[to:]
			}
		}),
		"AES-CBC in a response that is not signed": change(func(r *samltest.Response) {
			r.Encrypt = &samltest.Encryption{Cipher: "aes256-cbc", To: &key.PublicKey}
		}),
		"encrypted to another key": change(func(r *samltest.Response) {
			r.Encrypt = &samltest.Encryption{Cipher: "aes256-gcm", To: samltest.New(t, "another").Key.Public().(*rsa.PublicKey)}
		}),
		"a plain assertion where one has to be encrypted": {provider: "required"},
		"a clock that is ahead":                           change(func(r *samltest.Response) { r.IssueInstant = time.Now().Add(4 * time.Minute) }),
		"more than five minutes":                          change(func(r *samltest.Response) { r.IssueInstant = time.Now().Add(-6 * time.Minute) }),
		"a sign-in that failed":                           change(func(r *samltest.Response) { r.Status = "urn:oasis:names:tc:SAML:2.0:status:Responder" }),
		"metadata with a byte order mark":                 {metadata: "\ufeff" + idp.Metadata()},
		"metadata of several entities":                    {metadata: entities},
	}
}

var answerRow = regexp.MustCompile("(?m)^\\| `(\\w+)`: ([^|]+) \\| ([^|]+) \\| [^|]+ \\|$")

// The pages about identity providers print trust policies without fault, and for each mistake the answer that it gets.
func TestSAML_Pages(t *testing.T) {
	t.Parallel()
	n := serve(t, nil)
	idp := samltest.New(t, "https://idp.example.com")
	_, key := samltest.EncryptionKey(t)
	n.iam("CreateSAMLProvider", "Name", "corp", "SAMLMetadataDocument", idp.Metadata(), "AddPrivateKey", key)
	n.iam("CreateSAMLProvider", "Name", "required", "SAMLMetadataDocument", idp.Metadata(), "AddPrivateKey", key, "AssertionEncryptionMode", "Required")
	n.iam("CreateRole", "RoleName", "people", "AssumeRolePolicyDocument", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Principal":{"Federated":"`+corp+`"},"Action":"sts:AssumeRoleWithSAML"}}`)
	answer := func(m samlMistake) answer {
		if m.metadata != "" {
			return n.send(request{service: "iam", sign: true, body: query(iamVersion, "CreateSAMLProvider", "Name", "other", "SAMLMetadataDocument", m.metadata)})
		}
		provider := strings.TrimSuffix(corp, "corp") + m.provider
		if m.provider == "" {
			provider = corp
		}
		r := idp.Good(time.Now(), "http://"+n.at.HTTP+"/saml/acs")
		r.Attributes[samltest.AttributePrefix+"Role"] = []string{peopleOf + "," + provider}
		if m.response != nil {
			m.response(r)
		}
		signer := idp
		if m.idp != nil {
			signer = m.idp
		}
		return n.send(request{body: query(stsVersion, "AssumeRoleWithSAML", "RoleArn", peopleOf, "PrincipalArn", provider, "SAMLAssertion", signer.Encode(t, r))})
	}
	if got := answer(samlMistake{}); got.StatusCode != http.StatusOK {
		t.Fatalf("without a mistake: %s", got.body)
	}
	answers := make(map[string][2]string)
	for name, m := range samlMistakes(t, idp) {
		got := answer(m)
		answers[name] = [2]string{got.element("Code"), got.element("Message")}
	}

	pages, err := filepath.Glob(filepath.Join("..", "docs", "federation", "saml-*.md"))
	if err != nil || len(pages) < 7 {
		t.Fatalf("pages: %v, %v", pages, err)
	}
	printed := make(map[string]bool)
	for _, path := range pages {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		rows := answerRow.FindAllStringSubmatch(string(text), -1)
		if len(rows) < 8 {
			t.Errorf("%s has %d answers", name, len(rows))
		}
		for _, row := range rows {
			printed[row[3]] = true
			if got, known := answers[row[3]]; !known || got != [2]string{row[1], row[2]} {
				t.Errorf("%s: %s is answered %s: %s", name, row[3], got[0], got[1])
			}
		}
		_, rest, found := strings.Cut(string(text), "```json\n")
		document, _, _ := strings.Cut(rest, "```")
		if findings := lint.Check(policy.Trust, document); !found || len(findings) > 0 {
			t.Errorf("%s: its trust policy has %+v", name, findings)
		}
	}
	for name := range answers {
		if !printed[name] {
			t.Errorf("no page tells of %s", name)
		}
	}
}
