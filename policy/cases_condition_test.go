package policy_test

import (
	"testing"

	"github.com/stint-sts/stint/policy"
)

func TestCases_Conditions(t *testing.T) {
	t.Parallel()
	type values map[string]string
	type lists map[string][]string
	const issued = "2026-01-01T00:00:00Z"
	finance := `"arn:aws:svc:*:111122223333:finance/*"`
	foreign := "arn:aws:svc:us-east-2:999999999999:store/abc:111122223333:finance/d"
	guard := `{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]},"Null":{"aws:TagKeys":"false"}}`
	cases := []struct {
		name      string
		condition string
		values    values
		lists     lists
		holds     bool
		deny      bool // in a Deny statement
	}{
		{name: "D1 values are alternatives", condition: `{"StringEquals":{"k":["a","b"]}}`, values: values{"k": "b"}, holds: true},
		{name: "D2 negated values all count", condition: `{"StringNotEquals":{"k":["a","b"]}}`, values: values{"k": "b"}},
		{name: "D3 negated and missing", condition: `{"StringNotEquals":{"k":"a"}}`, holds: true},
		{name: "D4 negated IfExists and missing", condition: `{"StringNotEqualsIfExists":{"k":"a"}}`, holds: true},
		{name: "D5 missing", condition: `{"StringEquals":{"k":"a"}}`},
		{name: "D6 IfExists and missing", condition: `{"StringEqualsIfExists":{"k":"a"}}`, holds: true},
		{name: "D7 no wildcard in StringEquals", condition: `{"StringEquals":{"k":"a*"}}`, values: values{"k": "abc"}},
		{name: "D8 wildcard in StringLike", condition: `{"StringLike":{"k":"a*"}}`, values: values{"k": "abc"}, holds: true},
		{name: "D9 StringLike compares case", condition: `{"StringLike":{"k":"A*"}}`, values: values{"k": "abc"}},
		{name: "D10 all keys must hold", condition: `{"StringEquals":{"k":"a","l":"b"}}`, values: values{"k": "a", "l": "x"}},
		{name: "D10 twin", condition: `{"StringEquals":{"k":"a","l":"b"}}`, values: values{"k": "a", "l": "b"}, holds: true},
		{name: "D11 all operators must hold", condition: `{"StringEquals":{"k":"a"},"Bool":{"l":"true"}}`, values: values{"k": "a", "l": "false"}},
		{name: "D11 twin", condition: `{"StringEquals":{"k":"a"},"Bool":{"l":"true"}}`, values: values{"k": "a", "l": "true"}, holds: true},
		{name: "D12 key ignores case", condition: `{"StringEquals":{"AWS:PRINCIPALACCOUNT":"1"}}`, values: values{"aws:PrincipalAccount": "1"}, holds: true},
		{name: "D13 tag key ignores case", condition: `{"StringEquals":{"aws:PrincipalTag/TEAM":"red"}}`, values: values{"aws:PrincipalTag/team": "red"}, holds: true},
		{name: "D13 tag key of another script", condition: `{"StringEquals":{"aws:PrincipalTag/\u00c9QUIPE\u0416":"red"}}`, values: values{"aws:PrincipalTag/équipeж": "red"}, holds: true},
		{name: "D14 value compares case", condition: `{"StringEquals":{"aws:PrincipalTag/team":"Red"}}`, values: values{"aws:PrincipalTag/team": "red"}},
		{name: "D15 Null true, missing", condition: `{"Null":{"k":"true"}}`, holds: true},
		{name: "D16 Null false, missing", condition: `{"Null":{"k":"false"}}`},
		{name: "D16 twin", condition: `{"Null":{"k":"false"}}`, values: values{"k": ""}, holds: true},
		{name: "D17 Null both, missing", condition: `{"Null":{"k":["true","false"]}}`, holds: true},
		{name: "D17 Null both, present", condition: `{"Null":{"k":["true","false"]}}`, values: values{"k": "x"}, holds: true},
		{name: "D18 JSON boolean", condition: `{"Bool":{"aws:SecureTransport":true}}`, values: values{"aws:SecureTransport": "true"}, holds: true},
		{name: "D19 Deny without MFA misses long-term keys", condition: `{"Bool":{"aws:MultiFactorAuthPresent":"false"}}`, deny: true},
		{name: "D20 IfExists hits them", condition: `{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}`, deny: true, holds: true},
		{name: "D21 numbers, not texts", condition: `{"NumericLessThanEquals":{"k":"10"}}`, values: values{"k": "10.0"}, holds: true},
		{name: "D22 not a number", condition: `{"NumericEquals":{"k":10}}`, values: values{"k": "abc"}},
		{name: "D22 not a number, negated, Allow", condition: `{"NumericNotEquals":{"k":10}}`, values: values{"k": "abc"}},
		{name: "D22 not a number, negated, Deny", condition: `{"NumericNotEquals":{"k":10}}`, values: values{"k": "abc"}, deny: true, holds: true},
		{name: "D22 numbers beyond a float", condition: `{"NumericEquals":{"k":9007199254740993}}`, values: values{"k": "9007199254740992"}},
		{name: "D23 strictly less", condition: `{"DateLessThan":{"aws:TokenIssueTime":"` + issued + `"}}`, values: values{"aws:TokenIssueTime": issued}},
		{name: "D23 twin", condition: `{"DateLessThan":{"aws:TokenIssueTime":"` + issued + `"}}`, values: values{"aws:TokenIssueTime": "2025-12-31T23:59:59.999Z"}, holds: true},
		{name: "D24 epoch seconds", condition: `{"DateGreaterThan":{"aws:CurrentTime":1700000000}}`, values: values{"aws:CurrentTime": "2023-11-14T22:13:21Z"}, holds: true},
		{name: "D24 the same second", condition: `{"DateGreaterThan":{"aws:CurrentTime":1700000000}}`, values: values{"aws:CurrentTime": "2023-11-14T22:13:20Z"}},
		{name: "D25 offset", condition: `{"DateLessThan":{"k":"2026-01-01T02:00:00+02:00"}}`, values: values{"k": issued}},
		{name: "D26 range", condition: `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, values: values{"aws:SourceIp": "203.0.113.9"}, holds: true},
		{name: "D27 bare address", condition: `{"IpAddress":{"aws:SourceIp":"203.0.113.9"}}`, values: values{"aws:SourceIp": "203.0.113.9"}, holds: true},
		{name: "D27 twin", condition: `{"IpAddress":{"aws:SourceIp":"203.0.113.9"}}`, values: values{"aws:SourceIp": "203.0.113.8"}},
		{name: "D28 IPv6 range", condition: `{"IpAddress":{"aws:SourceIp":"2001:DB8:1234:5678::/64"}}`, values: values{"aws:SourceIp": "2001:db8:1234:5678::1"}, holds: true},
		{name: "D29 families differ", condition: `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, values: values{"aws:SourceIp": "2001:db8::1"}},
		{name: "D29 mapped addresses are IPv4", condition: `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, values: values{"aws:SourceIp": "::ffff:10.1.1.1"}, holds: true},
		{name: "D30 negated and absent", condition: `{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, holds: true},
		{name: "D31 path in part six", condition: `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/*"}}`, values: values{"aws:PrincipalArn": roleR}, holds: true},
		{name: "D32 ArnEquals takes wildcards", condition: `{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/*"}}`, values: values{"aws:PrincipalArn": roleR}, holds: true},
		{name: "D33 StringEquals does not", condition: `{"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/*"}}`, values: values{"aws:PrincipalArn": roleR}},
		{name: "D34 part by part", condition: `{"ArnLike":{"k":` + finance + `}}`, values: values{"k": foreign}},
		{name: "D34 StringLike crosses", condition: `{"StringLike":{"k":` + finance + `}}`, values: values{"k": foreign}, holds: true},
		{name: "D34 a variable may hold a whole ARN", condition: `{"ArnEquals":{"k":"${l}"}}`, values: values{"k": docA, "l": docA}, holds: true},
		{name: "D34 a star inside it is literal", condition: `{"ArnEquals":{"k":"${l}"}}`, values: values{"k": docA, "l": "arn:aws:store:::doc/*"}},
		{name: "D35 the key holds the role", condition: `{"ArnEquals":{"aws:PrincipalArn":"` + sessionS + `"}}`, values: values{"aws:PrincipalArn": roleR}},
		{name: "D36 bytes", condition: `{"BinaryEquals":{"k":"QQ=="}}`, values: values{"k": "QQ=="}, holds: true},
		{name: "D36 other bytes", condition: `{"BinaryEquals":{"k":"QQ=="}}`, values: values{"k": "Qg=="}},
		{name: "D37 all among the values", condition: `{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, lists: lists{"aws:TagKeys": {"a"}}, holds: true},
		{name: "D38 one outside", condition: `{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, lists: lists{"aws:TagKeys": {"a", "c"}}},
		{name: "D39 missing is an empty set", condition: `{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, holds: true},
		{name: "D40 the documented guard", condition: guard},
		{name: "D40 twin", condition: guard, lists: lists{"aws:TagKeys": {"a"}}, holds: true},
		{name: "D41 one among the values", condition: `{"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}}`, lists: lists{"aws:TagKeys": {"c", "b"}}, holds: true},
		{name: "D42 none when missing", condition: `{"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}}`},
		{name: "D43 one lies outside", condition: `{"ForAnyValue:StringNotEquals":{"k":"a"}}`, lists: lists{"k": {"a", "b"}}, holds: true},
		{name: "D44 an overlap", condition: `{"ForAllValues:StringNotEquals":{"k":"a"}}`, lists: lists{"k": {"a", "b"}}},
		{name: "D45 ForAnyValue negated and missing", condition: `{"ForAnyValue:StringNotEquals":{"k":"a"}}`},
		{name: "D46 single value as a list of one", condition: `{"ForAllValues:StringEquals":{"k":"a"}}`, values: values{"k": "z"}},
		{name: "D47 Deny on a user name misses roles", condition: `{"StringEquals":{"aws:username":"alice"}}`, deny: true},
		{name: "D48 unknown key, negated, Deny", condition: `{"StringNotEquals":{"aws:Nonsense":"x"}}`, deny: true, holds: true},
		{name: "D50 IfExists wins over ForAnyValue", condition: `{"ForAnyValue:StringEqualsIfExists":{"k":"a"}}`, holds: true},
		{name: "several values without set operator, Allow", condition: `{"StringEquals":{"k":"a"}}`, lists: lists{"k": {"a", "b"}}},
		{name: "several values without set operator, Deny", condition: `{"StringEquals":{"k":"a"}}`, lists: lists{"k": {"a", "b"}}, deny: true, holds: true},
		{name: "several values, negated, without set operator, Deny", condition: `{"StringNotEquals":{"k":"a"}}`, lists: lists{"k": {"a", "b"}}, deny: true, holds: true},
		{name: "null set of one empty text", condition: `{"ForAllValues:StringEquals":{"k":"a"}}`, lists: lists{"k": {""}}, holds: true},
		{name: "operators ignore case", condition: `{"foranyvalue:stringequalsifexists":{"k":"a"}}`, lists: lists{"k": {"a"}}, holds: true},
		{name: "ForAnyValue before Null means nothing", condition: `{"ForAnyValue:Null":{"k":"true"}}`, holds: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			statements := []string{"Allow * on * if " + c.condition}
			yes, no := policy.Allow, policy.ImplicitDeny
			if c.deny {
				statements = []string{"Allow * on *", "Deny * on * if " + c.condition}
				yes, no = policy.ExplicitDeny, policy.Allow
			}
			want := no
			if c.holds {
				want = yes
			}
			who, _ := caller("s1")
			context := new(policy.Context)
			for k, v := range c.values {
				context.Set(k, v)
			}
			for k, v := range c.lists {
				context.SetList(k, v)
			}
			r := &policy.Request{Principal: who, Action: "store:Get", Resource: docA, ResourceAccount: accountA, Context: context}
			p := given{id: statements}.build(t)
			if got := policy.Evaluate(r, p).Effect; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
			checkTrace(t, c.name, r, p)
		})
	}
}
