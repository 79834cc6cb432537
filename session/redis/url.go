package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// Bounds of what configures the connection.
const (
	maxURL      = 8192
	maxPassword = 4096 // bytes of a password file
)

// parseURL reads
//
//	redis://[user[:password]@]host[:6379][/database]
//	redis+sentinel://[user[:password]@]host[:26379][,host…]/master[/database][?sentinel_username=…&sentinel_password=…]
//	redis+cluster://[user[:password]@]host[:6379][,host…]
//
// and the same with rediss, which is TLS. net/url does not take several hosts. Errors never quote the URL, for it may hold a password.
func parseURL(raw string) (*goredis.UniversalOptions, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || len(raw) > maxURL {
		return nil, errors.New("not a URL like redis://host:6379")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	o := &goredis.UniversalOptions{}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if err := parseUser(o, authority[:at]); err != nil {
			return nil, err
		}
		authority = authority[at+1:]
	}
	secured, mode, _ := strings.Cut(scheme, "+")
	switch secured {
	case "redis":
	case "rediss":
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return nil, errors.New("the scheme is not redis, rediss, redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster")
	}
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	port, database := "6379", ""
	switch {
	case mode == "" && scheme == secured && len(parts) == 1 && !strings.Contains(authority, ","):
		database = parts[0]
	case mode == "sentinel" && len(parts) <= 2 && parts[0] != "":
		port = "26379"
		master, err := url.PathUnescape(parts[0])
		if err != nil {
			return nil, errors.New("the name of the master has a bad escape")
		}
		o.MasterName = master
		if len(parts) == 2 {
			database = parts[1]
		}
	case mode == "cluster" && path == "":
		o.IsClusterMode = true
	default:
		return nil, errors.New("host and path do not fit the scheme: redis://host[/database], redis+sentinel://host,host/master[/database], redis+cluster://host,host")
	}
	var err error
	if o.Addrs, err = parseHosts(authority, port); err != nil {
		return nil, err
	}
	if o.DB, err = parseDatabase(database); err != nil {
		return nil, err
	}
	return o, parseParams(o, query)
}

func parseUser(o *goredis.UniversalOptions, info string) error {
	user, password, _ := strings.Cut(info, ":")
	var userErr, passwordErr error
	o.Username, userErr = url.PathUnescape(user)
	o.Password, passwordErr = url.PathUnescape(password)
	if userErr != nil || passwordErr != nil {
		return errors.New("user or password has a bad escape")
	}
	return nil
}

func parseHosts(list, defaultPort string) ([]string, error) {
	var addresses []string
	for address := range strings.SplitSeq(list, ",") {
		host, port, err := net.SplitHostPort(address)
		if err != nil { // no port
			host, port = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]"), defaultPort
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if host == "" || strings.ContainsAny(host, "[]@/ ") || (strings.Contains(host, ":") && net.ParseIP(host) == nil) || err != nil || number == 0 {
			return nil, errors.New("a host is not like name, name:6379, 192.0.2.1:6379 or [2001:db8::1]:6379")
		}
		addresses = append(addresses, net.JoinHostPort(host, port))
	}
	return addresses, nil
}

func parseDatabase(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, errors.New("the database is not a number")
	}
	return int(n), nil
}

func parseParams(o *goredis.UniversalOptions, query string) error {
	params, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the part behind ? has a bad escape")
	}
	for name, values := range params {
		switch {
		case len(values) > 1:
			return errors.New("a parameter is given twice")
		case name == "sentinel_username" && o.MasterName != "":
			o.SentinelUsername = values[0]
		case name == "sentinel_password" && o.MasterName != "":
			o.SentinelPassword = values[0]
		default:
			return errors.New("there is an unknown parameter behind ?")
		}
	}
	return nil
}

// readPassword reads a password file: one line, whose end is not part of the password.
func readPassword(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" || len(b) > maxPassword {
		return "", fmt.Errorf("password file %s is empty or longer than %d bytes", path, maxPassword)
	}
	return password, nil
}
