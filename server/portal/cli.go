package portal

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/sts"
)

// The command line signs in as RFC 8252 says for native apps: the browser comes to cliPath, the person lets the command line in, and a code
// goes to it by a redirect to a loopback address. It has the code exchanged for a login: a token that gets credentials as long as the
// sign-in of the browser lasts. Without a browser on its machine it does as RFC 8628 says: see device.go.

// clientID is the one client there is. It is public: nothing on a person's computer could keep a secret of the client's.
const clientID = "stint-cli"

// Prefixes of names of values.
const (
	codeValue     = "portal/code/"
	usedCodeValue = "portal/used-code/"
	loginValue    = "portal/login/"
)

// codeLife is how long an authorization code is good for (RFC 6749 section 4.1.2: ten minutes at most). The browser brings it at once.
const codeLife = time.Minute

// serveCLI adds what the command line needs.
func (p *Portal) serveCLI() {
	p.mux.Handle("GET "+cliPath, p.handler(p.cli))
	p.mux.Handle("POST "+cliPath, p.handler(p.cliAnswered))
	p.mux.Handle("GET "+cliDonePath, p.handler(p.cliDone))
	p.mux.Handle("POST "+cliPath+"/end", p.handler(p.endLogin))
	p.mux.Handle("POST "+cliPath+"/token", p.api(p.token))
	p.mux.Handle("POST "+cliPath+"/revoke", p.api(p.revoke))
	p.mux.Handle("GET "+cliPath+"/roles", p.api(p.offers))
	p.mux.Handle("POST "+cliPath+"/credentials", p.api(p.mintForCLI))
	if p.cfg.NoDeviceCodes {
		p.mux.Handle("POST "+cliPath+"/device-code", p.api(func(*exchange) (any, error) { return nil, errNoDeviceCodes() }))
		return
	}
	p.mux.Handle("POST "+cliPath+"/device-code", p.api(p.startDevice))
	p.mux.Handle("GET "+devicePath, p.handler(p.deviceForm))
	p.mux.Handle("POST "+devicePath, p.handler(p.deviceFound))
	p.mux.Handle("POST "+devicePath+"/answer", p.handler(p.deviceAnswered))
}

// grant is what a person lets the command line have, until the code for it is exchanged.
type grant struct {
	SignIn    string // its secret name
	Host      string
	Challenge string
	Redirect  string
	Until     time.Time
}

// login is a command line that has been let in.
type login struct {
	SignIn string // its secret name
}

// cliRequest is what the command line sends the browser with. Nothing in it is proven.
type cliRequest struct {
	Client, Redirect, State, Challenge, Host string
}

var (
	// A literal address: what localhost means, others may have a say in (RFC 8252 section 8.3).
	loopbackRedirect = regexp.MustCompile(`^http://(127\.0\.0\.1|\[::1\]):([1-9][0-9]{0,4})/callback$`)
	stateText        = regexp.MustCompile(`^[A-Za-z0-9_-]{16,128}$`)
	challengeText    = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // SHA-256 in base64url (RFC 7636 section 4.2)
	verifierText     = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
	hostText         = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

// readCLIRequest refuses what no stint sends. There is no redirect then: where to would be the sender's word.
func readCLIRequest(q url.Values) (*cliRequest, error) {
	r := &cliRequest{q.Get("client_id"), q.Get("redirect_uri"), q.Get("state"), q.Get("code_challenge"), hostName(q.Get("host"))}
	port := loopbackRedirect.FindStringSubmatch(r.Redirect)
	var fault string
	switch {
	case r.Client != clientID:
		fault = "client_id"
	case port == nil || !isPort(port[2]):
		fault = "redirect_uri"
	case q.Get("response_type") != "code":
		fault = "response_type"
	case !stateText.MatchString(r.State):
		fault = "state"
	case !challengeText.MatchString(r.Challenge) || q.Get("code_challenge_method") != "S256":
		fault = "code_challenge"
	default:
		return r, nil
	}
	return nil, &Problem{http.StatusBadRequest, "This did not come from the command line", "The link is not one that stint login makes. Run stint login again.",
		errors.New("request of the command line: " + fault)}
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n < 1<<16
}

// hostName is the name that a computer gives itself, if it is one.
func hostName(claimed string) string {
	if hostText.MatchString(claimed) {
		return claimed
	}
	return "a computer without a name"
}

// check is a short text that the command line shows too, so that people see which of their terminals asks.
func (r *cliRequest) check() string {
	sum := sha256.Sum256([]byte(r.Challenge))
	text := strings.ToUpper(hex.EncodeToString(sum[:4]))
	return text[:4] + "-" + text[4:]
}

// back is the redirect URI with an answer.
func (r *cliRequest) back(name, value string) string {
	return r.Redirect + "?" + url.Values{name: {value}, "state": {r.State}}.Encode()
}

// cliPage asks whether the command line may have credentials.
type cliPage struct {
	*cliRequest

	Check   string
	Address string
}

func (p *Portal) cli(x *exchange) error {
	request, err := readCLIRequest(x.r.URL.Query())
	if err != nil {
		return err
	}
	if done, err := x.requiredFor(); done {
		return err
	}
	// Browsers ask form-action about the redirect that follows a form too. It has no way to write an IPv6 address.
	to := "http:"
	if !strings.Contains(request.Redirect, "[") {
		to = strings.TrimSuffix(request.Redirect, "/callback")
	}
	secureHeaders(x.w.Header(), to)
	x.render(http.StatusOK, "cli", "Command line", &cliPage{request, request.check(), x.request().SourceIP})
	return nil
}

func (p *Portal) cliAnswered(x *exchange) error {
	if done, err := x.required(); done || err != nil {
		return err
	}
	request, err := readCLIRequest(x.r.PostForm)
	if err != nil {
		return err
	}
	if x.r.PostForm.Get("answer") != "allow" {
		x.redirect(request.back("error", "access_denied"))
		return nil
	}
	if err := x.allow(request.Host, "browser", x.request().SourceIP); err != nil {
		return err
	}
	code := newSecret()
	until := x.Start.Add(codeLife)
	if err := x.keep(codeValue, code, &grant{x.signIn.id, request.Host, request.Challenge, request.Redirect, until}, until); err != nil {
		return err
	}
	x.redirect(request.back("code", code))
	return nil
}

func (p *Portal) cliDone(x *exchange) error {
	if err := x.load(); err != nil {
		return err
	}
	x.render(http.StatusOK, "done", "Command line", x.r.URL.Query().Has("denied"))
	return nil
}

// allow writes down that a person lets a command line in, and refuses one who may not be anybody any more.
func (x *exchange) allow(host, flow, address string) error {
	_, err := run[sts.CommandLineInput, struct{}](x, x.p.cfg.Operations.AllowCommandLine, &sts.CommandLineInput{
		Host: host, Flow: flow, Address: address, SignIn: x.signIn.SignIn,
	})
	return err
}

// keep seals a value under a secret name.
func (x *exchange) keep(prefix, name string, v any, until time.Time) error {
	b, err := x.p.sealed(prefix+name, v)
	if err != nil {
		return err
	}
	return x.p.cfg.Values.SetValue(x.r.Context(), prefix+name, b, until)
}

// fetch reads a sealed value by Value or TakeValue. found is false when there is none.
func (x *exchange) fetch(by func(context.Context, string) ([]byte, error), prefix, name string, into any) (found bool, err error) {
	if name == "" || len(name) > 2*secretLength {
		return false, nil // not one of ours
	}
	b, err := by(x.r.Context(), prefix+name)
	if errors.Is(err, session.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, x.p.opened(prefix+name, b, into)
}

// redeem exchanges an authorization code for a login. A code is used up by the first who shows it, right or wrong; who shows it again
// ends the login that was made of it, since one of the two has stolen it (RFC 6749 section 4.1.2).
func (p *Portal) redeem(x *exchange) (any, error) {
	code, verifier, redirect := x.field("code"), x.field("code_verifier"), x.field("redirect_uri")
	g := &grant{}
	found, err := x.fetch(p.cfg.Values.TakeValue, codeValue, code, g)
	if err != nil {
		return nil, err
	}
	if !found {
		var token string
		if found, err = x.fetch(p.cfg.Values.TakeValue, usedCodeValue, code, &token); err == nil && found {
			err = p.cfg.Values.DeleteValue(x.r.Context(), loginValue+token)
		}
		if err != nil {
			return nil, err
		}
		return nil, refuse("invalid_grant", "the code is unknown, used or too old")
	}
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case !x.Start.Before(g.Until):
		return nil, refuse("invalid_grant", "the code is unknown, used or too old")
	case redirect != g.Redirect:
		return nil, refuse("invalid_grant", "redirect_uri is not that of the request")
	case !verifierText.MatchString(verifier) || subtle.ConstantTimeCompare([]byte(challenge), []byte(g.Challenge)) != 1:
		return nil, refuse("invalid_grant", "code_verifier does not match the request's code_challenge")
	}
	answer, err := x.logIn(g.SignIn, g.Host)
	if err != nil {
		return nil, err
	}
	return answer, x.keep(usedCodeValue, code, &answer.Token, x.Start.Add(codeLife))
}

// tokenAnswer is the answer of RFC 6749 section 5.1. There is no refresh token: the login itself lasts as long as it may.
type tokenAnswer struct {
	Token   string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"` // seconds; it may end before
	Subject string `json:"subject"`
}

// loginPrefix lets people and scanners of repositories tell what they found.
const loginPrefix = "stint-login-"

// logIn makes a login of a sign-in that holds.
func (x *exchange) logIn(signIn, host string) (*tokenAnswer, error) {
	s, err := x.find(signIn)
	if err != nil {
		return nil, err
	}
	if s == nil || s.MustChange {
		return nil, refuse("invalid_grant", "the sign-in has ended")
	}
	token := loginPrefix + newSecret()
	end := x.p.latest(s)
	if err := x.keep(loginValue, token, &login{signIn}, end); err != nil {
		return nil, err
	}
	if err := x.list(signIn, listedLogin{token, host, x.Start}, end); err != nil {
		return nil, err
	}
	return &tokenAnswer{token, "Bearer", int64(end.Sub(x.Start).Seconds()), s.Subject()}, nil
}

// latest is when the sign-in ends however much it is used.
func (p *Portal) latest(s *signIn) time.Time {
	end := s.Started.Add(p.cfg.Lifetime)
	if other := s.End(); !other.IsZero() && other.Before(end) {
		end = other
	}
	return end
}

// bearer makes the exchange one of the person whose login it shows. Its use counts as use of the sign-in.
func (x *exchange) bearer() error {
	token, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
	if !ok || !strings.HasPrefix(token, loginPrefix) || len(x.r.Header.Values("Authorization")) != 1 {
		return errLoginEnded()
	}
	l := &login{}
	found, err := x.fetch(x.p.cfg.Values.Value, loginValue, token, l)
	if err != nil {
		return err
	}
	if !found {
		return errLoginEnded()
	}
	s, err := x.find(l.SignIn)
	if err != nil {
		return err
	}
	if s == nil || s.MustChange {
		if err := x.p.cfg.Values.DeleteValue(x.r.Context(), loginValue+token); err != nil {
			return err
		}
		return errLoginEnded()
	}
	x.signIn = s
	return nil
}

func errLoginEnded() error {
	return &refusal{Status: http.StatusUnauthorized, Code: "invalid_token", Text: "the sign-in has ended"}
}

// revoke ends a login. It succeeds for one that is not there (RFC 7009 section 2.2).
func (p *Portal) revoke(x *exchange) (any, error) {
	token := x.field("token")
	if !strings.HasPrefix(token, loginPrefix) || len(token) != len(loginPrefix)+secretLength {
		return struct{}{}, nil
	}
	return struct{}{}, p.cfg.Values.DeleteValue(x.r.Context(), loginValue+token)
}

// offered is a role as the command line sees it.
type offered struct {
	ARN      string `json:"arn"`
	Name     string `json:"name"`
	Account  string `json:"account"`
	Alias    string `json:"alias,omitempty"`
	Provider string `json:"provider,omitempty"`
	Longest  int64  `json:"longest"` // seconds
}

type offersAnswer struct {
	Subject string    `json:"subject"`
	Roles   []offered `json:"roles"`
	Own     bool      `json:"own"`  // an IAM user, who has a session of its own
	More    bool      `json:"more"` // the account has more roles than are looked at
}

// offers lists what the person may take.
func (p *Portal) offers(x *exchange) (any, error) {
	if err := x.bearer(); err != nil {
		return nil, err
	}
	offers, err := p.cfg.SignIns.Offers(x.r.Context(), x.request(), x.signIn.SignIn)
	if err != nil {
		return nil, err
	}
	answer := &offersAnswer{Subject: x.signIn.Subject(), Roles: []offered{}, Own: x.signIn.User != nil, More: offers.More}
	aliases := make(map[string]string)
	for _, o := range offers.Roles {
		alias, known := aliases[o.Account]
		if !known {
			if alias, err = p.cfg.Directory.AccountAlias(x.r.Context(), o.Account); err != nil {
				return nil, err
			}
			aliases[o.Account] = alias
		}
		answer.Roles = append(answer.Roles, offered{o.ARN, o.Name, o.Account, alias, o.Provider, int64(o.Longest.Seconds())})
	}
	return answer, nil
}

// credentialsAnswer is what credential_process prints, with how long the credentials last by the server's clock.
type credentialsAnswer struct {
	AccessKeyID     string    `json:"AccessKeyId"`
	SecretAccessKey string    `json:"SecretAccessKey"`
	SessionToken    string    `json:"SessionToken"`
	Expiration      time.Time `json:"Expiration"`
	Lasts           int64     `json:"Lasts"` // seconds
}

// mintForCLI is credentials for the command line.
func (p *Portal) mintForCLI(x *exchange) (any, error) {
	if err := x.bearer(); err != nil {
		return nil, err
	}
	seconds, err := strconv.Atoi(x.field("duration"))
	if err != nil || seconds < 900 || seconds > 36*3600 {
		return nil, refuse("invalid_request", "duration must be 900 to 129600 seconds")
	}
	role := x.field("role")
	if role != ownSession {
		role += " " + x.field("provider")
	}
	out, err := p.mint(x, &credentialsPage{Role: role}, time.Duration(seconds)*time.Second)
	if err != nil {
		return nil, err
	}
	c := out.Credentials
	return &credentialsAnswer{
		c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal(), c.Expiration.UTC(), int64(c.Expiration.Sub(x.Start).Seconds()),
	}, nil
}

// token answers requests for a login.
func (p *Portal) token(x *exchange) (any, error) {
	if x.field("client_id") != clientID {
		return nil, refuse("invalid_client", "client_id must be "+clientID)
	}
	switch kind := x.field("grant_type"); kind {
	case "authorization_code":
		return p.redeem(x)
	case deviceGrant:
		return p.poll(x)
	default:
		return nil, refuse("unsupported_grant_type", fmt.Sprintf("grant_type must be authorization_code or %s", deviceGrant))
	}
}
