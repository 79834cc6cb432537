package server_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stint-sts/stint/server"
)

// pipes is a listener without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// A client that is slow, or stops, is let go of in bounded time. The clock is synctest's.
func TestLimits_SlowClients(t *testing.T) {
	t.Parallel()
	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: " + formType + "\r\n"
	for _, row := range []struct {
		name  string
		sent  string
		drip  string        // one byte of it every second, when not empty
		want  time.Duration // at most, until the connection is closed
		reply string        // begins with
	}{
		{"nothing is sent", "", "", 10 * time.Second, ""},
		{"head stops", head, "", 10 * time.Second, ""},
		{"head drips", head, "X: " + strings.Repeat("y", 100), 10 * time.Second, ""},
		{"body stops", head + "Content-Length: 43\r\n\r\nAction=", "", 30 * time.Second, "HTTP/1.1 400 Bad Request\r\n"},
		{"body drips", head + "Content-Length: 100\r\n\r\n", strings.Repeat("a", 100), 30 * time.Second, "HTTP/1.1 400 Bad Request\r\n"},
		{"next request never comes", head + "Content-Length: 43\r\n\r\n" + whoAmI, "", 2 * time.Minute, "HTTP/1.1 403 Forbidden\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var d door
				s := server.NewHTTPServer(d.handler(1))
				l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				ended := make(chan error)
				go func() { ended <- s.Serve(l) }()
				client, peer := net.Pipe()
				l.conns <- conn{peer}
				began := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() {
					if _, err := io.WriteString(client, row.sent); err != nil {
						return
					}
					for _, c := range []byte(row.drip) {
						time.Sleep(time.Second)
						if _, err := client.Write([]byte{c}); err != nil {
							return
						}
					}
				})
				reply, _ := io.ReadAll(client)
				if took := time.Since(began); took > row.want {
					t.Errorf("held for %v, want at most %v", took, row.want)
				}
				if !strings.HasPrefix(string(reply), row.reply) {
					t.Errorf("reply %q", reply)
				}
				_ = client.Close()
				sending.Wait()
				_ = s.Close()
				if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}

// conn has the address of a TCP peer.
type conn struct{ net.Conn }

func (conn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

// A client that does not send its body must not take the place of one that has.
func TestLimits_SlowBodiesKeepNobodyOut(t *testing.T) {
	t.Parallel()
	var d door
	s := httptest.NewServer(d.handler(1))
	t.Cleanup(s.Close)
	for range 3 {
		slow := dial(t, s)
		say(t, slow, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: "+formType+"\r\nContent-Length: 43\r\nExpect: 100-continue\r\n\r\n")
		if line, err := bufio.NewReader(slow).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("the slow call has not begun: %q, %v", line, err) // the handler is reading its body
		}
	}
	if got := post(t, s, whoAmI); got != http.StatusForbidden {
		t.Errorf("status %d", got)
	}
}

// Many large bodies at a time are refused, not held in memory.
func TestLimits_LargeBodies(t *testing.T) {
	t.Parallel()
	var d door
	s := httptest.NewServer(d.handler(1))
	t.Cleanup(s.Close)
	large := whoAmI + "&P=" + strings.Repeat("x", 100<<10)
	if got := post(t, s, large); got != http.StatusForbidden {
		t.Fatalf("one alone: status %d", got)
	}
	slow := dial(t, s)
	say(t, slow, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: "+formType+"\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n"+strings.Repeat("x", 0x10001)+"\r\n")
	for status := 0; status != http.StatusServiceUnavailable; { // until the handler has read the first part of the other
		if status = post(t, s, large); status != http.StatusForbidden && status != http.StatusServiceUnavailable {
			t.Fatalf("status %d", status)
		}
	}
	if got := post(t, s, whoAmI); got != http.StatusForbidden {
		t.Errorf("a small one meanwhile: status %d", got)
	}
	say(t, slow, "0\r\n\r\n")
	if _, err := bufio.NewReader(slow).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for status := 0; status != http.StatusForbidden; { // until the handler has returned
		if status = post(t, s, large); status != http.StatusForbidden && status != http.StatusServiceUnavailable {
			t.Fatalf("status %d", status)
		}
	}
}

// Beyond the bound on calls in flight the answer is ServiceUnavailable, and what ends makes room.
func TestLimits_InFlight(t *testing.T) {
	t.Parallel()
	d := door{entered: make(chan struct{}, 3), release: make(chan struct{})}
	s := httptest.NewServer(d.handler(2))
	t.Cleanup(s.Close)
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			if got := post(t, s, whoAmI); got != http.StatusForbidden {
				t.Errorf("in flight: status %d", got)
			}
		})
		<-d.entered
	}
	if got := post(t, s, whoAmI); got != http.StatusServiceUnavailable {
		t.Errorf("one too many: status %d", got)
	}
	close(d.release)
	running.Wait()
	if got := post(t, s, whoAmI); got != http.StatusForbidden {
		t.Errorf("after the others: status %d", got)
	}
}

func post(t *testing.T, s *httptest.Server, body string) int {
	t.Helper()
	r, err := s.Client().Post(s.URL, formType, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = r.Body.Close() }()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

func dial(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// What HTTP libraries and proxies read in different ways is refused, or read in one way only.
func TestLimits_Wire(t *testing.T) {
	t.Parallel()
	var d door
	s := httptest.NewUnstartedServer(d.handler(8))
	s.Config = server.NewHTTPServer(s.Config.Handler)
	s.Start()
	t.Cleanup(s.Close)
	const head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: " + formType + "\r\n"
	const length = "Content-Length: 43\r\n"
	for _, row := range []struct {
		name, text string
		status     string
		contains   string
	}{
		{"as it should be", head + length + "\r\n" + whoAmI, "403", "AccessDenied"},
		{"two lengths", head + length + "Content-Length: 0\r\n\r\n" + whoAmI, "400", ""},
		{"the same length twice", head + length + length + "\r\n" + whoAmI, "403", "AccessDenied"},
		{"length that is not a number", head + "Content-Length: +43\r\n\r\n" + whoAmI, "400", ""},
		{"two encodings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501", ""},
		{"unknown encoding", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501", ""},
		{"broken chunk", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\nAction\r\n0\r\n\r\n", "400", "MalformedInput"},
		{"body ends early", head + "Content-Length: 100\r\n\r\n" + whoAmI, "400", "MalformedInput"},
		{"space before the colon", head + length + "Authorization : x\r\n\r\n" + whoAmI, "400", ""},
		{"line feed in a name", head + length + "Autho\nrization: x\r\n\r\n" + whoAmI, "400", ""},
		{"NUL in a value", head + length + "X-Amz-Date: \x00\r\n\r\n" + whoAmI, "400", ""},
		{"no host", "POST / HTTP/1.1\r\nConnection: close\r\n" + length + "\r\n" + whoAmI, "400", ""},
		{"two hosts", head + "Host: y\r\n" + length + "\r\n" + whoAmI, "400", ""},
		{"head too large", head + length + "X: " + strings.Repeat("y", 80<<10) + "\r\n\r\n" + whoAmI, "431", ""},
		{"URL too large", "GET /?" + strings.Repeat("y", 80<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", "431", ""},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, s)
			say(t, c, row.text)
			_ = c.(*net.TCPConn).CloseWrite()
			reply, err := io.ReadAll(c)
			if err != nil && len(reply) == 0 {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(reply), "HTTP/1.1 "+row.status+" ") || !strings.Contains(string(reply), row.contains) {
				t.Errorf("reply %.300q", reply)
			}
		})
	}
}

// A folded header is one header, whoever folds it: it reaches the check of the signature as one line.
func TestLimits_FoldedHeader(t *testing.T) {
	t.Parallel()
	var d door
	s := httptest.NewServer(d.handler(8))
	t.Cleanup(s.Close)
	c := dial(t, s)
	say(t, c, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 43\r\nAuthorization: AWS4-HMAC-SHA256 a,\r\n X-Amz-Date: b\r\naUTHORIZATION: c\r\n\r\n"+whoAmI)
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	if got := d.signed.Header["Authorization"]; len(got) != 2 || got[0] != "AWS4-HMAC-SHA256 a, X-Amz-Date: b" || d.signed.Header["X-Amz-Date"] != nil {
		t.Errorf("%q", d.signed.Header)
	}
}
