package mfa

import (
	"crypto/subtle"

	"github.com/pquerna/otp/hotp"

	"github.com/stint-sts/stint/secret"
)

// digits is the length of a code.
const digits = 6

// match returns the last step from from to to whose code is code. It takes the same time whichever matches, if any.
func match(seed, code secret.String, from, to int64) (step int64, ok bool) {
	given := []byte(code.Reveal())
	for s := from; s <= to; s++ {
		if equal(codeAt(seed, s), given) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// matchPair returns the last step from from to to whose code is second while that of the step before is first. It takes the same time
// whichever matches, if any.
func matchPair(seed, first, second secret.String, from, to int64) (step int64, ok bool) {
	given, before := []byte(second.Reveal()), []byte(first.Reveal())
	previous := codeAt(seed, from-1)
	for s := from; s <= to; s++ {
		present := codeAt(seed, s)
		if equal(previous, before)&equal(present, given) == 1 {
			step, ok = s, true
		}
		previous = present
	}
	return step, ok
}

// equal is 1 when code is the one that a step has. What is no code equals nothing.
func equal(have, code []byte) int {
	if len(have) != digits {
		return 0
	}
	return subtle.ConstantTimeCompare(have, code)
}

// codeAt is the code of a step: HOTP with SHA-1 and 6 digits (RFC 4226 section 5.3). Of a seed that is not base32, or of a step before
// 1970, there is none.
func codeAt(seed secret.String, step int64) []byte {
	if step < 0 {
		return nil
	}
	code, err := hotp.GenerateCode(seed.Reveal(), uint64(step))
	if err != nil {
		return nil
	}
	return []byte(code)
}
