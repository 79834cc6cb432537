package server_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/audit"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/server"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/sigv4"
	"github.com/stint-sts/stint/sts"
)

// refuser answers every call with one error.
type refuser struct{ err error }

func (r refuser) Authenticate(context.Context, *sigv4.Request, *authn.Request) (*authn.Caller, error) {
	return nil, r.err
}

func (refuser) Record(context.Context, *audit.Event) error { return nil }

// Every error of the table reads the same in XML and JSON, with its status, and escapes its message.
func TestErrors_OverTheWire(t *testing.T) {
	t.Parallel()
	const message = `User <eve> & "bob" may not`
	for _, k := range awserr.All() {
		r := refuser{awserr.New(k, message)}
		h := server.NewQueryHandler(dispatch.New(dispatch.Config{
			Authenticator: r, Recorder: r, Log: slog.New(slog.DiscardHandler), Used: func(*authn.Caller) {},
		}), nil, 1, time.Now)
		ask := func(accept string) *httptest.ResponseRecorder {
			in := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(whoAmI))
			in.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, in)
			return w
		}
		type body struct{ Type, Code, Message string }
		want := body{k.Fault.String(), k.Code, message}

		w := ask("")
		var asXML struct {
			XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
			Error     body
			RequestId string
		}
		if err := xml.Unmarshal(w.Body.Bytes(), &asXML); err != nil || asXML.Error != want || asXML.RequestId != w.Header().Get("X-Amzn-RequestId") || w.Code != k.HTTPStatus {
			t.Errorf("%s in XML: %d %s (%v)", k.Code, w.Code, w.Body, err)
		}
		w = ask("application/json")
		var asJSON struct {
			Error     body
			RequestId string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &asJSON); err != nil || asJSON.Error != want || asJSON.RequestId != w.Header().Get("X-Amzn-RequestId") || w.Code != k.HTTPStatus {
			t.Errorf("%s in JSON: %d %s (%v)", k.Code, w.Code, w.Body, err)
		}
	}
}

// neverRaised are modelled errors that stint has no occasion for, or says otherwise.
var neverRaised = map[string]string{
	"ServiceFailure":                "InternalFailure, which is common to all operations",
	"RegionDisabledException":       "stint has no regions that can be switched off",
	"PolicyEvaluation":              "a policy that was stored has been compiled",
	"EntityTemporarilyUnmodifiable": "changes are transactions: none is half done",
	"OpenIdIdpCommunicationError":   "nothing is fetched when a provider is registered",
	"NotSupportedService":           "service-specific credentials are listed only, and there are none",
}

// ours are the operations that AWS does not have.
var ours = map[string]bool{"RevokeSessions": true}

// What AWS's models let an operation answer, stint's table of errors has.
func TestErrors_OfOperations(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/errors.json")
	if err != nil {
		t.Fatal(err)
	}
	var modelled map[string]map[string][]string
	if err := json.Unmarshal(raw, &modelled); err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, k := range awserr.All() {
		have[k.Code] = true
	}
	seen := 0
	for o := range dispatch.NewTable(&sts.Service{}, &iam.Service{}).All {
		codes, known := modelled[o.Service][o.Name]
		if !known && !ours[o.Name] {
			t.Errorf("%s:%s is no operation of AWS", o.Service, o.Name)
		}
		for _, code := range codes {
			seen++
			if !have[code] && neverRaised[code] == "" {
				t.Errorf("%s:%s may answer %s, which stint does not have", o.Service, o.Name, code)
			}
		}
	}
	if seen == 0 {
		t.Error("no operation has modelled errors")
	}
}
