package cedar_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/stint-sts/stint/policy"
)

// The policy of both engines: two users or accounts may assume the role with external id, session name and MFA; everybody is
// denied from outside of two networks.
const (
	iamTrust = `{"Version":"2012-10-17","Statement":[
		{"Sid":"Users","Effect":"Allow",
		 "Principal":{"AWS":["arn:aws:iam::111111111111:user/alice","arn:aws:iam::222222222222:root"]},
		 "Action":["sts:AssumeRole","sts:TagSession"],
		 "Condition":{"StringEquals":{"sts:ExternalId":"Ext-7731"},"StringLike":{"sts:RoleSessionName":"alice-*"},
		              "Bool":{"aws:MultiFactorAuthPresent":"true"}}},
		{"Sid":"Network","Effect":"Deny","Principal":"*","Action":"sts:*",
		 "Condition":{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]}}}]}`

	cedarTrust = `
		permit (principal, action in [Action::"sts:AssumeRole", Action::"sts:TagSession"], resource == Role::"arn:aws:iam::111111111111:role/T")
		when { (principal == User::"arn:aws:iam::111111111111:user/alice" || principal in Account::"222222222222") &&
		       context has ExternalId && context.ExternalId == "Ext-7731" &&
		       context has RoleSessionName && context.RoleSessionName like "alice-*" &&
		       context has MultiFactorAuthPresent && context.MultiFactorAuthPresent };
		forbid (principal, action, resource)
		unless { context has SourceIp &&
		         (context.SourceIp.isInRange(ip("10.0.0.0/8")) || context.SourceIp.isInRange(ip("203.0.113.0/24"))) };`
)

const role = "arn:aws:iam::111111111111:role/T"

// call is what both engines are asked.
type call struct {
	user, action, externalID, sessionName, address string
	mfa                                            bool
}

var good = call{"arn:aws:iam::111111111111:user/alice", "sts:AssumeRole", "Ext-7731", "alice-laptop", "10.1.2.3", true}

// stint holds what a server would keep between requests.
type stint struct{ policies *policy.Policies }

func newStint(tb testing.TB) *stint {
	tb.Helper()
	d, err := policy.Parse(policy.Trust, iamTrust)
	if err != nil {
		tb.Fatal(err)
	}
	return &stint{&policy.Policies{Resource: d}}
}

// fill makes a request in memory that is kept.
func (c *call) fill(r *policy.Request) *policy.Request {
	r.Principal.ARN, r.Action = c.user, c.action
	r.Context.Reset(nil)
	if c.externalID != "" {
		r.Context.Set("sts:ExternalId", c.externalID)
	}
	r.Context.Set("sts:RoleSessionName", c.sessionName)
	r.Context.Set("aws:SourceIp", c.address)
	r.Context.Set("aws:MultiFactorAuthPresent", fmt.Sprint(c.mfa))
	r.Context.Set("aws:SecureTransport", "true")
	r.Context.Set("aws:RequestedRegion", "us-east-1")
	return r
}

func emptyRequest() *policy.Request {
	return &policy.Request{
		Principal: &policy.Principal{Type: policy.User, Account: "111111111111"},
		Resource:  role, ResourceAccount: "111111111111", Context: new(policy.Context),
	}
}

type cedarEngine struct {
	policies *cedar.PolicySet
	entities cedar.EntityMap
}

func newCedar(tb testing.TB) *cedarEngine {
	tb.Helper()
	policies, err := cedar.NewPolicySetFromBytes("trust.cedar", []byte(cedarTrust))
	if err != nil {
		tb.Fatal(err)
	}
	entities := cedar.EntityMap{}
	for user, account := range map[string]string{good.user: "111111111111", "arn:aws:iam::333333333333:user/eve": "333333333333"} {
		uid := cedar.NewEntityUID("User", types.String(user))
		entities[uid] = cedar.Entity{UID: uid, Parents: cedar.NewEntityUIDSet(cedar.NewEntityUID("Account", types.String(account)))}
	}
	return &cedarEngine{policies, entities}
}

func (c *call) cedar(tb testing.TB) cedar.Request {
	address, err := netip.ParseAddr(c.address)
	if err != nil {
		tb.Fatal(err)
	}
	context := cedar.RecordMap{
		"RoleSessionName":        types.String(c.sessionName),
		"SourceIp":               types.IPAddr(netip.PrefixFrom(address, address.BitLen())),
		"MultiFactorAuthPresent": types.Boolean(c.mfa),
		"SecureTransport":        types.True,
		"RequestedRegion":        types.String("us-east-1"),
	}
	if c.externalID != "" {
		context["ExternalId"] = types.String(c.externalID)
	}
	return cedar.Request{
		Principal: cedar.NewEntityUID("User", types.String(c.user)),
		Action:    cedar.NewEntityUID("Action", types.String(c.action)),
		Resource:  cedar.NewEntityUID("Role", role),
		Context:   cedar.NewRecord(context),
	}
}

// TestEquivalent: the two policies say the same, else the benchmark would compare nothing.
func TestEquivalent(t *testing.T) {
	t.Parallel()
	s, c := newStint(t), newCedar(t)
	for name, row := range map[string]struct {
		change func(*call)
		want   bool
	}{
		"all conditions hold": {func(*call) {}, true},
		"tags":                {func(c *call) { c.action = "sts:TagSession" }, true},
		"another network":     {func(c *call) { c.address = "203.0.113.9" }, true},
		"another action":      {func(c *call) { c.action = "sts:SetSourceIdentity" }, false},
		"another user":        {func(c *call) { c.user = "arn:aws:iam::333333333333:user/eve" }, false},
		"another external id": {func(c *call) { c.externalID = "x" }, false},
		"no external id":      {func(c *call) { c.externalID = "" }, false},
		"another session":     {func(c *call) { c.sessionName = "bob-laptop" }, false},
		"no MFA":              {func(c *call) { c.mfa = false }, false},
		"from outside":        {func(c *call) { c.address = "198.51.100.1" }, false},
	} {
		asked := good
		row.change(&asked)
		if got := policy.Evaluate(asked.fill(emptyRequest()), s.policies).Effect == policy.Allow; got != row.want {
			t.Errorf("%s: stint %v", name, got)
		}
		if got, _ := cedar.Authorize(c.policies, c.entities, asked.cedar(t)); bool(got) != row.want {
			t.Errorf("%s: cedar %v", name, got)
		}
	}
}

// BenchmarkTrust decides a request that is ready.
func BenchmarkTrust(b *testing.B) {
	b.Run("stint", func(b *testing.B) {
		s, request := newStint(b), good.fill(emptyRequest())
		b.ReportAllocs()
		for b.Loop() {
			if policy.Evaluate(request, s.policies).Effect != policy.Allow {
				b.Fatal("denied")
			}
		}
	})
	b.Run("cedar", func(b *testing.B) {
		c, request := newCedar(b), good.cedar(b)
		b.ReportAllocs()
		for b.Loop() {
			if decision, _ := cedar.Authorize(c.policies, c.entities, request); decision != cedar.Allow {
				b.Fatal("denied")
			}
		}
	})
}

// BenchmarkTrustFromRequest also fills the request context, as a server does for each call.
func BenchmarkTrustFromRequest(b *testing.B) {
	b.Run("stint", func(b *testing.B) {
		s, request := newStint(b), emptyRequest()
		b.ReportAllocs()
		for b.Loop() {
			if policy.Evaluate(good.fill(request), s.policies).Effect != policy.Allow {
				b.Fatal("denied")
			}
		}
	})
	b.Run("cedar", func(b *testing.B) {
		c := newCedar(b)
		b.ReportAllocs()
		for b.Loop() {
			if decision, _ := cedar.Authorize(c.policies, c.entities, good.cedar(b)); decision != cedar.Allow {
				b.Fatal("denied")
			}
		}
	})
}

// BenchmarkStatements decides among n statements of which the last allows.
func BenchmarkStatements(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("%d/stint", n), func(b *testing.B) {
			var list []string
			for i := range n {
				list = append(list, fmt.Sprintf(`{"Effect":"Allow","Action":["store:Get","store:Put"],"Resource":"arn:aws:store:::b%d/*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}`, i))
			}
			d, err := policy.Parse(policy.Identity, `{"Version":"2012-10-17","Statement":[`+strings.Join(list, ",")+`]}`)
			if err != nil {
				b.Fatal(err)
			}
			request := emptyRequest()
			request.Principal.ARN, request.Action, request.Resource = good.user, "store:Get", fmt.Sprintf("arn:aws:store:::b%d/x", n-1)
			request.Context.Set("aws:PrincipalTag/team", "red")
			policies := &policy.Policies{Identity: []*policy.Document{d}}
			b.ReportAllocs()
			for b.Loop() {
				if policy.Evaluate(request, policies).Effect != policy.Allow {
					b.Fatal("denied")
				}
			}
		})
		b.Run(fmt.Sprintf("%d/cedar", n), func(b *testing.B) {
			var text strings.Builder
			for i := range n {
				fmt.Fprintf(&text, `permit (principal, action in [Action::"store:Get", Action::"store:Put"], resource in Bucket::"b%d") when { context has team && context.team == "red" };`+"\n", i)
			}
			policies, err := cedar.NewPolicySetFromBytes("store.cedar", []byte(text.String()))
			if err != nil {
				b.Fatal(err)
			}
			object := cedar.NewEntityUID("Object", "x")
			entities := cedar.EntityMap{object: cedar.Entity{
				UID: object, Parents: cedar.NewEntityUIDSet(cedar.NewEntityUID("Bucket", types.String(fmt.Sprintf("b%d", n-1)))),
			}}
			request := cedar.Request{
				Principal: cedar.NewEntityUID("User", types.String(good.user)), Action: cedar.NewEntityUID("Action", "store:Get"),
				Resource: object, Context: cedar.NewRecord(cedar.RecordMap{"team": types.String("red")}),
			}
			b.ReportAllocs()
			for b.Loop() {
				if decision, _ := cedar.Authorize(policies, entities, request); decision != cedar.Allow {
					b.Fatal("denied")
				}
			}
		})
	}
}

// BenchmarkParse compiles the policy, which happens once per document.
func BenchmarkParse(b *testing.B) {
	b.Run("stint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := policy.Parse(policy.Trust, iamTrust); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cedar", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := cedar.NewPolicySetFromBytes("trust.cedar", []byte(cedarTrust)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
