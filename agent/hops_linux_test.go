package agent_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stint-sts/stint/agent"
)

// The kernel of a client that wants packets to come with a higher time to live than the hop limit drops the answers, as a router would
// that takes one off.
func TestListener_HopLimit(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		limit, min int
		passes     bool
	}{{"one hop away", 1, 1, true}, {"two hops away", 1, 2, false}, {"two hops away and allowed", 2, 2, true}, {"no limit", 0, 64, true}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			address := served(t, agent.Listener{Address: "127.0.0.1:0", HopLimit: row.limit}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "here")
			}))
			dialer := net.Dialer{Timeout: 500 * time.Millisecond}
			conn, err := dialer.DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			raw, err := conn.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var set error
			if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MINTTL, row.min) }); err != nil || set != nil {
				t.Fatal(err, set)
			}
			patience := 300 * time.Millisecond // for an answer that never comes
			if row.passes {
				patience = time.Minute
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			answer, err := io.ReadAll(conn)
			if passes := strings.Contains(string(answer), "here"); passes != row.passes {
				t.Errorf("answer %q, %v", answer, err)
			}
		})
	}
}
