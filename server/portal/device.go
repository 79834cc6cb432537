package portal

import (
	"crypto/rand"
	"errors"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/session"
)

// A command line without a browser shows a short code, which the person types in here, in a browser on any machine (RFC 8628). That is
// what it is attacked by as well: somebody starts a login and talks a person into typing the code. So the pages say where the request
// comes from, a link never skips them, and portal.device-codes turns the whole off.

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// Prefixes of names of values.
const (
	deviceValue   = "portal/device/"
	userCodeValue = "portal/user-code/"
	answerValue   = "portal/device-answer/"
)

const (
	deviceLife     = 10 * time.Minute
	deviceInterval = 5 * time.Second // between two polls, to begin with (RFC 8628 section 3.2)
	pollSlack      = time.Second     // a poll that comes so much too early is not held against the client
)

// deviceState is a login that waits for its person, as the polls see it.
type deviceState struct {
	Interval    time.Duration
	Next, Until time.Time
}

// deviceRequest is the same as the person sees it, under the user code.
type deviceRequest struct {
	Device        string // its secret name
	Host, Address string
	Until         time.Time
}

// deviceAnswer is what the person said.
type deviceAnswer struct {
	SignIn string // its secret name; empty: no
	Host   string
}

// userCodeLetters have no vowels, so that they make no words (RFC 8628 section 6.1). Eight of them are 34 bits.
const (
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
)

func newUserCode() string {
	var b strings.Builder
	for range userCodeLength {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters))))
		if err != nil {
			panic(err) // never (crypto/rand)
		}
		b.WriteByte(userCodeLetters[n.Int64()])
	}
	return b.String()
}

// readUserCode is the code that somebody typed, or "" when it is none.
func readUserCode(typed string) string {
	code := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToUpper(typed[:min(len(typed), 64)]))
	if len(code) != userCodeLength || strings.Trim(code, userCodeLetters) != "" {
		return ""
	}
	return code
}

func printUserCode(code string) string {
	return code[:userCodeLength/2] + "-" + code[userCodeLength/2:]
}

// quota bounds what strangers leave on the server: how many logins they may begin at one node.
type quota struct {
	mu    sync.Mutex
	since time.Time
	total int
	by    map[netip.Prefix]int
}

// Bounds for each window as long as what is left lives. A whole office may come from one address.
const (
	maxDevices         = 5000
	maxDevicesOfSource = 100
)

func (q *quota) take(source string, now time.Time) bool {
	a, err := netip.ParseAddr(source)
	if err != nil {
		return false
	}
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	p := netip.PrefixFrom(a.WithZone(""), bits).Masked()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.by == nil || now.Sub(q.since) >= deviceLife {
		q.since, q.total, q.by = now, 0, make(map[netip.Prefix]int)
	}
	if q.total >= maxDevices || q.by[p] >= maxDevicesOfSource {
		return false
	}
	q.total++
	q.by[p]++
	return true
}

// codesAnswer is the answer of RFC 8628 section 3.2.
type codesAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	URIWhole   string `json:"verification_uri_complete"`
	Expires    int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

// startDevice begins a login.
func (p *Portal) startDevice(x *exchange) (any, error) {
	if x.field("client_id") != clientID {
		return nil, refuse("invalid_client", "client_id must be "+clientID)
	}
	address := x.request().SourceIP
	if !p.devices.take(address, x.Start) {
		return nil, dispatch.Busy()
	}
	device, code, until := newSecret(), newUserCode(), x.Start.Add(deviceLife)
	if err := x.keep(deviceValue, device, &deviceState{deviceInterval, x.Start, until}, until); err != nil {
		return nil, err
	}
	if err := x.keep(userCodeValue, code, &deviceRequest{device, hostName(x.field("host")), address, until}, until); err != nil {
		return nil, err
	}
	uri := p.cfg.PublicURL() + devicePath
	return &codesAnswer{
		device, printUserCode(code), uri, uri + "?user_code=" + url.QueryEscape(printUserCode(code)),
		int64(deviceLife.Seconds()), int64(deviceInterval.Seconds()),
	}, nil
}

// poll tells the command line what the person has said.
func (p *Portal) poll(x *exchange) (any, error) {
	if p.cfg.NoDeviceCodes {
		return nil, errNoDeviceCodes()
	}
	device, state := x.field("device_code"), &deviceState{}
	found, err := x.fetch(p.cfg.Values.Value, deviceValue, device, state)
	if err != nil {
		return nil, err
	}
	if !found || !x.Start.Before(state.Until) {
		return nil, errDeviceExpired()
	}
	early := x.Start.Before(state.Next.Add(-pollSlack))
	if early {
		state.Interval += deviceInterval // for this and all further polls (RFC 8628 section 3.5)
	}
	state.Next = x.Start.Add(state.Interval)
	b, err := p.sealed(deviceValue+device, state)
	if err != nil {
		return nil, err
	}
	switch err := p.cfg.Values.ReplaceValue(x.r.Context(), deviceValue+device, b, state.Until); {
	case errors.Is(err, session.ErrNotFound): // another poll has got the answer meanwhile
		return nil, errDeviceExpired()
	case err != nil:
		return nil, err
	}
	if early {
		return nil, refuse("slow_down", "ask less often")
	}
	answer := &deviceAnswer{}
	if found, err = x.fetch(p.cfg.Values.TakeValue, answerValue, device, answer); err != nil {
		return nil, err
	}
	if !found {
		return nil, refuse("authorization_pending", "nobody has let the command line in yet")
	}
	if err := p.cfg.Values.DeleteValue(x.r.Context(), deviceValue+device); err != nil {
		return nil, err
	}
	if answer.SignIn == "" {
		return nil, refuse("access_denied", "the sign-in was refused in the browser")
	}
	return x.logIn(answer.SignIn, answer.Host)
}

func errDeviceExpired() error {
	return refuse("expired_token", "nobody let the command line in within "+inWords(deviceLife))
}

func errNoDeviceCodes() error {
	return refuse("unauthorized_client", "this service has no sign-in by code: run stint login on a computer with a browser")
}

// devicePage is the form for the code, and then what it stands for.
type devicePage struct {
	Code    string
	Error   string
	Request *deviceRequest
}

func (p *Portal) deviceForm(x *exchange) error {
	if done, err := x.requiredFor(); done {
		return err
	}
	page := &devicePage{}
	if code := readUserCode(x.r.URL.Query().Get("user_code")); code != "" {
		page.Code = printUserCode(code)
	}
	x.render(http.StatusOK, "device", "Command line", page)
	return nil
}

// deviceFound shows which command line the code is of.
func (p *Portal) deviceFound(x *exchange) error {
	if done, err := x.required(); done || err != nil {
		return err
	}
	code, request, err := x.deviceRequest()
	if err != nil || request == nil {
		return err
	}
	x.render(http.StatusOK, "device", "Command line", &devicePage{Code: printUserCode(code), Request: request})
	return nil
}

// deviceRequest finds the request of the code that was typed. nil: the answer has been given. Guessing is slowed down, by person: a stranger
// does not come here.
func (x *exchange) deviceRequest() (string, *deviceRequest, error) {
	throttle := "portal/user-code/" + x.signIn.person()
	allowed, err := x.p.cfg.Throttle.Attempt(x.r.Context(), throttle)
	if err != nil {
		return "", nil, err
	}
	fail := func(status int, text string) (string, *deviceRequest, error) {
		x.render(status, "device", "Command line", &devicePage{Error: text})
		return "", nil, nil
	}
	if !allowed {
		return fail(http.StatusTooManyRequests, "There were too many wrong codes. Wait a little before you try again.")
	}
	code, request := readUserCode(x.r.PostForm.Get("user_code")), &deviceRequest{}
	found, err := x.fetch(x.p.cfg.Values.Value, userCodeValue, code, request)
	switch {
	case err != nil:
		return "", nil, err
	case !found || !x.Start.Before(request.Until):
		return fail(http.StatusNotFound, "No command line waits for this code. It may be mistyped, used or too old.")
	}
	return code, request, x.p.cfg.Throttle.Succeed(x.r.Context(), throttle)
}

// person names who has signed in, the same each time.
func (s *signIn) person() string {
	if s.User != nil {
		return hashed(s.User.ID)
	}
	return hashed(s.Identities[0].Provider + "\x00" + s.Identities[0].Subject)
}

// deviceAnswered takes the person's answer. It uses the code up.
func (p *Portal) deviceAnswered(x *exchange) error {
	if done, err := x.required(); done || err != nil {
		return err
	}
	code, request, err := x.deviceRequest()
	if err != nil || request == nil {
		return err
	}
	found, err := x.fetch(p.cfg.Values.TakeValue, userCodeValue, code, request)
	if err != nil {
		return err
	}
	if !found {
		return &Problem{http.StatusConflict, "This code is used", "It was answered in another window.", errors.New("user code answered twice")}
	}
	answer := &deviceAnswer{Host: request.Host}
	allowed := x.r.PostForm.Get("answer") == "allow"
	if allowed {
		if err := x.allow(request.Host, "device-code", request.Address); err != nil {
			return err
		}
		answer.SignIn = x.signIn.id
	}
	if err := x.keep(answerValue, request.Device, answer, request.Until); err != nil {
		return err
	}
	to := cliDonePath
	if !allowed {
		to += "?denied"
	}
	x.redirect(to)
	return nil
}
