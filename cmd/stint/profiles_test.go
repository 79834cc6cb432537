package main_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/federation/oidctest"
	"github.com/stint-sts/stint/policy"
	"github.com/stint-sts/stint/policy/lint"
)

// profile is tokens of an issuer in their real shape (testdata/federation), and how they are changed.
type profile struct {
	Header map[string]any
	Tokens map[string]map[string]any

	honest  []string     // for each trust policy of the page: the token that it is for
	refused []wrongToken // what goes wrong: the rows of the page's table, and more
}

// wrongToken is a token that is not let in by a trust policy that lets its honest twin in.
type wrongToken struct {
	because string // as in the page's table, or why nobody needs to be told
	policy  int    // of the page
	token   string // other than the honest one
	change  map[string]any
	mangle  func(*profiles, string) string // what is sent instead of the token
	role    string                         // other than that of the policy
	code    string                         // AccessDenied when empty
	text    string                         // of the answer
}

const (
	denied      = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
	invalid     = "InvalidIdentityToken"
	noAudience  = "Incorrect token audience"
	noProvider  = "No OpenIDConnect provider found in your account for "
	noJWT       = "The ID Token provided is not a valid JWT"
	untrusted   = "The provided token is not signed by a trusted key"
	otherClient = "registered-for-somebody-else" // a client that every provider has besides those of its page
)

// expired is the row that every page has.
func expired(because string) wrongToken {
	return wrongToken{because: because, change: map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, code: "ExpiredTokenException", text: "Token expired"}
}

// profileOf is keyed by the name of the page.
var profileOf = map[string]profile{
	"github-actions": {honest: []string{"branch"}, refused: []wrongToken{
		{because: "the job runs for a pull request", token: "pull_request"},
		{because: "the job names an environment", token: "environment"},
		{because: "another branch", change: map[string]any{"sub": "repo:octo-org/octo-repo:ref:refs/heads/x", "ref": "refs/heads/x"}},
		{because: "another repository", change: map[string]any{"sub": "repo:octo-org/other:ref:refs/heads/main", "repository": "octo-org/other", "repository_id": "1"}},
		{because: "the name of the organization belongs to somebody else now", change: map[string]any{"repository_owner_id": "654321", "repository_id": "987654"}},
		{because: "no audience was asked for", change: map[string]any{"aud": "https://github.com/octo-org"}, code: invalid, text: noAudience},
		{because: "the account in the role's ARN is another one", role: "arn:aws:iam::444455556666:role/deploy", code: invalid,
			text: noProvider + "https://token.actions.githubusercontent.com"},
		expired("the token was fetched more than five minutes ago"),
		{because: "(a tag of the branch's name)", change: map[string]any{"sub": "repo:octo-org/octo-repo:ref:refs/tags/main", "ref_type": "tag"}},
		{because: "(an organization in another case)", change: map[string]any{"sub": "repo:Octo-Org/octo-repo:ref:refs/heads/main"}},
		{because: "(an environment whose name ends as a branch; GitHub escapes the colon, and this one would not)",
			change: map[string]any{"sub": "repo:octo-org/octo-repo:environment:x:ref:refs/heads/main"}},
		{because: "(ids of another repository in the new form)", token: "immutable",
			change: map[string]any{"sub": "repo:octo-org@123456/octo-repo@999999:ref:refs/heads/main"}},
	}},
	"gitlab-ci": {honest: []string{"branch"}, refused: []wrongToken{
		{because: "another project", change: map[string]any{"project_path": "my-group/other", "project_id": "21", "sub": "project_path:my-group/other:ref_type:branch:ref:main"}},
		{because: "another branch", change: map[string]any{"ref": "x", "sub": "project_path:my-group/my-project:ref_type:branch:ref:x"}},
		{because: "a tag of the same name", change: map[string]any{"ref_type": "tag", "sub": "project_path:my-group/my-project:ref_type:tag:ref:main"}},
		{because: "the path of the project belongs to somebody else now", change: map[string]any{"project_id": "2020", "namespace_id": "7272"}},
		{because: "`aud` of the job is not the client id", change: map[string]any{"aud": "https://vault.example.com"}, code: invalid, text: noAudience},
		{because: "the token is of another GitLab", change: map[string]any{"iss": "https://gitlab.example.com"}, code: invalid, text: noProvider + "https://gitlab.example.com"},
		{because: "the file ends in a line break", mangle: func(_ *profiles, token string) string { return token + "\n" }, code: invalid, text: noJWT},
		expired("the job runs longer than its time-out said when it began"),
		{because: "(the project's id as a number is the same text, another number is not)", change: map[string]any{"project_id": 21}},
	}},
	"google": {honest: []string{"service account"}, refused: []wrongToken{
		{because: "the client id of the provider is the audience, not the service account's unique id",
			change: map[string]any{"azp": "112010400000000710080", "sub": "112010400000000710080"}, code: invalid, text: noAudience},
		{because: "the token was asked for with another audience", change: map[string]any{"aud": "https://service-uc.a.run.app"}},
		{because: "another service account", change: map[string]any{"azp": otherClient, "sub": "112010400000000710080"}},
		{because: "the account in the role's ARN is another one", role: "arn:aws:iam::444455556666:role/deploy", code: invalid, text: noProvider + "https://accounts.google.com"},
		expired("the file is older than an hour"),
		{because: "(the subject as a number)", change: map[string]any{"sub": 107517467455664443765.0}, code: invalid, text: "A claim of the ID Token provided is not valid"},
		{because: "(a person who signed in to the audience as a client)",
			change: map[string]any{"aud": "107517467455664443765", "azp": nil, "sub": "110169484474386276334"}},
	}},
	"entra-id": {honest: []string{"application, version 2.0", "person in few groups", "managed identity, version 1.0"}, refused: []wrongToken{
		{because: "the token is of version 1.0 and its issuer is not registered",
			change: map[string]any{"iss": "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/", "ver": "1.0", "azp": nil},
			role:   "arn:aws:iam::444455556666:role/deploy", code: invalid, text: noProvider + "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/"},
		{because: "the token is of another tenant",
			change: map[string]any{"iss": "https://login.microsoftonline.com/00000000-1111-4222-8333-444444444444/v2.0", "tid": "00000000-1111-4222-8333-444444444444"},
			code:   invalid, text: noProvider + "https://login.microsoftonline.com/00000000-1111-4222-8333-444444444444/v2.0"},
		{because: "the client id of the provider is the API, not the application that calls",
			change: map[string]any{"azp": "00000000-96e9-4927-91e8-0601d0fc9caa"}, code: invalid, text: noAudience},
		{because: "the token is for Microsoft Graph", mangle: (*profiles).tamper, code: invalid, text: untrusted}, // its header has a nonce that is hashed before it is signed
		{because: "the token is for another API", change: map[string]any{"aud": "00000003-0000-0000-c000-000000000000"}},
		{because: "another application", change: map[string]any{"azp": otherClient, "sub": "11111111-e9c7-4460-a743-29f2956fd429", "oid": "11111111-e9c7-4460-a743-29f2956fd429"}},
		{because: "a person in too many groups", policy: 1, token: "person in too many groups"},
		expired("the file was not renewed"),
		{because: "(the issuer without its slash)", policy: 2, change: map[string]any{"iss": "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47"},
			code: invalid, text: noProvider + "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47"},
		{because: "(another managed identity)", policy: 2, change: map[string]any{"sub": "11111111-e9c7-4460-a743-29f2956fd400"}},
		{because: "(a person in other groups)", policy: 1, change: map[string]any{"groups": []string{"1d2c3b4a-0000-4000-8000-8c5c1b1e4f7e"}}},
		{because: "(a group as text, not list, is still a group; another is not)", policy: 1, change: map[string]any{"groups": "1d2c3b4a-0000-4000-8000-8c5c1b1e4f7e"}},
	}},
	"okta": {honest: []string{"service, access token", "person, ID token"}, refused: []wrongToken{
		{because: "an access token of the organization, which is for Okta alone", code: invalid, text: noJWT,
			mangle: func(p *profiles, _ string) string {
				return p.idp.Key("RS256").Sign(map[string]any{"alg": "RS256", "kid": p.idp.Key("RS256").ID, "typ": "application/okta-internal-at+jwt"},
					[]byte(`{"iss":"https://acme.okta.com","aud":"https://acme.okta.com","sub":"00uid4BxXw6I6TV4m0g3","cid":"0oauaayv6sRMCyL6M0h7"}`))
			}},
		{because: "the token is of another authorization server", change: map[string]any{"iss": "https://acme.okta.com/oauth2/default"}, code: invalid,
			text: noProvider + "https://acme.okta.com/oauth2/default"},
		{because: "the audience of the authorization server is not the client id of the provider", change: map[string]any{"aud": "api://default"}, code: invalid, text: noAudience},
		{because: "another service", change: map[string]any{"sub": "0oaother", "cid": "0oaother"}},
		{because: "a person without the group", policy: 1, change: map[string]any{"groups": []string{"Everyone"}}},
		expired("the file was not renewed"),
		{because: "(a person's token at the role of the service)", token: "person, ID token"},
		{because: "(groups that are missing)", policy: 1, change: map[string]any{"groups": nil}},
		{because: "(groups in another case)", policy: 1, change: map[string]any{"groups": []string{"Deployers"}}},
	}},
	"keycloak": {honest: []string{"service account"}, refused: []wrongToken{
		{because: "the client id of the provider is the audience, not the client that asked", change: map[string]any{"azp": "another"}, code: invalid, text: noAudience},
		{because: "Keycloak calls itself by an inner name", change: map[string]any{"iss": "http://keycloak:8080/realms/main"}, code: invalid,
			text: noProvider + "the issuer of the token"}, // not a URL that an issuer may have, so it is not repeated
		{because: "another realm", change: map[string]any{"iss": "https://keycloak.example.com/realms/test"}, code: invalid, text: noProvider + "https://keycloak.example.com/realms/test"},
		{because: "the mapper of type Audience is missing", change: map[string]any{"aud": "account"}},
		{because: "another client, which is registered for another role", change: map[string]any{"azp": otherClient, "sub": "11111111-bf92-4c8f-a3ff-4972b4f2bc5b"}},
		{because: "the client scope `basic` is not assigned", change: map[string]any{"sub": nil}, code: invalid, text: "Missing a required claim: sub"},
		expired("access tokens of the realm live for a minute"),
		{because: "(a realm whose name begins with the registered one)", change: map[string]any{"iss": "https://keycloak.example.com/realms/main2"}, code: invalid,
			text: noProvider + "https://keycloak.example.com/realms/main2"},
		{because: "(an offline token, which is for Keycloak alone, is signed by a symmetric key)", code: invalid, text: noJWT,
			mangle: func(p *profiles, token string) string {
				_, rest, _ := strings.Cut(token, ".")
				return "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9." + rest
			}},
	}},
	"dex": {honest: []string{"person", "from another client"}, refused: []wrongToken{
		{because: "the token is for a client that is not registered", change: map[string]any{"aud": "kubernetes"}, code: invalid, text: noAudience},
		{because: "`issuer` of Dex is written otherwise", change: map[string]any{"iss": "https://dex.example.com"}, code: invalid, text: noProvider + "https://dex.example.com"},
		{because: "the scope `federated:id` was not asked for", change: map[string]any{"federated_claims": nil}},
		{because: "the same user id at another connector", change: map[string]any{"federated_claims": map[string]any{"connector_id": "ldap", "user_id": "2342749"}}},
		{because: "another user", change: map[string]any{"federated_claims": map[string]any{"connector_id": "github", "user_id": "1"}}},
		expired("the file was not renewed"),
		{because: "(one client's token where the other's is asked for)", token: "from another client"},
		{because: "(the other client, for somebody else)", policy: 1, change: map[string]any{"aud": []string{"grafana", "web-app"}}},
	}},
	"spiffe": {honest: []string{"workload"}, refused: []wrongToken{
		{because: "`jwt_issuer` is not set", change: map[string]any{"iss": nil}, code: invalid, text: "Missing a required claim: iss"},
		{because: "the issuer leaves `iat` out", change: map[string]any{"iat": nil}, code: invalid, text: "Missing a required claim: iat"},
		{because: "the token was fetched for another audience", change: map[string]any{"aud": []string{"spiffe://example.org/reports"}}, code: invalid, text: noAudience},
		{because: "the token is signed by PS256", code: invalid, text: noJWT,
			mangle: func(p *profiles, token string) string {
				_, rest, _ := strings.Cut(token, ".")
				return "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9." + rest
			}},
		{because: "SPIRE rotated its keys and the file is old", code: invalid, text: untrusted,
			mangle: func(p *profiles, _ string) string {
				return oidctest.NewKey("ES256", "new").Token(p.moved(p.page.Tokens["workload"]))
			}},
		{because: "another workload", change: map[string]any{"sub": "spiffe://example.org/ns/production/sa/web2"}},
		{because: "another trust domain behind the same issuer", change: map[string]any{"sub": "spiffe://example.com/ns/production/sa/web"}},
		expired("JWT-SVIDs live for five minutes"),
	}},
	"kubernetes": {honest: []string{"pod"}, refused: []wrongToken{
		{because: "another namespace", change: map[string]any{"sub": "system:serviceaccount:staging:web", "kubernetes.io": map[string]any{
			"namespace": "staging", "serviceaccount": map[string]any{"name": "web", "uid": "e6a8680e-d103-4cce-80ea-03acbbeacf7d"}}}},
		{because: "another ServiceAccount", change: map[string]any{"sub": "system:serviceaccount:production:other", "kubernetes.io": map[string]any{
			"namespace": "production", "serviceaccount": map[string]any{"name": "other", "uid": "11111111-d103-4cce-80ea-03acbbeacf7d"}}}},
		{because: "the token is the one that every pod has for the API server", change: map[string]any{"aud": []string{"https://kubernetes.default.svc.cluster.local"}},
			code: invalid, text: noAudience},
		{because: "the cluster has another issuer", change: map[string]any{"iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"}, code: invalid,
			text: noProvider + "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"},
		{because: "the cluster has new keys, or it is another cluster of the same name", code: invalid, text: untrusted,
			mangle: func(p *profiles, _ string) string {
				return oidctest.NewKey("ES256", "new").Token(p.moved(p.page.Tokens["pod"]))
			}},
		expired("the token was copied, so the kubelet does not renew it"),
		{because: "(a token of a Secret, of the old kind)", change: map[string]any{"iss": "kubernetes/serviceaccount", "aud": nil, "exp": nil, "iat": nil},
			code: invalid, text: noProvider},
	}},
}

// page is what a page of docs/federation says.
type page struct {
	profile
	name       string
	providers  map[string][]string // issuer: client ids
	policies   []string
	conditions []string            // of the table: members of a Condition element
	answers    map[string][]string // because: code and text
}

var (
	createProvider = regexp.MustCompile(`(?m)^    aws iam create-open-id-connect-provider --url (\S+) --client-id-list ((?:\S+ ?)+)$`)
	policyBlock    = regexp.MustCompile("(?s)```json\n(.*?)```")
	conditionRow   = regexp.MustCompile("(?m)^\\| [^|]+ \\| `(\".*\": .*)` \\|$")
	answerRow      = regexp.MustCompile("(?m)^\\| `(\\w+)`: ([^|]+) \\| ([^|]+) \\| [^|]+ \\|$")
)

func readPage(t *testing.T, name, text string, p profile) *page {
	t.Helper()
	pg := &page{profile: p, name: name, providers: make(map[string][]string), answers: make(map[string][]string)}
	for _, m := range createProvider.FindAllStringSubmatch(text, -1) {
		pg.providers[m[1]] = strings.Fields(m[2])
	}
	for _, m := range policyBlock.FindAllStringSubmatch(text, -1) {
		pg.policies = append(pg.policies, m[1])
	}
	for _, m := range conditionRow.FindAllStringSubmatch(text, -1) {
		pg.conditions = append(pg.conditions, m[1])
	}
	for _, m := range answerRow.FindAllStringSubmatch(text, -1) {
		pg.answers[m[3]] = []string{m[1], m[2]}
	}
	if len(pg.providers) == 0 || len(pg.policies) == 0 || len(pg.policies) != len(p.honest) {
		t.Fatalf("%s has %d provider commands and %d trust policies; the test has %d honest tokens", name, len(pg.providers), len(pg.policies), len(p.honest))
	}
	raw, err := os.ReadFile(filepath.Join("testdata", "federation", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &pg.profile); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return pg
}

// profiles is a node whose issuers are all those of the pages, by their own names: their keys are uploaded.
type profiles struct {
	*webWorld
	page  *page
	roles int
}

// pagesOfProfiles are the pages of docs/federation that are about an issuer.
func pagesOfProfiles(t *testing.T) []*page {
	t.Helper()
	general := []string{"oidc", "outbound", "saml"}
	paths, err := filepath.Glob(filepath.Join("..", "..", "docs", "federation", "*.md"))
	if err != nil || len(paths) < len(general)+len(profileOf) {
		t.Fatalf("pages: %v, %v", paths, err)
	}
	var pages []*page
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if p, known := profileOf[name]; known {
			pages = append(pages, readPage(t, name, string(text), p))
			continue
		}
		for _, m := range policyBlock.FindAllStringSubmatch(string(text), -1) {
			if findings := lint.Check(policy.Trust, m[1]); strings.Contains(m[1], `"Principal"`) && len(findings) != 0 {
				t.Errorf("%s: lint finds %+v in\n%s", name, findings, m[1])
			}
		}
	}
	return pages
}

// Tokens in the shape in which the issuers make them get in by the trust policies of docs/federation, and what the pages say goes
// wrong does, with the answer that they print.
func TestProfiles(t *testing.T) {
	t.Parallel()
	pages := pagesOfProfiles(t)
	idp := oidctest.New(t)
	dir := t.TempDir()
	keys, config := filepath.Join(dir, "keys.json"), filepath.Join(dir, "stint.yaml")
	write(t, keys, string(idp.KeySet()))
	var files strings.Builder
	for _, pg := range pages {
		for issuer := range pg.providers {
			fmt.Fprintf(&files, "    - %q\n", issuer+"="+keys)
		}
	}
	write(t, config, "oidc:\n  key-files:\n"+files.String())
	w := newWebWorld(t, "--config", config)
	w.idp = idp
	for _, pg := range pages {
		t.Run(pg.name, func(t *testing.T) {
			p := &profiles{webWorld: w, page: pg}
			for issuer, clients := range pg.providers {
				w.root.must(w.root.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer, ClientIDList: append(clients, otherClient)}))
			}
			var roles []string
			for i, text := range pg.policies {
				roles = append(roles, p.role(t, text))
				if err := w.assume(p.token(pg.Tokens[pg.honest[i]]), roles[i]); err != nil {
					t.Fatalf("policy %d, %s: %v", i, pg.honest[i], err)
				}
			}
			p.answers(t, roles)
			for i, text := range pg.policies {
				p.conditionsBite(t, text, text, []string{pg.honest[i]})
			}
			for _, condition := range pg.conditions {
				p.condition(t, condition)
			}
			if err := w.assume(p.token(pg.Tokens[pg.honest[0]]), roles[0]); err != nil {
				t.Errorf("in the end: %v", err)
			}
		})
	}
}

// role makes a role with the trust policy, which lint has nothing to say about.
func (p *profiles) role(t *testing.T, trust string) string {
	t.Helper()
	if findings := lint.Check(policy.Trust, trust); len(findings) != 0 {
		t.Errorf("lint finds %+v in\n%s", findings, trust)
	}
	p.roles++
	return p.root.role(fmt.Sprintf("%s-%d", p.page.name, p.roles), trust)
}

// answers tries what goes wrong, and compares it with the table of the page.
func (p *profiles) answers(t *testing.T, roles []string) {
	t.Helper()
	left := maps.Clone(p.page.answers)
	for _, row := range p.page.refused {
		role, token := roles[row.policy], p.page.Tokens[p.page.honest[row.policy]]
		if row.role != "" {
			role = row.role
		}
		if row.token != "" {
			token = p.page.Tokens[row.token]
		}
		if token == nil {
			t.Fatalf("no token %q", row.token)
		}
		if row.code == "" {
			row.code, row.text = "AccessDenied", denied
		}
		sent := p.token(changed(p.moved(token), row.change))
		if row.mangle != nil {
			sent = row.mangle(p, sent)
		}
		err := p.assume(sent, role)
		if err == nil {
			t.Errorf("%s: let in", row.because)
			continue
		}
		wantCode(t, err, row.code, row.text)
		if strings.HasPrefix(row.because, "(") {
			continue
		}
		if want := []string{row.code, row.text}; !slices.Equal(left[row.because], want) {
			t.Errorf("the page says %q of %q, and it is %q", left[row.because], row.because, want)
		}
		delete(left, row.because)
	}
	for because := range left {
		t.Errorf("nobody tried %q", because)
	}
}

// condition adds a condition of the page's table to each policy that it is for, and finds a token that it lets in.
func (p *profiles) condition(t *testing.T, fragment string) {
	t.Helper()
	var add map[string]map[string]any
	if err := json.Unmarshal([]byte("{"+fragment+"}"), &add); err != nil {
		t.Fatalf("%s: %v", fragment, err)
	}
	for _, text := range p.page.policies {
		var document map[string]any
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		statement := document["Statement"].([]any)[0].(map[string]any)
		_, issuer, _ := strings.Cut(statement["Principal"].(map[string]any)["Federated"].(string), ":oidc-provider/")
		if !strings.Contains(fragment, `"`+issuer+":") {
			continue
		}
		conditions := statement["Condition"].(map[string]any)
		for operator, keys := range add {
			for key := range keys { // it stands in place of what the policy says about the same claim
				for _, of := range conditions {
					delete(of.(map[string]any), key)
				}
			}
			if conditions[operator] == nil {
				conditions[operator] = make(map[string]any)
			}
			maps.Copy(conditions[operator].(map[string]any), keys)
		}
		maps.DeleteFunc(conditions, func(_ string, of any) bool { return len(of.(map[string]any)) == 0 })
		whole, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		if p.conditionsBite(t, string(whole), "{"+fragment+"}", slices.Sorted(maps.Keys(p.page.Tokens))) {
			return
		}
	}
	t.Errorf("no token is let in by %s", fragment)
}

// conditionsBite tries the trust policy with the tokens, and, with one that is let in, changes and removes each claim that fragment
// asks for: it is let in no more.
func (p *profiles) conditionsBite(t *testing.T, trust, fragment string, tokens []string) bool {
	t.Helper()
	role := p.role(t, trust)
	keys := conditionKey.FindAllStringSubmatch(fragment, -1)
	if len(keys) == 0 {
		t.Fatalf("no condition key in %s", fragment)
	}
	for _, name := range tokens {
		claims := p.moved(p.page.Tokens[name])
		if p.assume(p.token(claims), role) != nil {
			continue
		}
		for _, m := range keys {
			path := m[1]
			switch {
			case path == "aud" && claims["azp"] != nil:
				path = "azp"
			case path == "oaud":
				path = "aud"
			}
			for _, value := range []any{otherClient, nil} {
				wrong := replaced(claims, path, value)
				if wrong == nil {
					t.Fatalf("%s: the token has no claim %s", fragment, path)
				}
				if p.assume(p.token(wrong), role) == nil {
					t.Errorf("%s: let in with %s %v", fragment, path, value)
				}
			}
		}
		return true
	}
	return false
}

// conditionKey finds the claim in condition keys.
var conditionKey = regexp.MustCompile(`"[a-z0-9.-]+\.[a-z]+(?:/[^":]*)?:([^"]+)"\s*:`)

// replaced returns the claims with the one of the path, whose parts are after slashes, replaced, or removed for nil; nil when there is
// none.
func replaced(claims map[string]any, path string, value any) map[string]any {
	out := maps.Clone(claims)
	if _, ok := claims[path]; ok {
		if out[path] = value; value == nil {
			delete(out, path)
		}
		return out
	}
	for name, member := range claims {
		rest, ok := strings.CutPrefix(path, name+"/")
		if object, isObject := member.(map[string]any); ok && isObject {
			if inner := replaced(object, rest, value); inner != nil {
				out[name] = inner
				return out
			}
		}
	}
	return nil
}

// changed returns the claims with changes; nil removes one.
func changed(claims, change map[string]any) map[string]any {
	out := maps.Clone(claims)
	maps.Copy(out, change)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == nil })
	return out
}

// moved returns the claims as of a token that is issued now and lives as long as the real one.
func (p *profiles) moved(claims map[string]any) map[string]any {
	out := maps.Clone(claims)
	issued, ok := claims["iat"].(float64)
	if by := float64(time.Now().Unix()) - issued; ok {
		for _, name := range []string{"iat", "nbf", "exp"} {
			if at, ok := claims[name].(float64); ok {
				out[name] = int64(at + by)
			}
		}
	}
	return out
}

// token signs claims under the header that the issuer writes. Times that were not moved are.
func (p *profiles) token(claims map[string]any) string {
	header := maps.Clone(p.page.Header)
	key := p.idp.Key(header["alg"].(string))
	header["kid"] = key.ID
	if _, ok := claims["iat"].(float64); ok {
		claims = p.moved(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return key.Sign(header, payload)
}

// tamper changes the header after the token was signed.
func (p *profiles) tamper(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	header := fmt.Sprintf(`{"alg":"RS256","typ":"JWT","kid":%q,"nonce":"x"}`, p.idp.Key("RS256").ID)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}
