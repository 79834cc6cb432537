package portal

import (
	"encoding/base64"
	"strings"
	"time"
)

// resume is a page that somebody was on the way to before they had to sign in. It waits in a sealed cookie.
type resume struct {
	To    string
	Until time.Time
}

const resumeCookie = "stint-resume"

// maxResume is longer than any link of ours; what is sealed of it fits into a cookie.
const maxResume = 1024

// requiredFor is required for a page that people come to from elsewhere: after signing in they are brought back to it.
func (x *exchange) requiredFor() (done bool, err error) {
	if err := x.load(); err != nil {
		return true, err
	}
	if to := x.r.URL.RequestURI(); (x.signIn == nil || x.signIn.MustChange) && len(to) <= maxResume {
		b, err := x.p.sealed(resumeCookie, &resume{to, x.Start.Add(pendingLife)})
		if err != nil {
			return true, err
		}
		x.setCookie(resumeCookie, base64.RawURLEncoding.EncodeToString(b), pendingLife)
	}
	return x.required()
}

// resumed is where the person was on the way to, once; empty: nowhere.
func (x *exchange) resumed() string {
	text := x.cookie(resumeCookie)
	if text == "" {
		return ""
	}
	x.dropCookie(resumeCookie)
	r := &resume{}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || x.p.opened(resumeCookie, b, r) != nil || !x.Start.Before(r.Until) {
		return ""
	}
	if !strings.HasPrefix(r.To, cliPath+"?") && r.To != devicePath && !strings.HasPrefix(r.To, devicePath+"?") {
		return ""
	}
	return r.To
}
