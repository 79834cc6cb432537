package browsertest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/stint-sts/stint/federation/idptest"
)

// Schemes and sizes of screens.
const (
	light = "light"
	dark  = "dark"
)

type size struct {
	name          string
	width, height int64
	mobile        bool
}

var (
	desktop = size{"desktop", 1280, 800, false}
	mobile  = size{"mobile", 390, 844, true}
	narrow  = size{"narrow", 320, 640, true} // of WCAG 2.2, success criterion 1.4.10
)

func (b *tab) emulate(s size, scheme string) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s.mobile})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// inspect looks at the page in light and dark, wide and narrow, and keeps pictures under the name.
func (b *tab) inspect(name string) {
	b.t.Helper()
	dir := artifacts(b.t)
	for _, scheme := range []string{light, dark} {
		for _, s := range []size{desktop, mobile} {
			b.emulate(s, scheme)
			b.fits(name, s)
			b.accessible(name + ", " + s.name + ", " + scheme)
			ctx, cancel := contextOf(b)
			picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			cancel()
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name+"-"+s.name+"-"+scheme+".png"), picture, 0o600)
			}
			if err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.emulate(narrow, light)
	b.fits(name, narrow)
	b.emulate(desktop, light)
}

// fits fails the test when the page scrolls sideways.
func (b *tab) fits(name string, s size) {
	b.t.Helper()
	if excess := b.excess(); excess > 0 {
		b.t.Errorf("%s, %d pixels wide: %d pixels stick out", name, s.width, excess)
	}
}

// excess is by how many pixels the page is wider than the screen.
func (b *tab) excess() int {
	b.t.Helper()
	return ask[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`)
}

// accessible fails the test when axe-core finds a violation.
func (b *tab) accessible(name string) {
	b.t.Helper()
	for _, v := range b.violations() {
		b.t.Errorf("%s: %s", name, v)
	}
}

// violations are those of WCAG 2.2 A and AA that axe-core finds. It runs in a world of its own: the page's policy stays.
func (b *tab) violations() (found []string) {
	b.t.Helper()
	if b.silent { // the page's own scripts have been left out; axe's timers have to run
		b.scripts(true)
		defer b.scripts(false)
	}
	frame := call(b, page.GetFrameTree, cdp.Empty{}).FrameTree.Frame.ID
	world := call(b, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame, WorldName: "axe"}).ExecutionContextID
	yes := true
	evaluate := func(expression string) string {
		r := call(b, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ContextID: world, AwaitPromise: &yes, ReturnByValue: &yes})
		if r.ExceptionDetails != nil {
			b.t.Fatalf("axe: %s", r.ExceptionDetails.Exception.Description)
		}
		var text string
		_ = json.Unmarshal(r.Result.Value, &text)
		return text
	}
	evaluate(axe(b.t) + `; ""`)
	var violations []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	if err := json.Unmarshal([]byte(evaluate(`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"]})
		.then((r) => JSON.stringify(r.violations))`)), &violations); err != nil {
		b.t.Fatalf("axe: %v", err)
	}
	for _, v := range violations {
		for _, n := range v.Nodes {
			found = append(found, fmt.Sprintf("%s (%s): %s\n%s", v.ID, v.Help, n.HTML, n.FailureSummary))
		}
	}
	return found
}

// A page with every fault that the tests of this package look for. Otherwise none would be found because nobody looks.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	faulty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src *")
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>Faulty</title><script>document.title = "run"</script>
<main><h1>Faulty</h1><img src="http://example.com/" alt=""><input><pre>`+strings.Repeat("wide", 1000)+`</pre></main>`)
	}))
	t.Cleanup(faulty.Close)
	b := openTab(t, &stint{t: t, url: faulty.URL})
	b.open(faulty.URL)
	b.at("Faulty")
	if b.excess() <= 0 {
		t.Error("the page is not seen to be too wide")
	}
	if found := strings.Join(b.violations(), "\n"); !strings.Contains(found, "label") {
		t.Errorf("axe-core does not see the field without a label: %s", found)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := strings.Join(b.faults, "\n")
	for _, want := range []string{"leaves this machine: http://example.com/", "content security policy: script-src", "console: error"} {
		if !strings.Contains(seen, want) {
			t.Errorf("not seen: %s, among\n%s", want, seen)
		}
	}
	b.faults = nil
}

var axeSource struct {
	sync.Mutex
	text string
}

// axe is axe-core, which federation/idptest/node/package-lock.json pins.
func axe(t testing.TB) string {
	t.Helper()
	axeSource.Lock()
	defer axeSource.Unlock()
	if axeSource.text == "" {
		text, err := os.ReadFile(filepath.Join(idptest.NodeModules(t), "node_modules", "axe-core", "axe.min.js"))
		if err != nil {
			t.Fatal(err)
		}
		axeSource.text = string(text)
	}
	return axeSource.text
}

// artifacts is where pictures are kept after the test.
func artifacts(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("STINT_TEST_ARTIFACTS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", ".test", "screenshots")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
