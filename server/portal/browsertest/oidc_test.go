package browsertest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/federation/idptest"
)

// From the portal to Dex and back: authorization code with PKCE.
func TestDex(t *testing.T) {
	t.Parallel()
	idp := idptest.Start(t, idptest.Dex, idptest.Options{})
	host := strings.TrimPrefix(idp.Issuer, "http://")
	provider, client := prefix+"oidc-provider/"+host, idp.Client("RS256")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(idptest.DexSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	n := serve(t, map[string]string{
		"STINT_PORTAL_OIDC": provider + "=" + client, "STINT_PORTAL_OIDC_SECRET_FILES": provider + "=" + secret,
		"STINT_PORTAL_OIDC_SCOPES": provider + "=email+profile+groups", "STINT_PORTAL_LABELS": provider + "=Example staff",
	}, nil)
	idp.Redirect(n.url + "/portal/oidc/callback")
	_, err := n.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &idp.Issuer, ClientIDList: []string{client}})
	n.must(err)
	role := n.role("Deployer", `"Principal":{"Federated":"`+provider+`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{
		"StringEquals":{"`+host+`:aud":"`+client+`"},"ForAnyValue:StringEquals":{"`+host+`:groups":"deployers"}}`)

	b := openTab(t, n)
	b.open(n.url + "/portal")
	b.at("Sign in")
	b.follow("a.method")
	b.until("Dex's page", func(s shown) bool { return s.Done && strings.HasPrefix(s.URL, idp.Issuer) })
	b.fill("input[name=login]", idptest.User)
	b.fill("input[name=password]", idptest.Password)
	b.follow("button[type=submit]")
	b.choose(role)
	b.checkCookies(false)
	b.works(n.terminal(), "arn:aws:sts::"+account+":assumed-role/Deployer/"+idptest.User)
	b.signOut()
}
