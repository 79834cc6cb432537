package mfa

import "github.com/stint-sts/stint/secret"

// CodeAt is the code of a step.
func CodeAt(seed secret.String, step int64) secret.String {
	return secret.New(string(codeAt(seed, step)))
}
