package policy_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stint-sts/stint/policy"
)

const (
	goodIdentity = `{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:username":"alice"}}}]}`
	goodTrust    = `{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:user/alice"},"Action":"sts:AssumeRole"}]}`
)

// TestParse_Refusals changes one thing of a good document per row.
func TestParse_Refusals(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		kind     policy.Kind
		old, new string // replaced in the good document of the kind
		message  string
		path     string
		column   int // 0: any
	}{
		{"identity, not JSON", policy.Identity, goodIdentity, "allow everything", "Syntax errors in policy.", "", 1},
		{"trust, not JSON", policy.Trust, goodTrust, "allow everything", "This policy contains invalid Json", "", 1},
		{"empty", policy.Identity, goodIdentity, "", "Syntax errors in policy.", "", 1},
		{"white space only", policy.Identity, goodIdentity, " \n\t", "Syntax errors in policy.", "", 2},
		{"two documents", policy.Identity, goodIdentity, goodIdentity + "{}", "Syntax errors in policy.", "", len(goodIdentity) + 1},
		{"byte order mark", policy.Identity, goodIdentity, "\ufeff" + goodIdentity, "Syntax errors in policy.", "", 1},
		{"not UTF-8", policy.Identity, "alice", "al\xffice", "Syntax errors in policy.", "", 0},
		{"character outside the set", policy.Identity, "alice", "€", "Syntax errors in policy.", "", 0},
		{"control character in a string", policy.Identity, "alice", "al\nice", "Syntax errors in policy.", "", 0},
		{"zero byte", policy.Identity, "alice", `al\u0000ice`, "Syntax errors in policy.", "", 0},
		{"half a surrogate pair", policy.Identity, "alice", `\ud800`, "Syntax errors in policy.", "", 0},
		{"surrogates in the wrong order", policy.Identity, "alice", `\udc00\ud800`, "Syntax errors in policy.", "", 0},
		{"unknown escape", policy.Identity, "alice", `\x41`, "Syntax errors in policy.", "", 0},
		{"short escape", policy.Identity, "alice", `\u41`, "Syntax errors in policy.", "", 0},
		{"number with a leading zero", policy.Identity, `"alice"`, `01`, "Syntax errors in policy.", "", 0},
		{"number without digits", policy.Identity, `"alice"`, `-`, "Syntax errors in policy.", "", 0},
		{"trailing comma", policy.Identity, `"alice"`, `["alice",]`, "Syntax errors in policy.", "", 0},
		{"duplicate key", policy.Identity, `"Effect":"Allow"`, `"Effect":"Deny","Effect":"Allow"`, "Syntax errors in policy.", "", 0},
		{"duplicate key, spelled with an escape", policy.Identity, `"Effect":"Allow"`, `"Effect":"Deny","\u0045ffect":"Allow"`, "Syntax errors in policy.", "", 0},
		{"key in another case", policy.Identity, `"Effect"`, `"effect"`, "Syntax errors in policy.", "Statement[0].effect", 0},
		{"unknown element", policy.Identity, `"Effect"`, `"Actions":"*","Effect"`, "Syntax errors in policy.", "Statement[0].Actions", 0},
		{"unknown element of a trust policy", policy.Trust, `"Effect"`, `"Actions":"*","Effect"`, "Has prohibited field Actions", "Statement[0].Actions", 0},
		{"unknown version", policy.Identity, "2012-10-17", "2012-10-18", "Policy document must be version 2012-10-17 or greater.", "Version", 12},
		{"unknown version of a trust policy", policy.Trust, "2012-10-17", "2012-10-18", "The policy must contain a valid version string", "Version", 12},
		{"Id is no string", policy.Identity, `"Version"`, `"Id":7,"Version"`, "Syntax errors in policy.", "Id", 0},
		{"Sid with a dash", policy.Identity, `"One"`, `"O-ne"`, "Syntax errors in policy.", "Statement[0].Sid", 0},
		{"effect missing", policy.Identity, `"Effect":"Allow",`, "", "Syntax errors in policy.", "Statement[0]", 0},
		{"effect missing, trust", policy.Trust, `"Effect":"Allow",`, "", "Missing required field Effect", "Statement[0]", 0},
		{"effect wrong, trust", policy.Trust, `"Allow"`, `"allow"`, "Invalid effect: allow", "Statement[0].Effect", 0},
		{"action missing", policy.Identity, `"Action":"s3:GetObject",`, "", "Policy statement must contain actions.", "Statement[0]", 0},
		{"action missing, trust", policy.Trust, `,"Action":"sts:AssumeRole"`, "", "Missing required field Action", "Statement[0]", 0},
		{"action list empty", policy.Identity, `"s3:GetObject"`, "[]", "Policy statement must contain actions.", "Statement[0].Action", 0},
		{"action and NotAction", policy.Identity, `"Action"`, `"NotAction":"iam:*","Action"`, "Syntax errors in policy.", "Statement[0]", 0},
		{"action without a prefix", policy.Identity, "s3:GetObject", "GetObject", "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.", "Statement[0].Action", 0},
		{"action with two colons", policy.Identity, "s3:GetObject", "s3:Get:Object", "Actions/Condition can contain only one colon.", "Statement[0].Action", 0},
		{"wildcard in the prefix", policy.Identity, "s3:GetObject", "s*:GetObject", "Vendor s* is not valid", "Statement[0].Action", 0},
		{"wildcard prefix", policy.Identity, "s3:GetObject", "*:*", "Vendor * is not valid", "Statement[0].Action", 0},
		{"action of another service in a trust policy", policy.Trust, "sts:AssumeRole", "iam:PassRole", "AssumeRole policy may only specify STS AssumeRole actions.", "Statement[0].Action", 0},
		{"star action in a trust policy", policy.Trust, "sts:AssumeRole", "*", "AssumeRole policy may only specify STS AssumeRole actions.", "Statement[0].Action", 0},
		{"resource missing", policy.Identity, `"Resource":"arn:aws:s3:::b/*",`, "", "Policy statement must contain resources.", "Statement[0]", 0},
		{"resource list empty", policy.Identity, `"arn:aws:s3:::b/*"`, "[]", "Policy statement must contain resources.", "Statement[0].Resource", 0},
		{"resource no ARN", policy.Identity, "arn:aws:s3:::b/*", "bucket/key", `Resource bucket/key must be in ARN format or "*".`, "Statement[0].Resource", 0},
		{"resource of no partition", policy.Identity, "arn:aws:s3", "arn:AWS:s3", `Partition "AWS" is not valid for resource "arn:AWS:s3:::b/*".`, "Statement[0].Resource", 0},
		{"wildcard service", policy.Identity, "arn:aws:s3:", "arn:aws:s*:", "Resource vendor must be fully qualified and cannot contain regexes.", "Statement[0].Resource", 0},
		{"resource in a trust policy", policy.Trust, `"Effect"`, `"Resource":"*","Effect"`, "Has prohibited field Resource", "Statement[0].Resource", 0},
		{"principal in an identity policy", policy.Identity, `"Effect"`, `"Principal":"*","Effect"`, "Policy document should not specify a principal.", "Statement[0]", 0},
		{"principal missing", policy.Trust, `"Principal":{"AWS":"arn:aws:iam::111111111111:user/alice"},`, "", "Missing required field Principal", "Statement[0]", 0},
		{"principal no object", policy.Trust, `{"AWS":"arn:aws:iam::111111111111:user/alice"}`, `"arn:aws:iam::111111111111:user/alice"`, "Principal must be a JSON object.", "Statement[0].Principal", 0},
		{"NotPrincipal in a trust policy", policy.Trust, `"Principal"`, `"NotPrincipal"`, "AssumeRole policy must not contain NotPrincipal field.", "Statement[0].NotPrincipal", 0},
		{"wildcard in a principal", policy.Trust, "user/alice", "user/*", `Invalid principal in policy: "AWS":"arn:aws:iam::111111111111:user/*"`, "Statement[0].Principal.AWS", 0},
		{"unknown type of principal", policy.Trust, `"AWS"`, `"User"`, `Invalid principal in policy: "User":"arn:aws:iam::111111111111:user/alice"`, "Statement[0].Principal.User", 0},
		{"session without a name", policy.Trust, "arn:aws:iam::111111111111:user/alice", "arn:aws:sts::111111111111:assumed-role/R", `Invalid principal in policy: "AWS":"arn:aws:sts::111111111111:assumed-role/R"`, "Statement[0].Principal.AWS", 0},
		{"canonical user in a trust policy", policy.Trust, `"AWS":"arn:aws:iam::111111111111:user/alice"`, `"CanonicalUser":"` + strings.Repeat("a", 64) + `"`, `Invalid principal in policy: "CanonicalUser":"` + strings.Repeat("a", 64) + `"`, "Statement[0].Principal.CanonicalUser", 0},
		{"condition is no object", policy.Identity, `{"StringEquals":{"aws:username":"alice"}}`, `[]`, "Syntax errors in policy.", "Statement[0].Condition", 0},
		{"unknown operator", policy.Identity, "StringEquals", "StringMatches", "Syntax errors in policy.", "Statement[0].Condition.StringMatches", 0},
		{"NullIfExists", policy.Identity, "StringEquals", "NullIfExists", "Syntax errors in policy.", "Statement[0].Condition.NullIfExists", 0},
		{"null value", policy.Identity, `"alice"`, `null`, "Syntax errors in policy.", "Statement[0].Condition.StringEquals.aws:username", 0},
		{"empty value list", policy.Identity, `"alice"`, `[]`, "Syntax errors in policy.", "Statement[0].Condition.StringEquals.aws:username", 0},
		{"nested value list", policy.Identity, `"alice"`, `[["alice"]]`, "Syntax errors in policy.", "Statement[0].Condition.StringEquals.aws:username", 0},
		{"not a number", policy.Identity, "StringEquals", "NumericEquals", "Syntax errors in policy.", "Statement[0].Condition.NumericEquals.aws:username", 0},
		{"not a date", policy.Identity, "StringEquals", "DateLessThan", "The policy failed legacy parsing", "Statement[0].Condition.DateLessThan.aws:username", 0},
		{"not an address", policy.Identity, "StringEquals", "IpAddress", "Syntax errors in policy.", "Statement[0].Condition.IpAddress.aws:username", 0},
		{"not base64", policy.Identity, `{"StringEquals":{"aws:username":"alice"`, `{"BinaryEquals":{"aws:username":"a?"`, "Syntax errors in policy.", "Statement[0].Condition.BinaryEquals.aws:username", 0},
		{"nested too deeply", policy.Identity, `"alice"`, strings.Repeat("[", 1000) + strings.Repeat("]", 1000), "Syntax errors in policy.", "", 0},
		{"too long", policy.Identity, "alice", strings.Repeat("a", 131072), "Syntax errors in policy.", "", 131073},
	}
	good := map[policy.Kind]string{policy.Identity: goodIdentity, policy.Trust: goodTrust}
	for kind, text := range good {
		parse(t, kind, text)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(good[c.kind], c.old) {
				t.Fatalf("the good document does not hold %q", c.old)
			}
			d, err := policy.Parse(c.kind, strings.Replace(good[c.kind], c.old, c.new, 1))
			var refusal *policy.Error
			if !errors.As(err, &refusal) || d != nil {
				t.Fatalf("got %v, %v", d, err)
			}
			if refusal.Message != c.message || refusal.Path != c.path || c.column != 0 && refusal.Column != c.column {
				t.Errorf("got message %q, path %q, column %d", refusal.Message, refusal.Path, refusal.Column)
			}
			if refusal.Reason == "" || refusal.Line < 1 || refusal.Column < 1 {
				t.Errorf("incomplete: %+v", refusal)
			}
		})
	}
}

func TestParse_Position(t *testing.T) {
	t.Parallel()
	text := "{\n  \"Statement\": {\n    \"Sid\": \"é\", \"Effect\": \"Maybe\"\n  }\n}"
	_, err := policy.Parse(policy.Resource, text)
	var refusal *policy.Error
	if !errors.As(err, &refusal) {
		t.Fatal(err)
	}
	if refusal.Line != 3 || refusal.Column != 27 || text[refusal.Offset:refusal.Offset+7] != `"Maybe"` || refusal.Path != "Statement.Effect" {
		t.Errorf("got %+v", refusal)
	}
	if want := "line 3 column 27: Statement.Effect: Effect is Allow or Deny"; err.Error() != want {
		t.Errorf("got %q, want %q", err.Error(), want)
	}
}

func TestParse_ErrorsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 50000)
	for _, text := range []string{
		`{"Statement":{"Effect":"Allow","Action":"*","Resource":"` + long + `"}}`,
		`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"` + long + `":[]}}}}`,
		`{"` + long + `":1}`,
	} {
		_, err := policy.Parse(policy.Identity, text)
		var refusal *policy.Error
		if !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		if len(refusal.Message)+len(refusal.Path)+len(refusal.Reason) > 4000 || !utf8.ValidString(refusal.Message+refusal.Path+refusal.Reason) {
			t.Errorf("message of %d, path of %d, reason of %d bytes", len(refusal.Message), len(refusal.Path), len(refusal.Reason))
		}
	}
}

func TestParse_SidsAreUnique(t *testing.T) {
	t.Parallel()
	for kind, message := range map[policy.Kind]string{
		policy.Identity: "Statement IDs (SID) in a single policy must be unique.",
		policy.Trust:    "The Statement Ids in the policy are not unique",
	} {
		statement := goodIdentity[len(`{"Version":"2012-10-17","Statement":[`) : len(goodIdentity)-2]
		if kind == policy.Trust {
			statement = goodTrust[len(`{"Version":"2012-10-17","Statement":[`) : len(goodTrust)-2]
		}
		second := strings.Replace(statement, "One", "Two", 1)
		parse(t, kind, `{"Statement":[`+statement+","+second+`]}`)
		_, err := policy.Parse(kind, `{"Statement":[`+statement+","+statement+`]}`)
		var refusal *policy.Error
		if !errors.As(err, &refusal) || refusal.Message != message || refusal.Path != "Statement[1].Sid" {
			t.Errorf("%v: got %+v", kind, err)
		}
	}
}

func TestParse_Accepts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind policy.Kind
		text string
	}{
		"everybody as a plain star":        {policy.Trust, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:*"}}`},
		"everybody as AWS":                 {policy.Trust, `{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"STS:AssumeRole"}}`},
		"unique ids":                       {policy.Trust, `{"Statement":{"Effect":"Allow","Principal":{"AWS":["AIDAJQABLZS4A3QDU576Q","AROAJQABLZS4A3QDU576Q"]},"Action":"sts:*"}}`},
		"several types of principal":       {policy.Trust, `{"Statement":{"Effect":"Allow","Principal":{"AWS":"111111111111","Service":"ec2.amazonaws.com","Federated":"accounts.google.com"},"Action":"sts:*"}}`},
		"Id":                               {policy.Identity, `{"Id":"x y","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`},
		"escapes":                          {policy.Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"k":"\u4e2d\ud83d\ude00\n\/"}}}}`},
		"empty conditions":                 {policy.Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{},"Bool":{}}}}`},
		"short ARN":                        {policy.Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:sts:*"}}`},
		"NotPrincipal in a resource Deny":  {policy.Resource, `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"111111111111"},"Action":"*","Resource":"*"}}`},
		"resource policy without resource": {policy.Resource, `{"Statement":{"Sid":"any text","Effect":"Allow","Principal":"*","Action":"*"}}`},
		"numbers and booleans":             {policy.Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericLessThan":{"k":[1,-2.50]},"Bool":{"b":true},"StringEquals":{"s":1e3}}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parse(t, c.kind, c.text)
		})
	}
}

// FuzzParse looks for panics, and checks on whatever is accepted what callers rely on.
func FuzzParse(f *testing.F) {
	f.Add(goodIdentity)
	f.Add(goodTrust)
	f.Add(`{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":["*","AIDA12345"]},"NotAction":["a:*"],"NotResource":"arn:aws:s3:::${a, 'b}'}${*}","Condition":{"ForAnyValue:DateLessThanIfExists":{"k":["2024-01-01T00:00:00.1+01:00",5]},"IpAddress":{"i":"::/0"},"Null":{"n":true}}}}`)
	f.Add(`{"a":"\ud83d\ude00\u00e9","a":[-0.1e+9,true,false,null,{}]}`)
	for seed := range uint64(8) {
		s := &source{randomBytes(seed)}
		for _, kind := range []policy.Kind{policy.Identity, policy.Trust, policy.Resource, policy.ServiceControl} {
			f.Add(s.document(kind))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for kind := policy.Identity; kind <= policy.ServiceControl; kind++ {
			d, err := policy.Parse(kind, text)
			if err != nil {
				var refusal *policy.Error
				if d != nil || !errors.As(err, &refusal) || refusal.Message == "" || refusal.Offset > len(text) || refusal.Line < 1 || refusal.Column < 1 {
					t.Fatalf("%v: %+v", d, err)
				}
				continue
			}
			if d.Text() != text || d.Kind() != kind || d.Size() <= 0 || d.Size() > len(text) {
				t.Fatalf("text %q, kind %v, size %d", d.Text(), d.Kind(), d.Size())
			}
			if got := d.Rewrite(func(arn string) string { return arn }); got != text {
				t.Fatalf("rewriting nothing gave %q", got)
			}
			if _, err := policy.Parse(kind, d.Rewrite(func(string) string { return "AIDAGONE" })); err != nil {
				t.Fatalf("rewritten document is refused: %v", err)
			}
			for _, who := range callers() {
				r := &policy.Request{Principal: who, Action: "s3:GetObject", Resource: docA, ResourceAccount: accountA}
				p := &policy.Policies{Resource: d, Boundary: d, Identity: []*policy.Document{d.Bind(nil)}}
				checkTrace(t, "fuzzed", r, p)
			}
			d.ContextKeys()
		}
	})
}
