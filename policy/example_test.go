package policy_test

import (
	"errors"
	"fmt"

	"github.com/stint-sts/stint/policy"
)

func Example() {
	trust, err := policy.Parse(policy.Trust, `{
		"Version": "2012-10-17",
		"Statement": {
			"Sid": "Partner",
			"Effect": "Allow",
			"Principal": {"AWS": "111111111111"},
			"Action": "sts:AssumeRole",
			"Condition": {"StringEquals": {"sts:ExternalId": "Ext-7731"}}
		}
	}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	identity, err := policy.Parse(policy.Identity, `{
		"Version": "2012-10-17",
		"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::222222222222:role/*"}
	}`)
	if err != nil {
		fmt.Println(err)
		return
	}

	context := new(policy.Context)
	request := &policy.Request{
		Principal: &policy.Principal{
			Type: policy.User, ARN: "arn:aws:iam::111111111111:user/alice", Account: "111111111111", ID: "AIDAEXAMPLE",
		},
		Action:          "sts:AssumeRole",
		Resource:        "arn:aws:iam::222222222222:role/Deploy",
		ResourceAccount: "222222222222",
		Context:         context,
	}
	policies := &policy.Policies{Identity: []*policy.Document{identity}, Resource: trust}

	decision := policy.Evaluate(request, policies)
	fmt.Println(decision.Effect, decision.Suffix(request.Action))

	context.Set("sts:ExternalId", "Ext-7731")
	decision = policy.Evaluate(request, policies)
	fmt.Println(decision.Effect, "by", decision.Reason.Kind, "policy")

	// Output:
	// ImplicitDeny  because no role trust policy allows the sts:AssumeRole action
	// Allow by identity policy
}

func ExampleParse() {
	_, err := policy.Parse(policy.Trust, `{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:*", "Resource": "*"}}`)
	var refusal *policy.Error
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Message)
		fmt.Println(refusal)
	}
	// Output:
	// Has prohibited field Resource
	// line 1 column 84: Statement.Resource: the role is the resource of its trust policy
}

func ExampleExplain() {
	d, err := policy.Parse(policy.Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"store:Get",
		"Resource":"arn:aws:store:::home/${aws:username}/*"}}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	context := new(policy.Context)
	context.Set("aws:username", "alice")
	trace := policy.Explain(&policy.Request{
		Principal:       &policy.Principal{Type: policy.User, ARN: "arn:aws:iam::111111111111:user/alice", Account: "111111111111"},
		Action:          "store:Get",
		Resource:        "arn:aws:store:::home/bob/x",
		ResourceAccount: "111111111111",
		Context:         context,
	}, &policy.Policies{Identity: []*policy.Document{d}})
	for _, layer := range trace.Layers {
		for _, document := range layer.Documents {
			for _, statement := range document.Statements {
				for _, check := range statement.Checks {
					fmt.Println(layer.Kind, check.Element, check.Expected, check.Resolved, "got", check.Got, check.Holds)
				}
			}
		}
	}
	// Output:
	// identity Action [store:Get] [] got [store:Get] true
	// identity Resource [arn:aws:store:::home/${aws:username}/*] [arn:aws:store:::home/alice/*] got [arn:aws:store:::home/bob/x] false
}
