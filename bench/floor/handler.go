package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
)

// config is what a handler needs. The sizes are those of the answers it is compared with.
type config struct {
	key            accessKey
	roleAnswer     int // bytes
	identityAnswer int // bytes
	token          int // bytes
	records        *recorder
}

type handler struct {
	check            *signatureCheck
	records          *recorder // nil: none
	macKey           []byte
	token            []byte
	role, identified answer
}

func newHandler(cfg config) (*handler, error) {
	h := &handler{
		check: newSignatureCheck(cfg.key), records: cfg.records,
		macKey: make([]byte, sha256.Size), token: bytes.Repeat([]byte("t"), max(0, cfg.token)),
	}
	_, _ = rand.Read(h.macKey) // never fails (crypto/rand)
	var err error
	if h.role, err = newAnswer("AssumeRole", cfg.roleAnswer); err != nil {
		return nil, err
	}
	h.identified, err = newAnswer("GetCallerIdentity", cfg.identityAnswer)
	return h, err
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/metrics" {
		mallocs(w)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !h.check.accepts(r, body) {
		http.Error(w, "SignatureDoesNotMatch", http.StatusForbidden)
		return
	}
	mac := hmac.New(sha256.New, h.macKey)
	_, _ = mac.Write(h.token) // never fails (hash.Hash)
	sum := mac.Sum(nil)
	a := &h.identified
	if form.Get("Action") == "AssumeRole" {
		a = &h.role
		if h.records != nil {
			if err := h.records.put(context.Background()); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
	}
	w.Header()["Content-Type"] = contentType
	_, _ = w.Write(a.text(sum)) // the client may have left
}

var contentType = []string{"text/xml"}

// mallocs tells how many objects were allocated, under the name of the Prometheus Go collector.
func mallocs(w io.Writer) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_, _ = fmt.Fprintf(w, "go_memstats_mallocs_total %d\n", m.Mallocs)
}

// answer is an XML document around what changes from answer to answer.
type answer struct{ head, tail []byte }

const changing = 2 * sha256.Size // bytes

func newAnswer(action string, size int) (answer, error) {
	head := fmt.Sprintf("<%sResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><%[1]sResult><Value>", action)
	tail := fmt.Sprintf("</Value></%sResult></%[1]sResponse>", action)
	padding := size - len(head) - len(tail) - changing
	if padding < 0 {
		return answer{}, errors.New("an answer is too small for its frame")
	}
	return answer{[]byte(head), append(bytes.Repeat([]byte("x"), padding), tail...)}, nil
}

func (a *answer) text(sum []byte) []byte {
	text := make([]byte, 0, len(a.head)+changing+len(a.tail))
	text = append(text, a.head...)
	text = hex.AppendEncode(text, sum)
	return append(text, a.tail...)
}
