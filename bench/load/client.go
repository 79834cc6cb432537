//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/stint-sts/stint/sigv4"
)

type credentials = sigv4.Credentials

const region = "us-east-1"

// connection is one keep-alive connection of the driver. It writes HTTP itself: what net/http's client costs would keep the server
// waiting. It is not safe for concurrent use.
type connection struct {
	net      net.Conn
	reader   *bufio.Reader
	host     string
	invokeID string
	request  []byte
	answer   bytes.Buffer
}

func dial(ctx context.Context, address string) (*connection, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{net: c, reader: bufio.NewReader(c), host: address, invokeID: "8f0a6a3c-5f0e-4f0b-9a3e-1f2d3c4b5a69"}, nil
}

// errUnavailable is an answer 503. On a machine that is busy with other things Redis may be silent for longer than stint waits.
var errUnavailable = errors.New("the server answered 503")

// userAgent is as long as what an SDK sends.
const userAgent = "aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/sts#1.52.0 m/E,g"

// requestTimeout bounds one request, so that a run ends.
const requestTimeout = 30 * time.Second

// call signs and sends a form with the headers that aws-sdk-go-v2 sends, and returns the answer, which the next call overwrites. An
// empty key leaves the form unsigned.
func (c *connection) call(key credentials, form []byte) ([]byte, error) {
	now := time.Now()
	r := sigv4.Request{Method: http.MethodPost, Path: "/", Host: c.host, Body: form, Header: map[string][]string{
		"Amz-Sdk-Invocation-Id": {c.invokeID},
		"Amz-Sdk-Request":       {"attempt=1; max=3"},
		"Content-Length":        {strconv.Itoa(len(form))},
		"Content-Type":          {"application/x-www-form-urlencoded"},
	}}
	if key.AccessKeyID != "" {
		if err := sigv4.Sign(&r, key, region, "sts", now); err != nil {
			return nil, err
		}
	}
	c.request = append(c.request[:0], "POST / HTTP/1.1\r\nHost: "+c.host+"\r\nUser-Agent: "+userAgent+"\r\nAccept-Encoding: identity\r\n"...)
	for name, values := range r.Header {
		for _, value := range values {
			c.request = append(append(append(append(c.request, name...), ": "...), value...), "\r\n"...)
		}
	}
	c.request = append(append(c.request, "\r\n"...), form...)
	if err := c.net.SetDeadline(now.Add(requestTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.net.Write(c.request); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	c.answer.Reset()
	if _, err := c.answer.ReadFrom(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusServiceUnavailable {
		return nil, errUnavailable
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, c.answer.Bytes()[:min(512, c.answer.Len())])
	}
	return c.answer.Bytes(), nil
}

// Close closes the connection.
func (c *connection) Close() error { return c.net.Close() }
