package redis

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// target is what a URL says.
type target struct {
	Addrs                              []string
	Username, Password                 string
	Database                           int
	Master                             string
	SentinelUsername, SentinelPassword string
	TLS, Cluster                       bool
}

var goodURLs = []struct {
	url  string
	want target
}{
	{"redis://localhost", target{Addrs: []string{"localhost:6379"}}},
	{"redis://localhost/", target{Addrs: []string{"localhost:6379"}}},
	{"redis://192.0.2.1:7000/3", target{Addrs: []string{"192.0.2.1:7000"}, Database: 3}},
	{"redis://[2001:db8::1]", target{Addrs: []string{"[2001:db8::1]:6379"}}},
	{"redis://[::1]:7000", target{Addrs: []string{"[::1]:7000"}}},
	{"rediss://alice:s3cret@redis.example.com", target{Addrs: []string{"redis.example.com:6379"}, Username: "alice", Password: "s3cret", TLS: true}},
	{"redis://:p%40ss%2F@host", target{Addrs: []string{"host:6379"}, Password: "p@ss/"}},
	{"redis://alice:p@ss@host", target{Addrs: []string{"host:6379"}, Username: "alice", Password: "p@ss"}},
	{"redis+sentinel://a,b:26380/main", target{Addrs: []string{"a:26379", "b:26380"}, Master: "main"}},
	{"rediss+sentinel://u:p@a/main/2?sentinel_username=s&sentinel_password=%26", target{Addrs: []string{"a:26379"}, Username: "u",
		Password: "p", Master: "main", Database: 2, SentinelUsername: "s", SentinelPassword: "&", TLS: true}},
	{"redis+cluster://a,b:7001,[::1]:7002", target{Addrs: []string{"a:6379", "b:7001", "[::1]:7002"}, Cluster: true}},
	{"rediss+cluster://u:p@a", target{Addrs: []string{"a:6379"}, Username: "u", Password: "p", TLS: true, Cluster: true}},
}

var badURLs = []struct{ name, url string }{
	{"empty", ""},
	{"no scheme", "localhost:6379"},
	{"another scheme", "http://canary@localhost"},
	{"another mode", "redis+other://canary@localhost"},
	{"an empty mode", "redis+://canary@localhost"},
	{"no host", "redis://u:canary@"},
	{"a port that is no number", "redis://u:canary@host:port"},
	{"port 0", "redis://u:canary@host:0"},
	{"a port too large", "redis://u:canary@host:65536"},
	{"several hosts for one", "redis://u:canary@a,b"},
	{"an empty host among others", "redis+cluster://u:canary@a,,b"},
	{"a database that is no number", "redis://u:canary@host/x"},
	{"a database below 0", "redis://u:canary@host/-1"},
	{"a path too long", "redis://u:canary@host/1/2"},
	{"a sentinel without a master", "redis+sentinel://u:canary@host"},
	{"a cluster with a database", "redis+cluster://u:canary@host/1"},
	{"a bad escape in the password", "redis://u:canary%zz@host"},
	{"a bad escape in the master's name", "redis+sentinel://u:canary@host/%zz"},
	{"an unknown parameter", "redis://u:canary@host?canary=canary"},
	{"a sentinel's parameter elsewhere", "redis://u:canary@host?sentinel_password=canary"},
	{"a parameter given twice", "redis+sentinel://host/m?sentinel_password=canary&sentinel_password=canary"},
	{"a bad escape behind ?", "redis://host?canary=%zz"},
	{"an address without brackets", "redis://u:canary@2001:db8::x"},
	{"far too long", "redis://u:canary@" + strings.Repeat("a", maxURL)},
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, row := range goodURLs {
		o, err := parseURL(row.url)
		if err != nil {
			t.Errorf("%s: %v", row.url, err)
			continue
		}
		got := target{Addrs: o.Addrs, Username: o.Username, Password: o.Password, Database: o.DB, Master: o.MasterName,
			SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword, TLS: o.TLSConfig != nil, Cluster: o.IsClusterMode}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.url, diff)
		}
	}
	for _, row := range badURLs {
		if o, err := parseURL(row.url); err == nil {
			t.Errorf("%s: accepted as %+v", row.name, o.Addrs)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes the URL: %v", row.name, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, row := range goodURLs {
		f.Add(row.url)
	}
	for _, row := range badURLs {
		f.Add(row.url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		o, err := parseURL(url)
		if err == nil && (len(o.Addrs) == 0 || (o.MasterName != "" && o.IsClusterMode) || (len(o.Addrs) > 1 && o.MasterName == "" && !o.IsClusterMode)) {
			t.Errorf("%q: %+v", url, o)
		}
	})
}
