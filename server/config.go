package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/signer"
)

// Config is the whole configuration of a stint server. Load makes one; every field has a row in settings.
type Config struct {
	DataDir string

	ListenHTTP string
	ListenGRPC string
	ListenOps  string
	PublicURL  string // without a slash at the end; empty: made from ListenHTTP

	LogLevel  slog.Level
	LogFormat string // "text" or "json"

	AccountID   string // of the first account; empty: chosen at random
	AccountName string

	AuthorizationMessages bool // IAM's denials carry an encoded authorization message

	ManagementAccount string // its principals may call AssumeRoot; empty: nobody may

	Database               string // URL of a PostgreSQL database; empty: the directory is in the data directory
	DatabasePasswordFile   string
	DatabaseMaxConnections int
	DatabaseConnectTimeout time.Duration
	DatabaseTimeout        time.Duration
	DatabaseGrace          time.Duration

	Redis             string // URL; empty: sessions are kept in process and on disk
	RedisPasswordFile string

	TLSCert      string
	TLSKey       string
	InsecureHTTP bool

	MasterKey         string // "file:PATH", "env:NAME" or "command:PROGRAM ARG…"; empty: file in the data directory
	MasterKeyPrevious string // likewise; empty: none

	KeyPublishDelay time.Duration
	KeyRotateEvery  map[signer.Purpose]time.Duration

	TokenSigning    string // "HS256", "EdDSA" or "ES256"
	TokenSeal       bool
	LongLivedPrefix string
	TemporaryPrefix string
	MaxChained      time.Duration

	ManagedPolicies string // directory of further managed policies; empty: none
	TrustedProxies  []netip.Prefix

	ClientCA           string             // PEM file; empty: no client certificate counts
	ClientCertificates map[string]arn.ARN // user by name in the certificate, "uri:…" or "dns:…"

	OIDC OIDC
	SAML SAML

	Portal Portal

	AuditMode     string // "required" or "best-effort"
	AuditDir      string // empty: "audit" in the data directory
	AuditMaxBytes int64
	AuditMaxFiles int
	AuditSync     bool
	AuditStdout   bool

	MaxConnections int // of each listener
	MaxInFlight    int
	MaxPerAccount  int
	RequestTimeout time.Duration
	DrainTimeout   time.Duration
	Pprof          bool

	Quotas iam.Quotas
}

// setting is one key of the configuration: in the file as key (dots nest), in the environment as STINT_KEY, and when flag is
// set on the command line as --key.
type setting struct {
	key      string
	flag     bool
	standard string // the default, as it would be written
	usage    string
	list     bool                     // a list in the file, separated by commas elsewhere
	toggle   bool                     // a boolean: the flag needs no value
	public   func(value string) error // what the value must not hold on a command line, which others can read; nil: anything goes
	set      func(c *Config, value string) error
}

// Env is the setting's environment variable.
func (s *setting) env() string {
	return "STINT_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.key))
}

// flagName is the setting's flag without dashes.
func (s *setting) flagName() string { return strings.ReplaceAll(s.key, ".", "-") }

func settings() []setting {
	quotas := iam.DefaultQuotas()
	return append([]setting{
		text("data-dir", true, "./stint-data", "directory for everything that stint keeps", func(c *Config) *string { return &c.DataDir }),
		text("listen.http", true, "127.0.0.1:8470", "address of the AWS Query API and the portal", func(c *Config) *string { return &c.ListenHTTP }),
		text("listen.grpc", true, "127.0.0.1:8471", "address of the gRPC API", func(c *Config) *string { return &c.ListenGRPC }),
		text("listen.ops", true, "127.0.0.1:8472", "address of /healthz, /readyz and /metrics", func(c *Config) *string { return &c.ListenOps }),
		{key: "public-url", flag: true, usage: "URL by which others reach listen.http: the base of issuers (default: from listen.http)", set: setPublicURL},
		{key: "log.level", flag: true, standard: "info", usage: "debug, info, warn or error",
			set: func(c *Config, v string) error { return c.LogLevel.UnmarshalText([]byte(v)) }},
		choice("log.format", true, "text", []string{"text", "json"}, "text or json", func(c *Config) *string { return &c.LogFormat }),
		{key: "account.id", flag: true, usage: "id of the first account, 12 digits (default: random)", set: func(c *Config, v string) error {
			if v != "" && !arn.ValidAccount(v) {
				return errors.New("must be 12 digits")
			}
			c.AccountID = v
			return nil
		}},
		text("account.name", true, "default", "name of the first account", func(c *Config) *string { return &c.AccountName }),
		toggle("authorization-messages", false, "add an encoded authorization message to IAM's denials, as other AWS services do; AWS's own IAM adds none", func(c *Config) *bool { return &c.AuthorizationMessages }),
		{key: "management-account", usage: "id of the account whose principals may call AssumeRoot (default: none)", set: func(c *Config, v string) error {
			if v != "" && !arn.ValidAccount(v) {
				return errors.New("must be 12 digits")
			}
			c.ManagementAccount = v
			return nil
		}},
		{key: "database", flag: true, set: (*Config).setDatabase, public: withoutPassword,
			usage: "URL of the PostgreSQL database that keeps the directory: postgres:// (default: SQLite in the data directory)"},
		text("database-password-file", false, "", "file that holds the password for the database", func(c *Config) *string { return &c.DatabasePasswordFile }),
		number("database-max-connections", "8", 2, 1000, "connections of this node to the database, and one that listens", func(c *Config, n int64) { c.DatabaseMaxConnections = int(n) }),
		duration("database-connect-timeout", "3s", 100*time.Millisecond, time.Minute, "longest that connecting to the database may take", func(c *Config) *time.Duration { return &c.DatabaseConnectTimeout }),
		duration("database-timeout", "5s", 100*time.Millisecond, time.Minute, "longest that a transaction may take, with the wait for its turn to write", func(c *Config) *time.Duration { return &c.DatabaseTimeout }),
		duration("database-grace", "10m", time.Second, 24*time.Hour, "how long reads go on from memory when the database does not answer", func(c *Config) *time.Duration { return &c.DatabaseGrace }),
		text("redis", true, "", "URL of the Redis that keeps session state: redis://, rediss://, redis+sentinel://, redis+cluster:// (default: embedded)", func(c *Config) *string { return &c.Redis }),
		text("redis-password-file", false, "", "file that holds the password for Redis", func(c *Config) *string { return &c.RedisPasswordFile }),
		text("tls.cert", true, "", "PEM file with the certificate chain of all listeners; read again when it changes", func(c *Config) *string { return &c.TLSCert }),
		text("tls.key", true, "", "PEM file with the private key of tls.cert", func(c *Config) *string { return &c.TLSKey }),
		toggle("insecure-http", true, "serve without TLS on addresses that others can reach", func(c *Config) *bool { return &c.InsecureHTTP }),
		text("master-key", true, "", "where the master key is: file:PATH, env:NAME or command:PROGRAM (default: master.key in the data directory)", func(c *Config) *string { return &c.MasterKey }),
		text("master-key-previous", true, "", "where the master key before is, while it is being replaced: as master-key; see docs/operations.md", func(c *Config) *string { return &c.MasterKeyPrevious }),
		duration("keys.publish-delay", "1m", time.Second, time.Hour, "how long a key of the ring is prepared before it signs; the same on all nodes, which look for it six times in that time", func(c *Config) *time.Duration { return &c.KeyPublishDelay }),
		rotateEvery("token", "session tokens are signed", signer.TokenKey),
		rotateEvery("derivation", "secret access keys are derived", signer.DerivationKey),
		rotateEvery("sealing", "session tokens are encrypted", signer.SealingKey),
		rotateEvery("identity", "identity tokens for third parties are signed", signer.IdentityPurposes()...),
		choice("token.signing", false, "HS256", []string{"HS256", "EdDSA", "ES256"}, "algorithm of session tokens: HS256, EdDSA or ES256", func(c *Config) *string { return &c.TokenSigning }),
		toggle("token.seal", false, "encrypt session tokens", func(c *Config) *bool { return &c.TokenSeal }),
		prefix("key-prefix.long-lived", "AKIA", func(c *Config) *string { return &c.LongLivedPrefix }),
		prefix("key-prefix.temporary", "ASIA", func(c *Config) *string { return &c.TemporaryPrefix }),
		duration("session.max-chained", "1h", 15*time.Minute, 36*time.Hour, "longest session made with another role session's credentials", func(c *Config) *time.Duration { return &c.MaxChained }),
		text("managed-policies", false, "", "directory of further AWS managed policies", func(c *Config) *string { return &c.ManagedPolicies }),
		text("grpc.client-ca", false, "", "PEM file with the authorities of client certificates, read at the start; see docs/grpc.md", func(c *Config) *string { return &c.ClientCA }),
		{key: "grpc.client-certificates", list: true, set: setClientCertificates,
			usage: "NAME=ARN: the user that a client certificate stands for; NAME is uri:… or dns:… of its subject alternative names"},
		{key: "trusted-proxies", list: true, usage: "networks whose X-Forwarded-For is believed", set: setProxies},
		choice("audit.mode", false, "required", []string{"required", "best-effort"}, "required or best-effort", func(c *Config) *string { return &c.AuditMode }),
		text("audit.dir", false, "", "directory of the audit log (default: audit in the data directory)", func(c *Config) *string { return &c.AuditDir }),
		number("audit.max-bytes", "104857600", 1<<20, 1<<40, "size at which an audit file is closed", func(c *Config, n int64) { c.AuditMaxBytes = n }),
		number("audit.max-files", "100", 1, 100_000, "audit files that are kept", func(c *Config, n int64) { c.AuditMaxFiles = int(n) }),
		toggle("audit.sync", false, "flush each write of the audit log to the disk", func(c *Config) *bool { return &c.AuditSync }),
		toggle("audit.stdout", false, "write audit events to standard output too", func(c *Config) *bool { return &c.AuditStdout }),
		number("limits.connections", "8192", 1, 1_000_000, "connections that each listener holds; further ones wait", func(c *Config, n int64) { c.MaxConnections = int(n) }),
		number("limits.in-flight", "2048", 1, 1_000_000, "calls that run or wait at the same time", func(c *Config, n int64) { c.MaxInFlight = int(n) }),
		number("limits.per-account", "256", 1, 1_000_000, "calls of one account that run at the same time", func(c *Config, n int64) { c.MaxPerAccount = int(n) }),
		duration("limits.request-timeout", "10s", time.Second, 5*time.Minute, "longest that one call may take", func(c *Config) *time.Duration { return &c.RequestTimeout }),
		duration("limits.drain-timeout", "20s", 0, 10*time.Minute, "longest that a shutdown waits for calls", func(c *Config) *time.Duration { return &c.DrainTimeout }),
		toggle("pprof", false, "serve /debug/pprof on the ops listener", func(c *Config) *bool { return &c.Pprof }),
	}, slices.Concat(oidcSettings(), samlSettings(), portalSettings(), quotaSettings(quotas))...)
}

func quotaSettings(standard iam.Quotas) []setting {
	rows := []struct {
		key      string
		standard int
		max      int64
		field    func(*iam.Quotas) *int
	}{
		{"users-per-account", standard.UsersPerAccount, 100_000_000, func(q *iam.Quotas) *int { return &q.UsersPerAccount }},
		{"groups-per-account", standard.GroupsPerAccount, 100_000_000, func(q *iam.Quotas) *int { return &q.GroupsPerAccount }},
		{"roles-per-account", standard.RolesPerAccount, 100_000_000, func(q *iam.Quotas) *int { return &q.RolesPerAccount }},
		{"policies-per-account", standard.PoliciesPerAccount, 100_000_000, func(q *iam.Quotas) *int { return &q.PoliciesPerAccount }},
		{"instance-profiles-per-account", standard.InstanceProfilesPerAccount, 100_000_000, func(q *iam.Quotas) *int { return &q.InstanceProfilesPerAccount }},
		{"oidc-providers-per-account", standard.OIDCProvidersPerAccount, 10_000, func(q *iam.Quotas) *int { return &q.OIDCProvidersPerAccount }},
		{"client-ids-per-oidc-provider", standard.ClientIDsPerOIDCProvider, 1000, func(q *iam.Quotas) *int { return &q.ClientIDsPerOIDCProvider }},
		{"thumbprints-per-oidc-provider", standard.ThumbprintsPerOIDCProvider, 100, func(q *iam.Quotas) *int { return &q.ThumbprintsPerOIDCProvider }},
		{"saml-providers-per-account", standard.SAMLProvidersPerAccount, 10_000, func(q *iam.Quotas) *int { return &q.SAMLProvidersPerAccount }},
		{"groups-per-user", standard.GroupsPerUser, 100, func(q *iam.Quotas) *int { return &q.GroupsPerUser }},
		{"access-keys-per-user", standard.AccessKeysPerUser, 100, func(q *iam.Quotas) *int { return &q.AccessKeysPerUser }},
		{"policies-per-user", standard.PoliciesPerUser, 100, func(q *iam.Quotas) *int { return &q.PoliciesPerUser }},
		{"policies-per-group", standard.PoliciesPerGroup, 100, func(q *iam.Quotas) *int { return &q.PoliciesPerGroup }},
		{"policies-per-role", standard.PoliciesPerRole, 100, func(q *iam.Quotas) *int { return &q.PoliciesPerRole }},
		{"versions-per-policy", standard.VersionsPerPolicy, 100, func(q *iam.Quotas) *int { return &q.VersionsPerPolicy }},
		{"tags-per-entity", standard.TagsPerEntity, 200, func(q *iam.Quotas) *int { return &q.TagsPerEntity }},
		{"policy-size", standard.PolicySize, 131_072, func(q *iam.Quotas) *int { return &q.PolicySize }},
		{"user-policy-size", standard.UserPolicySize, 131_072, func(q *iam.Quotas) *int { return &q.UserPolicySize }},
		{"group-policy-size", standard.GroupPolicySize, 131_072, func(q *iam.Quotas) *int { return &q.GroupPolicySize }},
		{"role-policy-size", standard.RolePolicySize, 131_072, func(q *iam.Quotas) *int { return &q.RolePolicySize }},
		{"trust-policy-size", standard.TrustPolicySize, 131_072, func(q *iam.Quotas) *int { return &q.TrustPolicySize }},
		{"max-session-duration", standard.MaxSessionDuration, 129_600, func(q *iam.Quotas) *int { return &q.MaxSessionDuration }},
	}
	out := make([]setting, len(rows))
	for i, r := range rows {
		out[i] = number("quotas."+r.key, strconv.Itoa(r.standard), 0, r.max, "AWS quota",
			func(c *Config, n int64) { *r.field(&c.Quotas) = int(n) })
	}
	return out
}

func text(key string, flag bool, standard, usage string, field func(*Config) *string) setting {
	return setting{key: key, flag: flag, standard: standard, usage: usage, set: func(c *Config, v string) error {
		*field(c) = v
		return nil
	}}
}

func choice(key string, flag bool, standard string, allowed []string, usage string, field func(*Config) *string) setting {
	return setting{key: key, flag: flag, standard: standard, usage: usage, set: func(c *Config, v string) error {
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("must be one of %s", strings.Join(allowed, ", "))
		}
		*field(c) = v
		return nil
	}}
}

func toggle(key string, flag bool, usage string, field func(*Config) *bool) setting {
	return setting{key: key, flag: flag, standard: "false", usage: usage, toggle: true, set: func(c *Config, v string) (err error) {
		if *field(c), err = strconv.ParseBool(v); err != nil {
			return errors.New("must be true or false")
		}
		return nil
	}}
}

func number(key, standard string, least, most int64, usage string, store func(*Config, int64)) setting {
	return setting{key: key, standard: standard, usage: usage, set: func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < least || n > most {
			return fmt.Errorf("must be a whole number from %d to %d", least, most)
		}
		store(c, n)
		return nil
	}}
}

func duration(key, standard string, least, most time.Duration, usage string, field func(*Config) *time.Duration) setting {
	return setting{key: key, standard: standard, usage: usage, set: func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < least || d > most {
			return fmt.Errorf("must be a duration from %s to %s, such as %s", least, most, standard)
		}
		*field(c) = d
		return nil
	}}
}

// rotateEvery is how old the signing key of the purposes gets.
func rotateEvery(name, use string, purposes ...signer.Purpose) setting {
	var age time.Duration
	s := duration("keys.rotate-every."+name, "2160h", 0, 10*365*24*time.Hour, "age at which the key with which "+use+" gets a successor; 0: only \"stint keys rotate\"",
		func(*Config) *time.Duration { return &age })
	set := s.set
	s.set = func(c *Config, v string) error {
		err := set(c, v)
		for _, p := range purposes {
			if c.KeyRotateEvery == nil {
				c.KeyRotateEvery = make(map[signer.Purpose]time.Duration)
			}
			c.KeyRotateEvery[p] = age
		}
		return err
	}
	return s
}

func prefix(key, standard string, field func(*Config) *string) setting {
	return setting{key: key, standard: standard, usage: "first four characters of access key ids", set: func(c *Config, v string) error {
		if len(v) != 4 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			return errors.New("must be four characters of A-Z and 2-7")
		}
		*field(c) = v
		return nil
	}}
}

func (c *Config) setDatabase(v string) error {
	if v != "" && !strings.HasPrefix(v, "postgres://") && !strings.HasPrefix(v, "postgresql://") {
		return errors.New("must be postgres://USER@HOST:PORT/DATABASE")
	}
	c.Database = v
	return nil
}

// withoutPassword refuses a URL that holds a password.
func withoutPassword(v string) error {
	if store.HasPassword(v) {
		return errors.New("every user of this machine can read a password on a command line: use database-password-file, " +
			"a passfile, STINT_DATABASE or the configuration file")
	}
	return nil
}

func setProxies(c *Config, v string) error {
	proxies, err := networks(v)
	c.TrustedProxies = proxies
	return err
}

// Sources is where a configuration comes from. A flag wins over the environment, the environment over the file, the file
// over the default.
type Sources struct {
	File  string                            // path of the YAML file; empty: none
	Env   func(string) (string, bool)       // os.LookupEnv
	Flags map[string]string                 // by flag name without dashes
	Read  func(path string) ([]byte, error) // default os.ReadFile
}

// fault is one mistake in a configuration.
type fault struct {
	where  string // "stint.yaml:12", "STINT_REDIS", "--redis"
	key    string
	remedy string
}

// ConfigError lists every mistake of a configuration, each with its place and a remedy.
type ConfigError struct{ faults []fault }

// Error prints one mistake a line.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.faults))
	for i, f := range e.faults {
		lines[i] = fmt.Sprintf("%s: %s: %s", f.where, f.key, f.remedy)
	}
	return strings.Join(lines, "\n")
}

// Load reads and checks a configuration. The error is a *ConfigError that lists all mistakes at once.
func Load(src Sources) (*Config, error) {
	if src.Read == nil {
		src.Read = os.ReadFile
	}
	c := &Config{}
	var faults []fault
	inFile, fileFaults := readFile(src)
	faults = append(faults, fileFaults...)
	for _, s := range settings() {
		value, where := s.standard, "default"
		if f, ok := inFile[s.key]; ok {
			value, where = f.value, f.where
		}
		if v, ok := src.Env(s.env()); ok {
			value, where = v, s.env()
		}
		if v, ok := src.Flags[s.flagName()]; ok && s.flag {
			value, where = v, "--"+s.flagName()
		}
		err := s.set(c, value)
		if err == nil && s.public != nil && strings.HasPrefix(where, "--") {
			err = s.public(value)
		}
		if err != nil {
			faults = append(faults, fault{where, s.key, err.Error()})
		}
	}
	if len(faults) == 0 {
		faults = c.check()
	}
	if len(faults) > 0 {
		return nil, &ConfigError{faults}
	}
	return c, nil
}

// check judges what a single setting cannot tell.
func (c *Config) check() (faults []fault) {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		faults = append(faults, fault{"configuration", "tls", "tls.cert and tls.key are given together or not at all"})
	}
	if (c.ClientCA == "") != (len(c.ClientCertificates) == 0) || c.ClientCA != "" && c.TLSCert == "" {
		faults = append(faults, fault{"configuration", "grpc", "grpc.client-ca and grpc.client-certificates are given together, and with tls.cert, or not at all"})
	}
	if c.DataDir == "" {
		faults = append(faults, fault{"configuration", "data-dir", "must not be empty"})
	}
	for _, l := range []struct{ key, address string }{
		{"listen.http", c.ListenHTTP}, {"listen.grpc", c.ListenGRPC}, {"listen.ops", c.ListenOps},
	} {
		loopback, err := isLoopback(l.address)
		switch {
		case err != nil:
			faults = append(faults, fault{"configuration", l.key, err.Error()})
		case !loopback && c.TLSCert == "" && !c.InsecureHTTP:
			faults = append(faults, fault{"configuration", l.key, fmt.Sprintf("%s can be reached by others and has no TLS: "+
				"set tls.cert and tls.key, listen on 127.0.0.1, or say --insecure-http", l.address)})
		}
	}
	return slices.Concat(faults, c.checkPublicURL(), c.checkPortal())
}

// isLoopback reports whether nobody but this machine reaches the address. A name counts only when it is localhost: what
// others resolve to is not known here.
func isLoopback(address string) (bool, error) {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return false, fmt.Errorf("%q must be an address and a port, such as 127.0.0.1:8470", address)
	}
	if port, err := strconv.ParseUint(address[i+1:], 10, 16); err != nil || port > 65535 {
		return false, fmt.Errorf("%q has no port number from 0 to 65535", address)
	}
	host := strings.Trim(address[:i], "[]")
	if host == "localhost" {
		return true, nil
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback(), nil
}

type located struct{ value, where string }

// readFile flattens the YAML file into settings by key. An unknown key is a mistake that names the key and its line.
func readFile(src Sources) (map[string]located, []fault) {
	if src.File == "" {
		return nil, nil
	}
	raw, err := src.Read(src.File)
	if err != nil {
		return nil, []fault{{src.File, "config", err.Error()}}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(raw, &document); err != nil {
		return nil, []fault{{src.File, "config", err.Error()}}
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	known := make(map[string]setting)
	for _, s := range settings() {
		known[s.key] = s
	}
	found := make(map[string]located)
	var faults []fault
	walk(document.Content[0], "", func(key string, n *yaml.Node) bool {
		where := fmt.Sprintf("%s:%d", filepath.Base(src.File), n.Line)
		s, ok := known[key]
		switch {
		case !ok && n.Kind == yaml.MappingNode && isGroup(known, key):
			return true
		case !ok:
			faults = append(faults, fault{where, key, "unknown key" + suggestion(known, key)})
		case found[key] != (located{}):
			faults = append(faults, fault{where, key, "given twice, first at " + found[key].where})
		case n.Kind == yaml.SequenceNode && s.list:
			items := make([]string, len(n.Content))
			for i, item := range n.Content {
				items[i] = item.Value
			}
			found[key] = located{strings.Join(items, ","), where}
		case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
			found[key] = located{n.Value, where}
		default:
			faults = append(faults, fault{where, key, "must be a single value"})
		}
		return false
	})
	return found, faults
}

// walk visits the mappings below n; visit tells whether to go into a value.
func walk(n *yaml.Node, at string, visit func(key string, n *yaml.Node) bool) {
	if n.Kind != yaml.MappingNode {
		visit(strings.TrimPrefix(at, "."), n)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := strings.TrimPrefix(at+"."+n.Content[i].Value, ".")
		value := *n.Content[i+1]
		value.Line = n.Content[i].Line
		if visit(key, &value) {
			walk(&value, key, visit)
		}
	}
}

func isGroup(known map[string]setting, key string) bool {
	for k := range known {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

// suggestion names a known key that the unknown one may have been meant for.
func suggestion(known map[string]setting, key string) string {
	squash := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(s))
	}
	for k := range known {
		if squash(k) == squash(key) {
			return ", did you mean " + k + "?"
		}
	}
	return "; see docs/configuration.md"
}

// Flag describes a command-line flag of a setting.
type Flag struct {
	Name, Default, Usage string
	Toggle               bool // needs no value
}

// Flags lists the settings that have a flag.
func Flags() []Flag {
	var flags []Flag
	for _, s := range settings() {
		if s.flag {
			flags = append(flags, Flag{s.flagName(), s.standard, s.usage, s.toggle})
		}
	}
	return flags
}

// WriteReference prints every setting as a table in Markdown: the body of docs/configuration.md.
func WriteReference(w io.Writer) error {
	rows := []string{"| key | environment | flag | default | meaning |", "|---|---|---|---|---|"}
	for _, s := range settings() {
		flag := ""
		if s.flag {
			flag = "`--" + s.flagName() + "`"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | `%s` | %s | `%s` | %s |", s.key, s.env(), flag, s.standard, s.usage))
	}
	_, err := io.WriteString(w, strings.Join(rows, "\n")+"\n")
	return err
}
