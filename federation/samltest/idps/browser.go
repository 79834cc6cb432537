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

// Form is a page's form: where it goes, and what is in it.
type Form struct {
	Action string
	Fields url.Values
}

// Response is the SAML response that a form carries.
func (f *Form) Response() string { return f.Fields.Get("SAMLResponse") }

// SignIn does what a person and a browser without JavaScript do: go where the message says, fill in name and password, and end at the page
// that posts the response to the party. It returns that page's form, or no form and what the provider says instead.
func (p *IdP) SignIn(t testing.TB, m *saml.Message, name, password string) (form *Form, refusal string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, client: &http.Client{Jar: jar, Timeout: startTimeout}}
	var page *page
	if m.Binding == saml.HTTPPost {
		fields := url.Values{"SAMLRequest": {m.SAMLRequest}}
		if m.RelayState != "" {
			fields.Set("RelayState", m.RelayState)
		}
		page = b.do(http.MethodPost, m.URL, fields)
	} else {
		page = b.do(http.MethodGet, m.URL, nil)
	}
	for range 2 {
		switch {
		case page.form == nil:
			return nil, page.text
		case page.form.Fields.Has("SAMLResponse"):
			return page.form, ""
		case !page.form.Fields.Has("username"):
			return nil, page.text
		}
		page.form.Fields.Set("username", name)
		page.form.Fields.Set("password", password)
		page = b.do(http.MethodPost, page.form.Action, page.form.Fields)
	}
	return page.form, page.text
}

// browser keeps cookies and reads forms.
type browser struct {
	t      testing.TB
	client *http.Client
}

type page struct {
	form *Form // the first one
	text string
}

func (b *browser) do(method, to string, fields url.Values) *page {
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
	p := &page{}
	p.read(tree, answer.Request.URL)
	return p
}

// read collects the text and the first form below n.
func (p *page) read(n *html.Node, base *url.URL) {
	switch {
	case n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style":
		if text := strings.TrimSpace(n.Data); text != "" {
			p.text += text + "\n"
		}
	case n.Type == html.ElementNode && n.Data == "form" && p.form == nil:
		action, err := base.Parse(attribute(n, "action"))
		if err != nil {
			action = base
		}
		p.form = &Form{Action: action.String(), Fields: url.Values{}}
		p.form.read(n)
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
