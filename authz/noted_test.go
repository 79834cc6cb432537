package authz_test

import (
	"fmt"
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/policy"
)

// However many questions a call raises, the notes are bounded and end with the last one: a denial is explained by it.
func TestDecide_NotesEndWithTheLastQuestion(t *testing.T) {
	t.Parallel()
	c := &authn.Caller{
		Kind: authn.User, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/a", Request: &authn.Request{},
		Entity: &authn.Entity{Type: authn.UserEntity, Account: "111122223333", ID: "AIDAA", Name: "a", Identity: []*policy.Document{}},
	}
	for i := range 40 {
		action := fmt.Sprintf("iam:Action%d", i)
		authz.Decide(c, &authz.Question{Action: action, Resource: "*"})
		if got := c.Request.Decisions[len(c.Request.Decisions)-1].Request.Action; got != action {
			t.Fatalf("after question %d the last note is of %s", i, got)
		}
	}
	if len(c.Request.Decisions) > 16 {
		t.Errorf("%d notes", len(c.Request.Decisions))
	}
}
