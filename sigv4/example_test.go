package sigv4_test

import (
	"fmt"
	"time"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/sigv4"
)

func Example() {
	now := func() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }
	key := secret.New("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")

	// A client signs …
	r := &sigv4.Request{
		Method: "POST", Path: "/", Host: "127.0.0.1:8470", Body: []byte("Action=GetCallerIdentity&Version=2011-06-15"),
	}
	c := sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: key}
	if err := sigv4.Sign(r, c, "eu-west-1", "sts", now()); err != nil {
		fmt.Println(err)
	}

	// … and a server verifies.
	v, err := sigv4.New(sigv4.Config{Services: []string{"sts", "iam"}, Now: now})
	if err != nil {
		fmt.Println(err)
	}
	m, err := sigv4.Parse(r)
	if err != nil {
		fmt.Println(err)
	}
	if err := v.CheckScope(r, m, "sts"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(m.AccessKeyID, m.Region, v.Verify(r, m, key))

	r.Body = []byte("Action=GetSessionToken&Version=2011-06-15")
	fmt.Println(v.Verify(r, m, key) != nil)
	// Output:
	// AKIAIOSFODNN7EXAMPLE eu-west-1 <nil>
	// true
}
