package signer_test

import (
	"testing"

	"github.com/stint-sts/stint/signer"
)

func TestMint_PadsTheToken(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{false, true} {
		s := open(t, signer.Config{SealTokens: sealed})
		for _, least := range []int{0, 1, 600, 2000, 4096} {
			c := roleClaims(start)
			c.MinTokenSize = least
			token := mint(t, s, c).SessionToken
			if got := len(token.Reveal()); got < least || got > 2*least+1500 {
				t.Errorf("sealed %v: a token of at least %d bytes has %d", sealed, least, got)
			}
			if got, err := s.Verify(token); err != nil || got.SessionName != "build-17" {
				t.Errorf("sealed %v: padded to %d: %v", sealed, least, err)
			}
		}
	}
}
