package oidc_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stint-sts/stint/federation/oidc"
)

// Where people are sent to comes from a document that may be anybody's mistake.
func TestParseEndpoints(t *testing.T) {
	t.Parallel()
	const issuer = "https://idp.example"
	document := func(change ...string) []byte {
		return []byte(strings.NewReplacer(change...).Replace(
			`{"issuer":"https://idp.example","authorization_endpoint":"https://idp.example/a?x=1","token_endpoint":"https://idp.example/t"}`))
	}
	e, err := oidc.ParseEndpoints(document(), issuer)
	if err != nil || e.Authorization != "https://idp.example/a?x=1" || e.Token != "https://idp.example/t" || !e.Basic || e.NamesIssuer {
		t.Fatalf("%+v, %v", e, err)
	}
	e, err = oidc.ParseEndpoints(document(`/t"`, `/t","token_endpoint_auth_methods_supported":["client_secret_post"],"authorization_response_iss_parameter_supported":true`), issuer)
	if err != nil || e.Basic || !e.NamesIssuer {
		t.Errorf("%+v, %v", e, err)
	}
	for name, bad := range map[string][]byte{
		"another issuer":          document(`"https://idp.example"`, `"https://evil.example"`),
		"script":                  document("https://idp.example/a", "javascript:alert(1)"),
		"plain http":              document("https://idp.example/t", "http://idp.example/t"),
		"user in the URL":         document("https://idp.example/a", "https://x@idp.example/a"),
		"fragment":                document("https://idp.example/a", "https://idp.example/#a"),
		"no token endpoint":       document(`"token_endpoint"`, `"other"`),
		"an endpoint given twice": document(`"issuer"`, `"token_endpoint":"https://evil.example","issuer"`),
	} {
		if e, err := oidc.ParseEndpoints(bad, issuer); !errors.Is(err, oidc.ErrUnusable) {
			t.Errorf("%s: %+v, %v, want ErrUnusable", name, e, err)
		}
	}
}
