package portal_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/stint-sts/stint/federation/oidctest"
)

const clientID = "stint-portal"

// club is a stint with an OpenID Connect provider and two roles, of which one lets its members in.
type club struct {
	*stint
	idp      *oidctest.IdP
	login    *oidctest.Login
	provider string
	member   string
	claims   map[string]any // beside the usual ones
}

func newClub(t *testing.T, secret string) *club {
	t.Helper()
	c := &club{idp: oidctest.New(t), claims: map[string]any{"email": "bob@club.example", "groups": []string{"members"}}}
	host := strings.TrimPrefix(c.idp.URL, "http://")
	c.provider = prefix + "oidc-provider/" + host
	env := map[string]string{
		"STINT_PORTAL_OIDC": c.provider + "=" + clientID, "STINT_PORTAL_OIDC_SCOPES": c.provider + "=email+groups", "STINT_PORTAL_LABELS": c.provider + "=The club",
	}
	if secret != "" {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		env["STINT_PORTAL_OIDC_SECRET_FILES"] = c.provider + "=" + file
	}
	c.stint = serve(t, env)
	if _, err := c.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{
		Url: &c.idp.URL, ClientIDList: []string{clientID, "another"},
	}); err != nil {
		t.Fatal(err)
	}
	trusts := func(group string) string {
		return `"Principal":{"Federated":"` + c.provider + `"},"Action":"sts:AssumeRoleWithWebIdentity",
			"Condition":{"ForAnyValue:StringEquals":{"` + host + `:groups":"` + group + `"}}`
	}
	c.member = c.role("member", trusts("members"))
	c.role("board", trusts("board"))
	c.login = &oidctest.Login{ClientID: clientID, Secret: secret, Person: func(url.Values) map[string]any {
		claims := c.idp.Claims(clientID, "248289761001", time.Now())
		for name, value := range c.claims {
			claims[name] = value
		}
		return claims
	}}
	c.idp.SignIn(c.login)
	return c
}

// visit goes to the provider and returns where it sends the browser then.
func (c *club) visit(b *browser) (callback string) {
	c.t.Helper()
	start := b.get(b.get("/portal").want(c.t, http.StatusOK).link(c.t, "The club"))
	if start.StatusCode != http.StatusSeeOther {
		c.t.Fatalf("status %d:\n%s", start.StatusCode, start.body)
	}
	back := b.do(http.MethodGet, start.Header.Get("Location"), nil, nil, false)
	if back.StatusCode != http.StatusFound {
		c.t.Fatalf("the provider answers %d: %s", back.StatusCode, back.body)
	}
	return back.Header.Get("Location")
}

func TestOIDC_FromThePortalToCredentials(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{"public client": "", "client with a secret": "s3cret/+&"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClub(t, secret)
			b := c.browser()
			b.get(c.visit(b)).wantRedirect(t, "/portal")
			roles := b.get("/portal").want(t, http.StatusOK, "bob@club.example", "1 role lets you in")
			creds := b.post("/portal/credentials", roles.form("role", c.member+" "+c.provider, "duration", "3600")).want(t, http.StatusOK)
			if who := c.whoami(creds); who != "arn:aws:sts::"+account+":assumed-role/member/bob@club.example" {
				t.Errorf("the credentials are of %s", who)
			}
			if mints := c.events("AssumeRoleWithWebIdentity"); len(mints) != 1 || mints[0].UserIdentity.Type != "WebIdentityUser" || mints[0].UserIdentity.UserName != "248289761001" {
				t.Errorf("credentials in the audit: %+v", mints)
			}
			b.get("/portal/sessions").want(t, http.StatusOK, "member")
		})
	}
}

func TestOIDC_RolesClaimSaysWhichRoles(t *testing.T) {
	t.Parallel()
	c := newClub(t, "")
	c.claims["https://aws.amazon.com/roles"] = []string{prefix + "role/board", prefix + "role/none"}
	b := c.browser()
	b.get(c.visit(b)).wantRedirect(t, "/portal")
	roles := b.get("/portal").want(t, http.StatusOK, "No role lets you in", "2 more roles are named")
	if len(roles.roles()) != 0 {
		t.Errorf("offered are %v", roles.roles())
	}
}

func TestOIDC_RefusesWhatDoesNotAnswerTheRequest(t *testing.T) {
	t.Parallel()
	for name, attack := range map[string]func(c *club, b *browser) *page{
		"another browser's answer": func(c *club, b *browser) *page { return b.get(c.visit(c.browser())) },
		"the same answer again": func(c *club, b *browser) *page {
			callback := c.visit(b)
			b.get(callback).wantRedirect(c.t, "/portal")
			return b.get(callback)
		},
		"another state": func(c *club, b *browser) *page {
			c.login.EditAnswer = func(q url.Values) { q.Set("state", q.Get("state")+"x") }
			return b.get(c.visit(b))
		},
		"no state": func(c *club, b *browser) *page {
			c.login.EditAnswer = func(q url.Values) { q.Del("state") }
			return b.get(c.visit(b))
		},
		"another nonce": func(c *club, b *browser) *page {
			c.login.EditToken = func(claims map[string]any) { claims["nonce"] = "another" }
			return b.get(c.visit(b))
		},
		"no nonce": func(c *club, b *browser) *page {
			c.login.EditToken = func(claims map[string]any) { delete(claims, "nonce") }
			return b.get(c.visit(b))
		},
		"a token for another client": func(c *club, b *browser) *page {
			c.login.EditToken = func(claims map[string]any) { claims["aud"] = "another" }
			return b.get(c.visit(b))
		},
		"an answer of another issuer": func(c *club, b *browser) *page {
			c.login.EditAnswer = func(q url.Values) { q.Set("iss", "https://evil.example") }
			return b.get(c.visit(b))
		},
		"an answer without issuer from one that names itself": func(c *club, b *browser) *page {
			c.login.EditAnswer = func(q url.Values) { q.Del("iss") }
			return b.get(c.visit(b))
		},
		"another code": func(c *club, b *browser) *page {
			c.login.EditAnswer = func(q url.Values) { q.Set("code", "guessed") }
			return b.get(c.visit(b))
		},
		"no code": func(c *club, b *browser) *page {
			c.login.EditAnswer = func(q url.Values) { q.Del("code") }
			return b.get(c.visit(b))
		},
		"a refusal": func(c *club, b *browser) *page {
			c.login.Person = nil
			return b.get(c.visit(b))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClub(t, "")
			fresh := c.browser()
			fresh.get(c.visit(fresh)).wantRedirect(t, "/portal") // what is changed below is all that is wrong
			b := c.browser()
			if p := attack(c, b); p.StatusCode < http.StatusBadRequest || p.StatusCode >= http.StatusInternalServerError {
				t.Errorf("status %d, location %q:\n%s", p.StatusCode, p.Header.Get("Location"), p.body)
			}
			if name != "the same answer again" {
				b.get("/portal").want(t, http.StatusOK, "<h1>Sign in</h1>")
			}
		})
	}
}
