package chaos_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stint-sts/stint/chaos"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sigv4"
)

// callTimeout bounds one call: longer than any fault keeps a node from answering.
const callTimeout = 20 * time.Second

// answer holds what the tests read of answers and errors of all operations.
type answer struct {
	Credentials struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string `xml:"SecretAccessKey"`
		SessionToken    string `xml:"SessionToken"`
	}
	AccessKeyID     string
	SecretAccessKey string
	Serial, Seed    string
	RoleARN         string
	Users           []string
	Marker          string
	Nodes           string
	Code, Message   string
}

// read collects the elements by name, wherever they are.
func read(body io.Reader) (a answer, err error) {
	d := xml.NewDecoder(body)
	into := map[string]func(string){
		"AccessKeyId":     func(s string) { a.Credentials.AccessKeyID = s },
		"SecretAccessKey": func(s string) { a.Credentials.SecretAccessKey = s },
		"SessionToken":    func(s string) { a.Credentials.SessionToken = s },
		"SerialNumber":    func(s string) { a.Serial = s }, "Base32StringSeed": func(s string) { a.Seed = s },
		"Arn": func(s string) { a.RoleARN = s }, "UserName": func(s string) { a.Users = append(a.Users, s) },
		"Marker": func(s string) { a.Marker = s }, "Nodes": func(s string) { a.Nodes = s },
		"Code": func(s string) { a.Code = s }, "Message": func(s string) { a.Message = s },
	}
	var text strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return a, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			text.Reset()
		case xml.CharData:
			text.Write(token)
		case xml.EndElement:
			if set := into[token.Name.Local]; set != nil {
				set(strings.TrimSpace(text.String()))
			}
		}
	}
}

// call signs and sends a form to a node, and tells what became of it.
func (i *installation) call(ctx context.Context, node int, key sigv4.Credentials, service string, form ...string) (answer, chaos.Call) {
	values := url.Values{}
	for n := 0; n+1 < len(form); n += 2 {
		values.Set(form[n], form[n+1])
	}
	values.Set("Version", map[string]string{"sts": "2011-06-15", "iam": "2010-05-08"}[service])
	body := values.Encode()
	c := chaos.Call{Node: node, Begin: i.clock()}
	a, status, err := i.send(ctx, node, key, service, body)
	c.End, c.Code = i.clock(), a.Code
	switch {
	case err != nil:
		c.Code = err.Error()
	case status == http.StatusOK:
		c.Outcome = chaos.Passed
	case status < http.StatusInternalServerError && a.Code != "Throttling":
		c.Outcome = chaos.Refused
	}
	return a, c
}

func (i *installation) send(ctx context.Context, node int, key sigv4.Credentials, service, body string) (a answer, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	host := i.nodes[node].address
	signed := sigv4.Request{Method: http.MethodPost, Path: "/", Host: host, Body: []byte(body), Header: map[string][]string{
		"Content-Type": {"application/x-www-form-urlencoded"},
	}}
	if err := sigv4.Sign(&signed, key, "us-east-1", service, time.Now()); err != nil {
		return a, 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+host+"/", strings.NewReader(body))
	if err != nil {
		return a, 0, err
	}
	r.Header = signed.Header
	response, err := i.http.Do(r)
	if err != nil {
		return a, 0, err
	}
	defer response.Body.Close()
	a, err = read(io.LimitReader(response.Body, 1<<20))
	return a, response.StatusCode, err
}

func (a *answer) credentials() sigv4.Credentials {
	return sigv4.Credentials{
		AccessKeyID: a.Credentials.AccessKeyID, SecretAccessKey: secret.New(a.Credentials.SecretAccessKey), SessionToken: secret.New(a.Credentials.SessionToken),
	}
}
