package idps

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/stint-sts/stint/federation/saml"
)

// Unsolicited is where a person begins at the provider to end at the party.
func (p *IdP) Unsolicited(party Party) *saml.Message {
	return &saml.Message{Binding: saml.HTTPRedirect, URL: p.unsolicited + url.QueryEscape(party.EntityID)}
}

// Browser is one without JavaScript: it follows redirects, keeps cookies and reads forms.
type Browser struct {
	t      testing.TB
	client *http.Client
}

// NewBrowser opens a browser that knows nobody.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{t: t, client: &http.Client{Jar: jar, Timeout: startTimeout}}
}

// Page is what a browser shows.
type Page struct {
	URL    string
	Status int
	Text   string
	Form   *Form // the first one; nil: none
}

// Form is a page's form: where it goes, and what is in it.
type Form struct {
	Action string
	Fields url.Values
}

// Response is the SAML response that a form carries.
func (f *Form) Response() string { return f.Fields.Get("SAMLResponse") }

// SignIn does what a person does: go where the message says, fill in name and password, and end at the page that posts the response to the
// party. It returns that page's form, or no form and what the provider says instead.
func (b *Browser) SignIn(m *saml.Message, name, password string) (form *Form, refusal string) {
	b.t.Helper()
	var page *Page
	if m.Binding == saml.HTTPPost {
		fields := url.Values{"SAMLRequest": {m.SAMLRequest}}
		if m.RelayState != "" {
			fields.Set("RelayState", m.RelayState)
		}
		page = b.Submit(&Form{m.URL, fields})
	} else {
		page = b.Go(m.URL)
	}
	for range 3 {
		switch {
		case page.Form == nil:
			return nil, page.Text
		case page.Form.Fields.Has("SAMLResponse"):
			return page.Form, ""
		case page.Form.Fields.Has("SAMLRequest"): // of a service that sends its request so
		case page.Form.Fields.Has("username"):
			page.Form.Fields.Set("username", name)
			page.Form.Fields.Set("password", password)
		default:
			return nil, page.Text
		}
		page = b.Submit(page.Form)
	}
	return nil, page.Text
}

// Go opens a URL.
func (b *Browser) Go(to string) *Page {
	b.t.Helper()
	return b.do(http.MethodGet, to, nil)
}

// Submit posts a form.
func (b *Browser) Submit(f *Form) *Page {
	b.t.Helper()
	return b.do(http.MethodPost, f.Action, f.Fields)
}

func (b *Browser) do(method, to string, fields url.Values) *Page {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, to, strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if fields != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	tree, err := html.Parse(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		b.t.Fatal(err)
	}
	p := &Page{URL: answer.Request.URL.String(), Status: answer.StatusCode}
	p.read(tree, answer.Request.URL)
	return p
}

// read collects the text and the first form below n.
func (p *Page) read(n *html.Node, base *url.URL) {
	switch {
	case n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style":
		if text := strings.TrimSpace(n.Data); text != "" {
			p.Text += text + "\n"
		}
	case n.Type == html.ElementNode && n.Data == "form" && p.Form == nil:
		action, err := base.Parse(attribute(n, "action"))
		if err != nil {
			action = base
		}
		p.Form = &Form{Action: action.String(), Fields: url.Values{}}
		p.Form.read(n)
	}
	for child := range n.ChildNodes() {
		p.read(child, base)
	}
}

func (f *Form) read(n *html.Node) {
	if n.Type == html.ElementNode && (n.Data == "input" || n.Data == "button") && attribute(n, "name") != "" {
		f.Fields.Add(attribute(n, "name"), attribute(n, "value"))
	}
	for child := range n.ChildNodes() {
		f.read(child)
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
