package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sigv4"
)

func TestFloor(t *testing.T) {
	t.Parallel()
	key := accessKey{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	h, err := newHandler(config{key: key, roleAnswer: 1700, identityAnswer: 450, token: 800})
	if err != nil {
		t.Fatal(err)
	}
	signed := func(action string) *http.Request {
		body := url.Values{"Action": {action}, "Version": {"2011-06-15"}}.Encode()
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:1234/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if err := sigv4.Sign(&sigv4.Request{Method: r.Method, Path: "/", Host: r.Host, Header: r.Header, Body: []byte(body)},
			sigv4.Credentials{AccessKeyID: key.id, SecretAccessKey: secret.New(key.secret)}, "us-east-1", "sts", time.Now()); err != nil {
			t.Fatal(err)
		}
		return r
	}
	tampered := signed("GetCallerIdentity")
	tampered.Header.Set("X-Amz-Date", "20150830T123600Z")
	for _, row := range []struct {
		name         string
		request      *http.Request
		status, size int
	}{
		{"role answer has its size", signed("AssumeRole"), http.StatusOK, 1700},
		{"identity answer has its size", signed("GetCallerIdentity"), http.StatusOK, 450},
		{"a changed header is refused", tampered, http.StatusForbidden, len("SignatureDoesNotMatch\n")},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, row.request)
		if w.Code != row.status || w.Body.Len() != row.size {
			t.Errorf("%s: status %d and %d bytes, want %d and %d", row.name, w.Code, w.Body.Len(), row.status, row.size)
		}
	}
}
