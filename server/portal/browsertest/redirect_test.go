package browsertest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stint-sts/stint/federation/samltest/idps"
)

// A provider that takes requests by POST may send the browser on to where people sign in, which is another site as often as not.
// Browsers hold the redirect against the policy of the page with the form (Content Security Policy Level 3, section 6.4.2, form-action).
func TestSamlify_SendsOn(t *testing.T) {
	t.Parallel()
	var signIn string
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, signIn, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(door.Close)
	c := newCorp(t, idps.Samlify, func(metadata string) string {
		i := strings.Index(metadata, `HTTP-POST" Location="`) + len(`HTTP-POST" Location="`)
		signIn = metadata[i : i+strings.IndexByte(metadata[i:], '"')]
		return strings.ReplaceAll(postOnly(t, metadata), signIn, strings.Replace(door.URL, "127.0.0.1", "localhost", 1)+"/sso")
	})
	b := openTab(t, c.stint)
	b.open(c.url + "/portal")
	b.at("Sign in")
	b.follow("a.method")
	c.signIn(b)
	b.at("Choose a role")
}
