package browsertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds how long a page may take: two cores may have more to do than this test.
const patience = time.Minute

// need fails the test where CI is set, and skips it elsewhere.
func need(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// tab is a page of a browser of its own. Whatever stint's pages report to the console, and any request that leaves this machine, fails the
// test at its end.
type tab struct {
	t      *testing.T
	stint  *stint
	ctx    context.Context
	silent bool // scripts are off

	mu     sync.Mutex
	faults []string
}

// openTab starts Chromium until the test ends.
func openTab(t *testing.T, n *stint, flags ...chromedp.ExecAllocatorOption) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		need(t, "chromium is not installed: run scripts/tools.sh")
	}
	dir := t.TempDir()
	var command *exec.Cmd
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.Env("HOME="+dir), chromedp.WSURLReadTimeout(patience), chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-domain-reliability", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("no-pings", true), chromedp.Flag("lang", "en-US"), chromedp.Flag("disable-crash-reporter", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"), // not even the browser itself calls out
		chromedp.ModifyCmdFunc(func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
			command = c
		}))
	b := &tab{t: t, stint: n}
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), append(options, flags...)...)
	ctx, stop := chromedp.NewContext(allocator, chromedp.WithListener(b.listen))
	b.ctx = ctx
	t.Cleanup(func() {
		last, done := context.WithTimeout(ctx, 10*time.Second)
		_ = chromedp.Cancel(last)
		done()
		stop()
		stopAllocator()
		endGroup(command)
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, fault := range b.faults {
			t.Error(fault)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	call(b, audits.Enable, cdp.Empty{})
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	b.emulate(desktop, light)
	return b
}

// endGroup ends what is left of the browser: the processes that it has started are in its group.
func endGroup(command *exec.Cmd) {
	if command == nil || command.Process == nil {
		return
	}
	for range 100 {
		if syscall.Kill(-command.Process.Pid, syscall.SIGKILL) != nil {
			return // nobody is in it
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (b *tab) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// listen sees what happens in the tab. What identity providers' pages say to the console is their affair.
func (b *tab) listen(event any) {
	ours := func(address string) bool { return address == "" || strings.HasPrefix(address, b.stint.url) }
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if host := u.Hostname(); err != nil || strings.HasPrefix(u.Scheme, "http") && host != "127.0.0.1" && host != "localhost" {
			b.fault("a request leaves this machine: %s", e.Request.URL)
		}
	case *network.EventResponseReceived:
		if ours(e.Response.URL) && e.Type != network.ResourceTypeDocument && e.Response.Status >= 400 {
			b.fault("%s: status %d", e.Response.URL, e.Response.Status)
		}
		if ours(e.Response.URL) && e.Type == network.ResourceTypeDocument && header(e.Response, "Content-Security-Policy") == "" {
			b.fault("%s: no content security policy", e.Response.URL)
		}
	case *log.EventEntryAdded:
		if ours(e.Entry.URL) && e.Entry.Source != log.EntrySourceNetwork && (e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning) {
			b.fault("console: %s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		if ours(e.ExceptionDetails.URL) {
			b.fault("exception: %s (%s)", e.ExceptionDetails.Text, e.ExceptionDetails.URL)
		}
	case *audits.EventIssueAdded:
		if csp := e.Issue.Details.ContentSecurityPolicyIssueDetails; csp != nil {
			b.fault("content security policy: %s blocks %s", csp.ViolatedDirective, csp.BlockedURL)
		}
	}
}

func contextOf(b *tab) (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, patience)
}

// run does what a person does, within patience.
func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := contextOf(b)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.describe())
	}
}

func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := contextOf(b)
	defer cancel()
	r, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return r
}

// ask evaluates an expression, which may be a promise, in the page.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := contextOf(b)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// shown is what the tab shows.
type shown struct {
	Done         bool
	Origin       float64 // tells one load of a page from another
	URL, Heading string
}

func (b *tab) look() (s shown) {
	ctx, cancel := contextOf(b)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`JSON.stringify({Done: document.readyState === "complete", Origin: performance.timeOrigin,
		URL: location.href, Heading: document.querySelector("h1")?.innerText ?? ""})`))
	if err == nil {
		_ = json.Unmarshal([]byte(text), &s)
	}
	return s // nothing while one page gives way to another
}

func (b *tab) describe() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	return text
}

// until waits for the tab to show something.
func (b *tab) until(what string, is func(shown) bool) shown {
	b.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if s := b.look(); is(s) {
			return s
		}
	}
	b.t.Fatalf("the browser does not come to %s:\n%s", what, b.describe())
	return shown{}
}

// at waits for a page of stint with that heading.
func (b *tab) at(heading string) {
	b.t.Helper()
	b.until(heading, func(s shown) bool {
		return s.Done && strings.HasPrefix(s.URL, b.stint.url) && strings.HasPrefix(s.Heading, heading)
	})
}

// open goes to an address, and waits until it is there.
func (b *tab) open(address string) {
	b.t.Helper()
	b.run(chromedp.Navigate(address))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// follow clicks, and waits until another page is there.
func (b *tab) follow(selector string) {
	b.t.Helper()
	before := b.look()
	b.click(selector)
	b.until("another page", func(s shown) bool { return s.Done && s.Origin != before.Origin })
}

func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.run(chromedp.Clear(chromedp.CSS(selector), chromedp.NodeVisible), chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// press sends keys to whatever has the focus.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.run(chromedp.KeyEvent(keys))
}

// scripts switches JavaScript on or off, from the next page on.
func (b *tab) scripts(on bool) {
	b.t.Helper()
	b.silent = !on
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
}

// walk presses Tab from the top of the page to its end, and fails the test unless everything that can have the focus gets it, and shows it.
func (b *tab) walk() {
	b.t.Helper()
	want := ask[[]string](b, `(() => {
		const top = document.createElement("span"); // the focus starts where it was last, even when that is gone
		top.tabIndex = -1; document.body.prepend(top); top.focus(); top.remove();
		const seen = (e) => e.checkVisibility({visibilityProperty: true}) && e.tabIndex >= 0 && !e.disabled;
		const all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, [tabindex]")].filter(seen);
		all.forEach((e, i) => e.__place = i);
		return all.map((e) => e.outerHTML.slice(0, 120));
	})()`)
	if len(want) == 0 {
		b.t.Fatal("nothing on the page can have the focus")
	}
	for i, element := range want {
		b.press(kb.Tab)
		got := ask[struct {
			Place   int
			Outline string
			Width   float64
			Inside  bool
		}](b, `(() => {
			const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
			return {Place: e.__place ?? -1, Outline: style.outlineStyle, Width: parseFloat(style.outlineWidth),
				Inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth};
		})()`)
		if got.Place != i {
			b.t.Errorf("Tab number %d comes to %d instead of %s", i+1, got.Place, element)
			return
		}
		if got.Outline == "none" || got.Width < 2 || !got.Inside {
			b.t.Errorf("the focus cannot be seen on %s: %+v", element, got)
		}
	}
}
