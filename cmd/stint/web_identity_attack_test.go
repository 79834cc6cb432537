package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/federation/oidctest"
)

// The attacks on web identity tokens by class, through the public surface. What a class has in full is tested beside the code:
//
//	1 algorithm   TestVerify_Algorithms, TestVerify_Attacks (federation/oidc)
//	2 header      TestVerify_Attacks
//	3 encoding    TestVerify_Attacks, FuzzParse, TestParseObject_Refuses
//	4 claims      TestVerify_Claims, TestClaims_Keys
//	5 keys        TestParseKeySet_Keys, …_Documents, …_TooMany, TestVerify_KeyChoice; withdrawn ones: TestKeys_Cache (federation/fetch)
//	6 fetching    TestKeys_Refuses, …_IssuerDown, …_SlowIssuer, …_BoundsWaiters, TestClient_Addresses, …_RefusesURLs, TestGuard
//	7 trust       TestAssumeRoleWithWebIdentity_Trust, …_Refuses (sts), TestIssuers
//
// A token is no one-time secret, on AWS neither: whoever holds it may use it until it ends.

// attacked is a role behind an issuer of its own, to which an attack is made.
type attacked struct {
	*webWorld
	t *testing.T
}

// behind registers an issuer, and returns a role that trusts its subject "deploy".
func (a *attacked) behind(idp *oidctest.IdP) string {
	a.t.Helper()
	a.root.must(a.root.iam.CreateOpenIDConnectProvider(a.t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &idp.URL, ClientIDList: []string{webAudience}}))
	issuer := strings.TrimPrefix(idp.URL, "http://")
	return a.root.role("r"+issuer[strings.LastIndexByte(issuer, ':')+1:], `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/`+
		issuer+`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+issuer+`:aud":"`+webAudience+`","`+issuer+`:sub":"deploy"}}}]}`)
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func asJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// Classes 1 to 4 and 7: what is wrong with the token. The honest twin is the token that each was made from.
func TestWebIdentity_AttacksByToken(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t)
	var asked atomic.Int32
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(canary.Close)

	key, stranger := w.idp.Key("RS256"), oidctest.NewKey("RS256", "stranger")
	claims := w.idp.Claims(webAudience, "deploy", time.Now())
	payload := asJSON(claims)
	header := func(name string, value any) map[string]any {
		return map[string]any{"alg": "RS256", "kid": key.ID, "typ": "JWT", name: value}
	}
	with := func(name string, value any) string { return w.token("RS256", map[string]any{name: value}) }
	honest := key.Token(claims)
	if err := w.assume(honest, w.role); err != nil {
		t.Fatalf("the honest token: %v", err)
	}
	parts := strings.Split(honest, ".")
	public, err := x509.MarshalPKIXPublicKey(key.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	hs := encoded(asJSON(header("alg", "HS256"))) + "." + parts[1]
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(hs))

	for name, row := range map[string]struct{ token, code, text string }{
		"1 none":                            {encoded([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", invalid, noJWT},
		"1 nOnE with a signature":           {encoded([]byte(`{"alg":"nOnE"}`)) + "." + parts[1] + "." + parts[2], invalid, noJWT},
		"1 HS256 under the public key":      {hs + "." + encoded(mac.Sum(nil)), invalid, noJWT},
		"1 PS256":                           {key.Sign(header("alg", "PS256"), payload), invalid, noJWT},
		"1 EdDSA":                           {key.Sign(header("alg", "EdDSA"), payload), invalid, noJWT},
		"1 the key of another algorithm":    {key.Sign(header("kid", w.idp.Key("ES256").ID), payload), invalid, untrusted},
		"1 another hash":                    {key.Sign(header("alg", "RS512"), payload), invalid, untrusted},
		"2 key id as a path":                {stranger.Sign(header("kid", "../../../../dev/null"), payload), invalid, untrusted},
		"2 key id as a query":               {stranger.Sign(header("kid", "x' UNION SELECT 'key"), payload), invalid, untrusted},
		"2 key id as a URL":                 {stranger.Sign(header("kid", canary.URL), payload), invalid, untrusted},
		"2 jku":                             {stranger.Sign(header("jku", canary.URL), payload), invalid, noJWT},
		"2 x5u":                             {stranger.Sign(header("x5u", canary.URL), payload), invalid, noJWT},
		"2 jwk":                             {stranger.Sign(header("jwk", stranger.JWK()), payload), invalid, noJWT},
		"2 crit":                            {key.Sign(header("crit", []string{"x"}), payload), invalid, noJWT},
		"2 nested":                          {key.Sign(header("cty", "JWT"), payload), invalid, noJWT},
		"2 an access token":                 {key.Sign(header("typ", "at+jwt"), payload), invalid, noJWT},
		"2 encrypted":                       {honest + "." + parts[1] + "." + parts[2], invalid, noJWT},
		"2 a member twice":                  {key.SignRaw([]byte(`{"alg":"none","alg":"RS256","kid":"`+key.ID+`"}`), payload), invalid, noJWT},
		"3 padding":                         {honest + "==", invalid, noJWT},
		"3 a line break":                    {honest + "\n", invalid, noJWT},
		"3 blanks":                          {" " + honest, invalid, noJWT},
		"3 four parts":                      {honest + ".", invalid, noJWT},
		"3 longer than AWS takes":           {honest + strings.Repeat("A", 20_000), "ValidationError", "length less than or equal to 20000"},
		"3 no UTF-8":                        {key.SignRaw(asJSON(header("typ", "JWT")), []byte(strings.Replace(string(payload), "deploy", "dep\xffloy", 1))), invalid, noJWT},
		"3 nested too deep":                 {key.SignRaw(asJSON(header("typ", "JWT")), []byte(`{"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,`+string(payload[1:]))), invalid, noJWT},
		"3 a claim twice":                   {key.SignRaw(asJSON(header("typ", "JWT")), []byte(`{"sub":"admin",`+string(payload[1:]))), invalid, noJWT},
		"3 another subject, same signature": {parts[0] + "." + encoded([]byte(strings.Replace(string(payload), "deploy", "admin", 1))) + "." + parts[2], invalid, untrusted},
		"4 a slash behind the issuer":       {with("iss", w.idp.URL+"/"), invalid, noProvider},
		"4 the issuer's host in capitals":   {with("iss", strings.Replace(w.idp.URL, "http", "HTTP", 1)), invalid, noProvider},
		"4 an audience that begins so":      {with("aud", webAudience+".evil.example"), invalid, noAudience},
		"4 azp of somebody else":            {with("azp", "else"), invalid, noAudience},
		"4 no subject":                      {with("sub", ""), invalid, "A claim of the ID Token provided is not valid"},
		"4 SUB beside sub":                  {with("SUB", "deploy"), invalid, "A claim of the ID Token provided is not valid"},
		"4 SUB instead of sub":              {key.Token(map[string]any{"iss": w.idp.URL, "aud": webAudience, "SUB": "deploy", "iat": claims["iat"], "exp": claims["exp"]}), invalid, "Missing a required claim: sub"},
		"4 no end":                          {key.Token(map[string]any{"iss": w.idp.URL, "aud": webAudience, "sub": "deploy", "iat": claims["iat"]}), invalid, "Missing a required claim: exp"},
		"4 an end as text":                  {with("exp", "9999999999"), invalid, "A claim of the ID Token provided is not valid"},
		"4 an end beyond all bounds":        {with("exp", json.RawMessage("1e400")), invalid, "A claim of the ID Token provided is not valid"},
		"4 issued in the future":            {with("iat", time.Now().Add(10*time.Minute).Unix()), invalid, "not valid yet"},
		"4 begins in the future":            {with("nbf", time.Now().Add(10*time.Minute).Unix()), invalid, "not valid yet"},
		"4 over":                            {with("exp", time.Now().Add(-time.Second).Unix()), "ExpiredTokenException", "Token expired"},
		"4 a claim called as a key of AWS":  {w.token("RS256", map[string]any{"sub": "x", "aws:PrincipalArn": "arn:aws:iam::111122223333:root", "aws:userid": "deploy"}), "AccessDenied", denied},
		"4 a claim called as another port's subject": {w.token("RS256", map[string]any{"sub": "x", strings.TrimPrefix(w.idp.URL, "http://127.0.0.1:") + ":sub": "deploy"}), "AccessDenied", denied},
		"7 an issuer that nobody registered":         {stranger.Token(map[string]any{"iss": canary.URL, "aud": webAudience, "sub": "deploy", "iat": claims["iat"], "exp": claims["exp"]}), invalid, noProvider + canary.URL},
		"7 stint's own issuer":                       {with("iss", w.url+"/oidc/6f2f0e0e-0000-4000-8000-000000000000"), invalid, noProvider},
	} {
		if err := w.assume(row.token, w.role); err == nil {
			t.Errorf("%s: let in", name)
		} else {
			wantCode(t, err, row.code, row.text)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the attacker's server was asked %d times", n)
	}
	if err := w.assume(honest, w.role); err != nil {
		t.Errorf("the honest token in the end: %v", err)
	}
	if listed := must(t, "session", "list", "--data-dir", w.dir, "--output", "json"); strings.Count(listed, `"access_key_id"`) != 2 {
		t.Errorf("sessions of others than the honest token: %s", listed)
	}
}

// Class 7 between accounts: two have registered one issuer, each for a client of its own. Neither's tokens, providers and roles are good
// for the other.
func TestWebIdentity_AttacksAcrossAccounts(t *testing.T) {
	t.Parallel()
	w := newWebWorld(t)
	raw := must(t, "account", "create", "--data-dir", w.dir, "--id", "444455556666", "--name", "other", "--output", "json")
	var key struct {
		AccessKeyID     string `json:"access_key_id"`
		SecretAccessKey string `json:"secret_access_key"`
	}
	if err := json.Unmarshal([]byte(raw), &key); err != nil {
		t.Fatal(err)
	}
	other := w.client(key.AccessKeyID, key.SecretAccessKey, "")
	other.must(other.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &w.idp.URL, ClientIDList: []string{"other"}}))
	trusts := func(c *client, name, account string) string {
		issuer := strings.TrimPrefix(w.idp.URL, "http://")
		return c.role(name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::`+account+`:oidc-provider/`+issuer+
			`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+issuer+`:sub":"deploy"}}}]}`)
	}
	theirs, mixed := trusts(other, "deploy", "444455556666"), trusts(w.root, "mixed", "444455556666")
	ours, forThem := w.token("ES256", nil), w.token("ES256", map[string]any{"aud": "other"})
	for name, err := range map[string]error{"our token, our role": w.assume(ours, w.role), "their token, their role": w.assume(forThem, theirs)} {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	wantCode(t, w.assume(ours, theirs), invalid, noAudience)
	wantCode(t, w.assume(forThem, w.role), invalid, noAudience)
	// The role of ours that names their provider takes neither: a token is verified for the provider of the role's own account.
	wantCode(t, w.assume(ours, mixed), "AccessDenied", denied)
	wantCode(t, w.assume(forThem, mixed), invalid, noAudience)
	// A role for all AWS principals is none for whoever holds a token, nor is an account's.
	for name, principal := range map[string]string{"everyone": `"*"`, "account": `"arn:aws:iam::111122223333:root"`} {
		role := w.root.role(name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":`+principal+`},"Action":["sts:AssumeRole","sts:AssumeRoleWithWebIdentity"]}]}`)
		wantCode(t, w.assume(ours, role), "AccessDenied", denied)
	}
}

// Classes 5 and 6: what is wrong with the issuer. Each has an honest twin that differs in the trick only.
func TestWebIdentity_AttacksByIssuer(t *testing.T) {
	t.Parallel()
	a := &attacked{newWebWorld(t), t}
	var asked atomic.Int32
	canary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1) }))
	t.Cleanup(canary.Close)
	answer := func(path, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == path {
				_, _ = w.Write([]byte(body))
			}
			return r.URL.Path == path
		}
	}
	redirect := func(path string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == path {
				http.Redirect(w, r, canary.URL, http.StatusFound)
			}
			return r.URL.Path == path
		}
	}
	const cannot = "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements"
	for name, row := range map[string]struct {
		trick      func(*oidctest.IdP)
		code, text string // empty: let in all the same
	}{
		"5 a private key": {func(p *oidctest.IdP) {
			jwk := p.Key("RS256").JWK()
			jwk["d"] = "AAAA"
			p.Publish(jwk)
		}, invalid, cannot},
		"5 a symmetric key beside":       {func(p *oidctest.IdP) { p.Publish(p.Key("RS256").JWK(), map[string]any{"kty": "oct", "k": "AAAA"}) }, invalid, cannot},
		"5 a key that is for encryption": {func(p *oidctest.IdP) { jwk := p.Key("RS256").JWK(); jwk["use"] = "enc"; p.Publish(jwk) }, invalid, cannot},
		"5 an even exponent":             {func(p *oidctest.IdP) { jwk := p.Key("RS256").JWK(); jwk["e"] = "AQAA"; p.Publish(jwk) }, invalid, cannot},
		"5 a short modulus":              {func(p *oidctest.IdP) { jwk := p.Key("RS256").JWK(); jwk["n"] = jwk["n"].(string)[:170]; p.Publish(jwk) }, invalid, cannot},
		"5 another key of the same id": {func(p *oidctest.IdP) {
			other := oidctest.NewKey("RS256", p.Key("RS256").ID)
			p.Publish(other.JWK())
		}, invalid, untrusted},
		"5 two keys of one id are tried in order": {func(p *oidctest.IdP) {
			p.Publish(oidctest.NewKey("RS256", p.Key("RS256").ID).JWK(), p.Key("RS256").JWK())
		}, "", ""},
		"6 discovery redirects": {func(p *oidctest.IdP) { p.Intercept(redirect(oidctest.DiscoveryPath)) }, invalid, cannot},
		"6 keys redirect":       {func(p *oidctest.IdP) { p.Intercept(redirect(oidctest.KeysPath)) }, invalid, cannot},
		"6 discovery of another issuer": {func(p *oidctest.IdP) {
			p.Intercept(answer(oidctest.DiscoveryPath, `{"issuer":"https://idp.example.com","jwks_uri":"`+canary.URL+`"}`))
		}, invalid, cannot},
		"6 keys at the metadata service": {func(p *oidctest.IdP) {
			p.Intercept(answer(oidctest.DiscoveryPath, `{"issuer":"`+p.URL+`","jwks_uri":"http://169.254.169.254/latest"}`))
		}, invalid, cannot},
		"6 keys in a private network": {func(p *oidctest.IdP) {
			p.Intercept(answer(oidctest.DiscoveryPath, `{"issuer":"`+p.URL+`","jwks_uri":"https://10.0.0.1/keys"}`))
		}, invalid, cannot},
		"6 keys in a file": {func(p *oidctest.IdP) {
			p.Intercept(answer(oidctest.DiscoveryPath, `{"issuer":"`+p.URL+`","jwks_uri":"file:///etc/passwd"}`))
		}, invalid, cannot},
		"6 keys without end": {func(p *oidctest.IdP) { p.Intercept(answer(oidctest.KeysPath, strings.Repeat(" ", 2<<20))) }, invalid, cannot},
		"6 HTML":             {func(p *oidctest.IdP) { p.Intercept(answer(oidctest.KeysPath, "<html>")) }, invalid, cannot},
		"6 an issuer that cannot now": {func(p *oidctest.IdP) {
			p.Intercept(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true })
		}, "IDPCommunicationError", "try again later"},
		"6 an issuer that breaks off (TCP)": {func(p *oidctest.IdP) {
			p.Intercept(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
		}, "IDPCommunicationError", "try again later"},
	} {
		t.Run(name, func(t *testing.T) {
			honest, dishonest := oidctest.New(t), oidctest.New(t)
			row.trick(dishonest)
			for _, idp := range []*oidctest.IdP{honest, dishonest} {
				role := a.behind(idp)
				err := a.assume(idp.Token("RS256", idp.Claims(webAudience, "deploy", time.Now())), role)
				switch {
				case (idp == honest || row.code == "") && err != nil:
					t.Errorf("not let in: %v", err)
				case idp == dishonest && row.code != "" && err == nil:
					t.Error("let in")
				case idp == dishonest && row.code != "":
					wantCode(t, err, row.code, row.text)
				}
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the attacker's server was asked %d times", n)
	}
}
