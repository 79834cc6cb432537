package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/stint-sts/stint/agent"
	"github.com/stint-sts/stint/secret"
)

// portalClient asks the portal what programs may ask.
type portalClient struct {
	endpoint string
	http     *http.Client
}

const (
	portalTimeout = 30 * time.Second
	maxPortalText = 4 << 20 // bytes of an answer: five thousand roles fit
	loginClientID = "stint-cli"
	deviceGrant   = "urn:ietf:params:oauth:grant-type:device_code"
	loginPatience = 10 * time.Minute // for the person in the browser
)

func newPortalClient(endpoint, caFile string) (*portalClient, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file: %s holds no certificate", caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &portalClient{endpoint, &http.Client{
		Transport: transport, Timeout: portalTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// portalError is what the portal refuses with (RFC 6749 section 5.2).
type portalError struct {
	Code string `json:"error"`
	Text string `json:"error_description"`
}

func (e *portalError) Error() string { return printable(e.Text) }

func isPortalError(err error, codes ...string) bool {
	e, ok := errors.AsType[*portalError](err)
	for _, code := range codes {
		if ok && e.Code == code {
			return true
		}
	}
	return false
}

func isLoginEnded(err error) bool { return isPortalError(err, "invalid_token") }

// call sends a form, or asks when form is nil.
func (c *portalClient) call(ctx context.Context, path string, token secret.String, form url.Values, into any) error {
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, c.endpoint+"/portal/cli/"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "stint/"+versionString())
	r.Header.Set("Accept", "application/json")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if t := token.Reveal(); t != "" {
		r.Header.Set("Authorization", "Bearer "+t)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("%s cannot be reached: %w", c.endpoint, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxPortalText))
	if err != nil {
		return fmt.Errorf("%s: %w", c.endpoint, err)
	}
	if response.StatusCode == http.StatusOK {
		if json.Unmarshal(text, into) == nil {
			return nil
		}
	} else if e := (&portalError{}); json.Unmarshal(text, e) == nil && e.Code != "" {
		return e
	}
	return fmt.Errorf("%s has no portal that command lines sign in by (HTTP %d)", c.endpoint, response.StatusCode)
}

type offeredRole struct {
	ARN, Name, Account, Alias, Provider string
}

type offersAnswer struct {
	Subject string
	Roles   []offeredRole
	Own     bool
}

func (c *portalClient) offers(ctx context.Context, token secret.String) (*offersAnswer, error) {
	answer := &offersAnswer{}
	return answer, c.call(ctx, "roles", token, nil, answer)
}

func (c *portalClient) revoke(ctx context.Context, token secret.String) error {
	return c.call(ctx, "revoke", secret.String{}, url.Values{"token": {token.Reveal()}}, &struct{}{})
}

func (c *portalClient) credentials(ctx context.Context, token secret.String, role, provider string, lasts time.Duration) (agent.Credentials, error) {
	var answer struct {
		AccessKeyId, SecretAccessKey, SessionToken string
		Expiration                                 time.Time
		Lasts                                      int64
	}
	form := url.Values{"role": {role}, "duration": {strconv.Itoa(int(lasts.Seconds()))}}
	if provider != "" {
		form.Set("provider", provider)
	}
	if err := c.call(ctx, "credentials", token, form, &answer); err != nil {
		return agent.Credentials{}, err
	}
	return agent.Credentials{
		AccessKeyID: answer.AccessKeyId, SecretAccessKey: secret.New(answer.SecretAccessKey), SessionToken: secret.New(answer.SessionToken),
		Expiration: answer.Expiration, Lifetime: time.Duration(answer.Lasts) * time.Second,
	}, nil
}

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	Subject     string `json:"subject"`
}

func (c *portalClient) token(ctx context.Context, form url.Values) (*tokenAnswer, error) {
	answer := &tokenAnswer{}
	form.Set("client_id", loginClientID)
	if err := c.call(ctx, "token", secret.String{}, form, answer); err != nil {
		return nil, err
	}
	if answer.AccessToken == "" {
		return nil, fmt.Errorf("%s gave no login", c.endpoint)
	}
	return answer, nil
}

// newLogin signs the person in, by a browser here or by a code.
func (f *loginFlags) newLogin(ctx context.Context, client *portalClient) (*tokenAnswer, error) {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	ctx, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	if *f.noBrowser || !hasBrowser(f.p) {
		return byCode(ctx, f.p, client, host)
	}
	return byBrowser(ctx, f.p, client, host)
}

// hasBrowser guesses whether a browser can be opened where the person sits.
func hasBrowser(p program) bool {
	set := func(name string) bool { v, ok := p.env(name); return ok && v != "" }
	switch {
	case set("BROWSER"):
		return true
	case runtime.GOOS == "windows" || runtime.GOOS == "darwin":
		return !set("SSH_CONNECTION")
	default:
		return set("DISPLAY") || set("WAYLAND_DISPLAY")
	}
}

// openBrowser opens the URL and does not wait for the browser. When it cannot, the person has the URL.
func openBrowser(p program, target string) {
	words := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		words = []string{"open"}
	case "windows":
		words = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	if v, ok := p.env("BROWSER"); ok {
		one, _, _ := strings.Cut(v, ":")
		if given := strings.Fields(one); len(given) > 0 {
			words = given
		}
	}
	placed := false
	for i, w := range words {
		if strings.Contains(w, "%s") {
			words[i], placed = strings.ReplaceAll(w, "%s", target), true
		}
	}
	if !placed {
		words = append(words, target)
	}
	command := exec.Command(words[0], words[1:]...)
	if command.Start() == nil {
		go func() { _ = command.Wait() }()
	}
}

func randomText() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// byBrowser is the authorization code flow with PKCE of RFC 8252: the browser brings the code to a port of this machine.
func byBrowser(ctx context.Context, p program, client *portalClient, host string) (*tokenAnswer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if listener, err = net.Listen("tcp", "[::1]:0"); err != nil {
			return nil, fmt.Errorf("no port of this computer can be listened on: %w; use --no-browser", err)
		}
	}
	verifier := randomText()
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	back := &callback{host: listener.Addr().String(), state: randomText(), done: client.endpoint + "/portal/cli/done", answers: make(chan url.Values, 1)}
	server := &http.Server{Handler: back, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	go func() { _ = server.Serve(listener) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	}()
	redirect := "http://" + back.host + "/callback"
	target := client.endpoint + "/portal/cli?" + url.Values{
		"response_type": {"code"}, "client_id": {loginClientID}, "redirect_uri": {redirect}, "state": {back.state},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "host": {host},
	}.Encode()
	_, _ = fmt.Fprintf(p.stderr, "Go on in your browser. If it does not open, go to\n\n    %s\n\nAllow it only if it shows the code %s.\n", target, checkText(challenge))
	openBrowser(p, target)
	select {
	case answer := <-back.answers:
		if answer.Get("error") != "" {
			return nil, errors.New("the sign-in was refused in the browser")
		}
		return client.token(ctx, url.Values{
			"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "code_verifier": {verifier}, "redirect_uri": {redirect},
		})
	case <-ctx.Done():
		return nil, waited(ctx)
	}
}

func waited(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("nobody signed in within %v", loginPatience)
	}
	return ctx.Err()
}

// checkText is the text by which the page and the terminal are seen to belong together.
func checkText(challenge string) string {
	sum := sha256.Sum256([]byte(challenge))
	text := strings.ToUpper(hex.EncodeToString(sum[:4]))
	return text[:4] + "-" + text[4:]
}

// callback takes the one answer that the browser brings. Pages of other sites reach it too: without the state they achieve nothing.
type callback struct {
	host, state, done string
	answers           chan url.Values
}

func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	query := r.URL.Query()
	known := subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(c.state)) == 1
	if r.Method != http.MethodGet || r.URL.Path != "/callback" || r.Host != c.host || !known || (query.Get("code") == "") == (query.Get("error") == "") {
		http.Error(w, "This is not an answer to stint login.", http.StatusBadRequest)
		return
	}
	select {
	case c.answers <- query:
	default: // there was one
	}
	to := c.done
	if query.Get("error") != "" {
		to += "?denied"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// byCode is the device authorization flow of RFC 8628.
func byCode(ctx context.Context, p program, client *portalClient, host string) (*tokenAnswer, error) {
	var codes struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
		URI        string `json:"verification_uri"`
		Interval   int64  `json:"interval"`
	}
	if err := client.call(ctx, "device-code", secret.String{}, url.Values{"client_id": {loginClientID}, "host": {host}}, &codes); err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(p.stderr, "On any computer, open\n\n    %s\n\nand type the code\n\n    %s\n\n", printable(codes.URI), printable(codes.UserCode))
	interval := time.Duration(max(codes.Interval, 1)) * time.Second
	for {
		select {
		case <-ctx.Done():
			return nil, waited(ctx)
		case <-time.After(interval):
		}
		token, err := client.token(ctx, url.Values{"grant_type": {deviceGrant}, "device_code": {codes.DeviceCode}})
		refused, judged := errors.AsType[*portalError](err)
		switch {
		case err == nil:
			return token, nil
		case !judged, refused.Code == "temporarily_unavailable", refused.Code == "slow_down":
			interval += 5 * time.Second // RFC 8628 section 3.5
		case refused.Code != "authorization_pending":
			return nil, err
		}
	}
}
