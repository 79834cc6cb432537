package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stint-sts/stint/policy"
)

// typicalTrust has two statements and four conditions.
const typicalTrust = `{"Version":"2012-10-17","Statement":[
	{"Sid":"Users","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111111111111:user/alice","arn:aws:iam::222222222222:root"]},
	 "Action":["sts:AssumeRole","sts:TagSession"],
	 "Condition":{"StringEquals":{"sts:ExternalId":"Ext-7731"},"StringLike":{"sts:RoleSessionName":"${aws:username}-*"},"Bool":{"aws:MultiFactorAuthPresent":"true"}}},
	{"Sid":"Network","Effect":"Deny","Principal":"*","Action":"sts:*","Condition":{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]}}}]}`

// typicalContext is as large as that of a real AssumeRole: a cached part of the principal and a part of the request.
func typicalContext() *policy.Context {
	principal := new(policy.Context)
	for _, kv := range [][2]string{{"aws:PrincipalArn", alice}, {"aws:PrincipalAccount", accountA}, {"aws:PrincipalType", "User"}, {"aws:userid", "AIDAALICE"},
		{"aws:username", "alice"}, {"aws:PrincipalIsAWSService", "false"}, {"aws:PrincipalTag/team", "red"}, {"aws:PrincipalTag/env", "prod"}} {
		principal.Set(kv[0], kv[1])
	}
	c := policy.NewContext(principal)
	for _, kv := range [][2]string{{"aws:CurrentTime", "2026-11-28T12:00:00Z"}, {"aws:EpochTime", "1796040000"}, {"aws:SecureTransport", "true"},
		{"aws:RequestedRegion", "us-east-1"}, {"aws:UserAgent", "aws-cli/2"}, {"aws:SourceIp", "10.1.2.3"}, {"aws:ViaAWSService", "false"},
		{"aws:MultiFactorAuthPresent", "true"}, {"sts:RoleSessionName", "alice-laptop"}, {"sts:ExternalId", "Ext-7731"}, {"aws:ResourceAccount", accountA}} {
		c.Set(kv[0], kv[1])
	}
	c.SetList("aws:TagKeys", []string{"team", "env"})
	return c
}

func typicalRequest() (*policy.Request, *policy.Policies) {
	d, err := policy.Parse(policy.Trust, typicalTrust)
	if err != nil {
		panic(err)
	}
	r := &policy.Request{Principal: callers()[0], Action: "sts:AssumeRole", Resource: roleT, ResourceAccount: accountA, Context: typicalContext()}
	return r, &policy.Policies{Resource: d.Bind(map[string]string{alice: "AIDAALICE"})}
}

func TestEvaluate_AllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the whole process
	r, p := typicalRequest()
	if got := policy.Evaluate(r, p); got.Effect != policy.Allow {
		t.Fatalf("got %+v", got)
	}
	if n := testing.AllocsPerRun(200, func() { policy.Evaluate(r, p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	r, p = tenPolicies()
	if got := policy.Evaluate(r, p); got.Effect != policy.Allow || got.Reason.Document != 9 {
		t.Fatalf("got %+v", got)
	}
	if n := testing.AllocsPerRun(50, func() { policy.Evaluate(r, p) }); n != 0 {
		t.Errorf("ten policies: %v allocations", n)
	}
}

func BenchmarkEvaluate_Trust(b *testing.B) {
	r, p := typicalRequest()
	b.ReportAllocs()
	for b.Loop() {
		if policy.Evaluate(r, p).Effect != policy.Allow {
			b.Fatal("denied")
		}
	}
}

// tenPolicies are ten documents of nearly 6 KiB with statements of many services. Only the last allows the request.
func tenPolicies() (*policy.Request, *policy.Policies) {
	p := &policy.Policies{}
	services := []string{"ec2", "s3", "sqs", "sns", "lambda", "dynamodb", "iam", "kms", "logs", "events", "store"}
	for d := range 10 {
		var statements []string
		for size, i := 0, 0; size < 5900; i++ {
			service := services[(d+i)%len(services)]
			if d == 9 && size > 5600 {
				service = "store"
			}
			s := fmt.Sprintf(`{"Sid":"S%d","Effect":"Allow","Action":["%s:Get*","%s:PutThing%d","%s:List*"],"Resource":["arn:aws:%s:::bucket-%d/${aws:username}/*","arn:aws:%s:eu-west-1:111111111111:thing/%d"],"Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}`,
				i, service, service, i, service, service, i, service, i)
			statements = append(statements, s)
			size += len(s)
		}
		if d == 9 {
			statements[len(statements)-1] = `{"Effect":"Allow","Action":"store:Get","Resource":"` + docA + `","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}`
		}
		document, err := policy.Parse(policy.Identity, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+"]}")
		if err != nil {
			panic(err)
		}
		p.Identity = append(p.Identity, document)
	}
	r := &policy.Request{Principal: callers()[0], Action: "store:Get", Resource: docA, ResourceAccount: accountA, Context: typicalContext()}
	return r, p
}

func BenchmarkEvaluate_TenPolicies(b *testing.B) {
	r, p := tenPolicies()
	size := 0
	for _, d := range p.Identity {
		size += d.Size()
	}
	b.ReportMetric(float64(size)/10, "chars/policy")
	b.ReportAllocs()
	for b.Loop() {
		if policy.Evaluate(r, p).Effect != policy.Allow {
			b.Fatal("denied")
		}
	}
}

// BenchmarkEvaluate_OneService is the worst honest case: every statement is of the requested service, so none is skipped.
func BenchmarkEvaluate_OneService(b *testing.B) {
	p := &policy.Policies{}
	for range 10 {
		var actions, resources []string
		for i := range 90 {
			actions = append(actions, fmt.Sprintf(`"store:Action%d*"`, i))
			resources = append(resources, fmt.Sprintf(`"arn:aws:store:::b%d/folder/*"`, i))
		}
		actions = append(actions, `"store:Get"`)
		document, err := policy.Parse(policy.Identity, `{"Statement":{"Effect":"Allow","Action":[`+strings.Join(actions, ",")+`],"Resource":[`+strings.Join(resources, ",")+"]}}")
		if err != nil {
			b.Fatal(err)
		}
		p.Identity = append(p.Identity, document)
	}
	r := &policy.Request{Principal: callers()[0], Action: "store:Get", Resource: docA, ResourceAccount: accountA, Context: typicalContext()}
	b.ReportAllocs()
	for b.Loop() {
		if policy.Evaluate(r, p).Effect == policy.Allow {
			b.Fatal("allowed")
		}
	}
}

// BenchmarkGlob_Stars matches patterns of n stars against texts that almost fit; time must not grow exponentially in n.
func BenchmarkGlob_Stars(b *testing.B) {
	text := strings.Repeat("a", 2000)
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			pattern := strings.Repeat("a?*", n) + "b"
			for b.Loop() {
				if policy.Glob(pattern, text) {
					b.Fatal("matched")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Parse(policy.Trust, typicalTrust); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkContext fills a request context on a cached principal's part and reuses the memory.
func BenchmarkContext(b *testing.B) {
	base, c := typicalContext(), new(policy.Context)
	b.ReportAllocs()
	for b.Loop() {
		c.Reset(base)
		c.Set("aws:CurrentTime", "2026-11-28T12:00:00Z")
		c.Set("aws:SecureTransport", "true")
		c.Set("aws:SourceIp", "10.1.2.3")
		c.Set("sts:RoleSessionName", "alice-laptop")
		c.Set("sts:ExternalId", "Ext-7731")
	}
}
