package authz_test

import (
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/policy"
)

func BenchmarkDecide(b *testing.B) {
	document, err := policy.Parse(policy.Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}`)
	if err != nil {
		b.Fatal(err)
	}
	for name, make := range map[string]func() *authn.Caller{"user": user, "user with tags": user, "role session": roleSession} {
		b.Run(name, func(b *testing.B) {
			c := make()
			if name != "user with tags" {
				c.Entity.Tags = nil
			}
			c.Entity.Identity = []*policy.Document{document}
			q := &authz.Question{Action: "sts:AssumeRole", Resource: "arn:aws:iam::111122223333:role/r"}
			plain := *c.Request
			b.ReportAllocs()
			for b.Loop() {
				*c.Request = plain
				if authz.Decide(c, q).Effect == policy.ExplicitDeny {
					b.Fatal("denied")
				}
			}
		})
	}
}
