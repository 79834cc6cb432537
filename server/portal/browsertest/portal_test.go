package browsertest_test

import (
	"strings"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// choose takes credentials of a role on the page of roles.
func (b *tab) choose(role string) {
	b.t.Helper()
	b.at("Choose a role")
	b.click(`button[name=role][value^="` + role + ` "]`)
	b.at(role[strings.LastIndexByte(role, '/')+1:])
}

// text is the credentials in one of their forms, as the page shows them.
func (b *tab) text(id string) string {
	b.t.Helper()
	return ask[string](b, `document.getElementById("`+id+`-body").textContent`)
}

// works pastes what the page shows into a shell, and fails the test unless the aws CLI is that principal then.
func (b *tab) works(w *terminal, principal string) {
	b.t.Helper()
	if out, err := w.types(b.text("shell") + w.whoami); err != nil || out != principal {
		b.t.Errorf("pasted into bash: %q, %v, want %s", out, err, principal)
	}
}

// profile puts what the page shows into the files of the aws CLI, and returns the command that asks who one is with it.
func (b *tab) profile(w *terminal) (command string) {
	b.t.Helper()
	credentials := b.text("profile")
	w.write(".aws/credentials", credentials)
	w.write(".aws/config", b.text("config"))
	name, _, _ := strings.Cut(strings.TrimPrefix(credentials, "["), "]")
	return w.whoami + " --profile " + name
}

// another is a second tab of the same browser.
func (b *tab) another() *tab {
	b.t.Helper()
	c := &tab{t: b.t, stint: b.stint}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithListener(c.listen))
	c.ctx = ctx
	b.t.Cleanup(func() {
		cancel()
		for _, fault := range c.faults {
			b.t.Error(fault)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as the context of its first call
		b.t.Fatal(err)
	}
	return c
}

// checkCookies fails the test unless all cookies of stint are out of reach of scripts, other sites and, over HTTPS, other hosts.
func (b *tab) checkCookies(secure bool) {
	b.t.Helper()
	seen := 0
	for _, c := range call(b, network.GetCookies, network.GetCookiesParams{URLs: []string{b.stint.url + "/portal"}}).Cookies {
		name, prefixed := strings.CutPrefix(c.Name, "__Host-")
		if !strings.HasPrefix(name, "stint-") {
			continue // cookies know no ports: this one is an identity provider's on the same address
		}
		seen++
		if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "127.0.0.1" || c.Secure != secure || prefixed != secure {
			b.t.Errorf("cookie %s: %+v", c.Name, c)
		}
	}
	if seen == 0 {
		b.t.Error("stint has set no cookie")
	}
}

// checkScript checks what the pages do when JavaScript is on: the time that is left, and the button that copies.
func (b *tab) checkScript() {
	b.t.Helper()
	before := ask[string](b, `document.querySelector("[data-left]").textContent`)
	b.until("a countdown", func(shown) bool { return ask[string](b, `document.querySelector("[data-left]").textContent`) != before })

	call(b, page.BringToFront, cdp.Empty{})
	for _, permission := range []string{"clipboard-read", "clipboard-write"} {
		if _, err := chromedp.CallBrowser(b.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: permission}, Setting: browser.PermissionSettingGranted, Origin: b.stint.url,
		}); err != nil {
			b.t.Fatal(err)
		}
	}
	for _, form := range []string{"shell", "profile", "json"} {
		b.click("#" + form + "-tab")
		b.click(`[data-copy="` + form + `-body"]`)
		b.until("a copy", func(shown) bool {
			return ask[string](b, `document.querySelector('[data-copy="`+form+`-body"]').textContent`) == "Copied"
		})
		if copied := ask[string](b, `navigator.clipboard.readText()`); copied != b.text(form) {
			b.t.Errorf("copied is %q, want %q", copied, b.text(form))
		}
	}
	b.click("#shell-tab")
}

// expires looks at the page a little before the credentials expire, and after.
func (b *tab) expires() {
	b.t.Helper()
	for _, row := range []struct{ class, left, says string }{
		{"soon", "240", "These credentials expire in five minutes."}, {"over", "-1", "These credentials have expired. Renew them."},
	} {
		_ = ask[bool](b, `(() => { // the clock of the page only
			const now = Date.now, shift = Date.parse(document.querySelector("[data-expires]").dataset.expires) - now() - `+row.left+`000;
			Date.now = () => now.call(Date) + shift;
			return true;
		})()`)
		b.until("the time "+row.class, func(shown) bool {
			return ask[bool](b, `document.querySelector(".expiry").classList.contains("`+row.class+`")`)
		})
		if said := ask[string](b, `document.querySelector("[data-announce]").textContent`); said != row.says {
			b.t.Errorf("a screen reader says %q, want %q", said, row.says)
		}
		b.inspect("credentials-" + row.class)
	}
}

// signOut ends the sign-in on a page with credentials. Going back shows none of them.
func (b *tab) signOut() {
	b.t.Helper()
	secret := b.text("json")
	id := secret[strings.Index(secret, "ASIA"):][:20]
	b.follow(".person button")
	b.at("Sign in")
	here := b.look()
	history := call(b, page.GetNavigationHistory, cdp.Empty{})
	call(b, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[history.CurrentIndex-1].ID})
	b.until("the page before", func(s shown) bool { return s.Done && s.Origin != here.Origin })
	if text := ask[string](b, `document.documentElement.outerHTML`); strings.Contains(text, id) {
		b.t.Errorf("the way back leads to credentials:\n%s", text)
	}
	b.open(b.stint.url + "/portal")
	b.at("Sign in")
}

// endsSession ends the newest session of the page "My sessions": the aws CLI with its profile is refused from then on.
func (b *tab) endsSession(w *terminal) {
	b.t.Helper()
	who := b.profile(w)
	key := b.text("json")
	key = key[strings.Index(key, "ASIA"):][:20]
	if out, err := w.types(who); err != nil {
		b.t.Errorf("with the profile: %s, %v", out, err)
	}
	b.open(b.stint.url + "/portal/sessions")
	b.at("My sessions")
	b.inspect("sessions")
	b.walk()
	b.follow(`button[name=session][value="` + key + `"]`)
	b.at("My sessions")
	b.inspect("sessions-ended")
	if out, err := w.types(who); err == nil || !strings.Contains(out, "ExpiredToken") {
		b.t.Errorf("after the session has ended: %s, %v", out, err)
	}
}
