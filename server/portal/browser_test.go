package portal_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browser is what the portal meets: it keeps cookies, says where a form comes from, and follows redirects when the test says so.
type browser struct {
	t      *testing.T
	base   string
	origin *url.URL
	jar    http.CookieJar
	wire   http.RoundTripper
}

func newBrowser(t *testing.T, base string, wire http.RoundTripper) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	origin, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, base: base, origin: origin, jar: jar, wire: wire}
}

// page is an answer.
type page struct {
	*http.Response
	body string
}

func (b *browser) do(method, target string, form url.Values, header map[string]string, cookies bool) *page {
	b.t.Helper()
	u, err := b.origin.Parse(target)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	if cookies {
		for _, c := range b.jar.Cookies(u) {
			r.AddCookie(c)
		}
	}
	response, err := b.wire.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.jar.SetCookies(u, response.Cookies())
	return &page{response, string(body)}
}

func (b *browser) get(target string) *page {
	b.t.Helper()
	return b.do(http.MethodGet, target, nil, map[string]string{"Sec-Fetch-Site": "same-origin"}, true)
}

// post sends a form of one of our pages.
func (b *browser) post(target string, form url.Values) *page {
	b.t.Helper()
	return b.do(http.MethodPost, target, form, map[string]string{"Origin": b.base, "Sec-Fetch-Site": "same-origin"}, true)
}

// foreign sends a form that another site made: cookies that are SameSite=Lax stay at home.
func (b *browser) foreign(target string, form url.Values) *page {
	b.t.Helper()
	return b.do(http.MethodPost, target, form, map[string]string{"Origin": "https://idp.example.com", "Sec-Fetch-Site": "cross-site"}, false)
}

// cookie returns the value of one of the browser's cookies.
func (b *browser) cookie(name string) string {
	for _, c := range b.jar.Cookies(b.origin) {
		if strings.TrimPrefix(c.Name, "__Host-") == name {
			return c.Value
		}
	}
	return ""
}

// wantRedirect fails the test unless the page sends the browser to target.
func (p *page) wantRedirect(t *testing.T, target string) {
	t.Helper()
	if got := p.Header.Get("Location"); p.StatusCode != http.StatusSeeOther || got != target {
		t.Fatalf("status %d, location %q, want a redirect to %s:\n%s", p.StatusCode, got, target, p.body)
	}
}

// want fails the test unless the page has the status and all of the texts.
func (p *page) want(t *testing.T, status int, texts ...string) *page {
	t.Helper()
	if p.StatusCode != status {
		t.Fatalf("status %d, want %d:\n%s", p.StatusCode, status, p.body)
	}
	for _, text := range texts {
		if !strings.Contains(p.body, text) {
			t.Errorf("the page does not say %q:\n%s", text, p.body)
		}
	}
	return p
}

var (
	hidden  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	buttons = regexp.MustCompile(`<button[^>]* name="role" value="([^"]*)"`)
	links   = regexp.MustCompile(`<a class="method" href="([^"]*)"><span>([^<]*)</span>`)
	blocks  = regexp.MustCompile(`(?s)<pre id="([^"]*)-body"[^>]*>(.*?)</pre>`)
)

// form is what the hidden fields of the page hold, with further fields in pairs.
func (p *page) form(more ...string) url.Values {
	form := make(url.Values)
	for _, m := range hidden.FindAllStringSubmatch(p.body, -1) {
		form.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// roles are the values of the buttons.
func (p *page) roles() (values []string) {
	for _, m := range buttons.FindAllStringSubmatch(p.body, -1) {
		values = append(values, html.UnescapeString(m[1]))
	}
	return values
}

// link is where the way to sign in with that label leads.
func (p *page) link(t *testing.T, label string) string {
	t.Helper()
	for _, m := range links.FindAllStringSubmatch(p.body, -1) {
		if html.UnescapeString(m[2]) == label {
			return html.UnescapeString(m[1])
		}
	}
	t.Fatalf("no way to sign in is called %q:\n%s", label, p.body)
	return ""
}

// text is the credentials in one of their forms.
func (p *page) text(t *testing.T, id string) string {
	t.Helper()
	for _, m := range blocks.FindAllStringSubmatch(p.body, -1) {
		if m[1] == id {
			return html.UnescapeString(m[2])
		}
	}
	t.Fatalf("no text %s:\n%s", id, p.body)
	return ""
}
