package session_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stint-sts/stint/session"
)

func TestQuery_Range(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		query         session.Query
		after, before string
		limit         int
	}{
		{"an account", session.Query{Account: "111122223333"}, "111122223333/", "1111222233330", session.DefaultLimit},
		{"an entity", session.Query{Account: "1", EntityID: "AROAX", Limit: 7}, "1/AROAX/", "1/AROAX0", 7},
		{"an account from a cursor", session.Query{Account: "1", After: "AROAX/ASIAY"}, "1/AROAX/ASIAY", "10", session.DefaultLimit},
		{"an entity from a cursor", session.Query{Account: "1", EntityID: "AROAX", After: "AROAX/ASIAY", Limit: session.MaxLimit}, "1/AROAX/ASIAY", "1/AROAX0", session.MaxLimit},
	} {
		after, before, limit, err := row.query.Range()
		if err != nil || after != row.after || before != row.before || limit != row.limit {
			t.Errorf("%s: %q %q %d %v, want %q %q %d", row.name, after, before, limit, err, row.after, row.before, row.limit)
		}
	}
	for _, row := range []struct {
		name  string
		query session.Query
	}{
		{"no account", session.Query{}},
		{"account with a slash", session.Query{Account: "1/2"}},
		{"entity id too long", session.Query{Account: "1", EntityID: strings.Repeat("A", 129)}},
		{"limit below 0", session.Query{Account: "1", Limit: -1}},
		{"limit above the largest", session.Query{Account: "1", Limit: session.MaxLimit + 1}},
		{"cursor without an access key id", session.Query{Account: "1", After: "AROAX"}},
		{"cursor with three parts", session.Query{Account: "1", After: "AROAX/ASIAY/Z"}},
		{"cursor of another entity", session.Query{Account: "1", EntityID: "AROAX", After: "AROAZ/ASIAY"}},
	} {
		if _, _, _, err := row.query.Range(); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", row.name, err)
		}
	}
}

func TestKey_PartsComeBack(t *testing.T) {
	t.Parallel()
	r := roleSession(nil)
	if got := session.CutKey(r.Key()); got != r.AccessKeyID {
		t.Errorf("CutKey = %q, want %q", got, r.AccessKeyID)
	}
	if got, want := session.Cursor(r.Key()), r.EntityID+"/"+r.AccessKeyID; got != want {
		t.Errorf("Cursor = %q, want %q", got, want)
	}
}
