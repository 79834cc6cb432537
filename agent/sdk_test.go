package agent_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"

	"github.com/stint-sts/stint/agent"
	"github.com/stint-sts/stint/secret"
)

// inProcess answers an SDK's requests by a handler, so that both live by the bubble's clock.
type inProcess struct{ handler http.Handler }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Method == "" {
		r.Method = http.MethodGet // as a transport sends it
	}
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// A stock SDK that keeps asking for a day never holds credentials that have ended, and sees each renewal.
func TestContainer_SDKSeesTheRefresh(t *testing.T) {
	t.Parallel()
	inWorld(t, &fakeSource{lifetime: time.Hour}, func(w *world) {
		c := &agent.Container{Keeper: w.keeper, Role: webRole, Token: secret.New(authorization), Wait: time.Second}
		sdk := aws.NewCredentialsCache(endpointcreds.New("http://127.0.0.1"+agent.ContainerPath, func(o *endpointcreds.Options) {
			o.HTTPClient, o.AuthorizationToken = inProcess{c.Handler()}, authorization
		}))
		seen := make(map[string]bool)
		for range 24 * 60 {
			got, err := sdk.Retrieve(w.t.Context())
			if err != nil || !got.CanExpire || !got.Expires.After(time.Now()) {
				w.t.Fatalf("%+v, %v", got.Expires, err)
			}
			seen[got.AccessKeyID] = true
			after(time.Minute)
		}
		if len(seen) < 12 {
			w.t.Errorf("the SDK saw %d credentials in a day", len(seen))
		}
	})
}
