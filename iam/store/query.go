package store

import (
	"strconv"
	"strings"

	"github.com/stint-sts/stint/iam"
)

// afterPath is greater than any character of a path, so that [prefix, prefix+afterPath) holds every path with the prefix.
const afterPath = "\U0010FFFF"

// query is the text of a statement with its arguments. The texts are few: one for each set of fields that a Query can have.
type query struct {
	text strings.Builder
	args []any
}

// arg adds an argument and returns its placeholder.
func (b *query) arg(value string) string {
	b.args = append(b.args, value)
	return "$" + strconv.Itoa(len(b.args))
}

func (b *query) add(parts ...string) {
	for _, p := range parts {
		b.text.WriteString(p)
	}
}

// listing is the statement for List.
func listing(q iam.Query) (string, []any) {
	var b query
	b.add("SELECT ", columns, " FROM records WHERE ")
	order := "name"
	switch {
	case q.Target != "":
		b.links(q)
		b.after("parent", q)
		b.pathPrefix(q)
		order = "parent, account, name"
	case q.PathPrefix == "":
		b.children(q)
		b.after("name", q)
	case q.PathPrefix == "/": // the prefix of every path: in the order of names hardly anything is passed over
		b.children(q)
		b.after("name", q)
		b.add(" AND substr(path, 1, 1) = '/'") // a form that no index serves
	default:
		// The names come out of records_path alone, and only those of the page are looked up. In one step the planner would
		// walk through all names of the account to find a page of the path.
		b.children(q)
		b.add(" AND name IN (SELECT name FROM records WHERE ")
		b.children(q)
		b.pathPrefix(q)
		b.after("name", q)
		b.add(")")
	}
	b.add(" ORDER BY ", order)
	if q.Limit > 0 {
		b.args = append(b.args, q.Limit)
		b.add(" LIMIT $", strconv.Itoa(len(b.args)))
	}
	return b.text.String(), b.args
}

// counting is the statement for Count: a tally where there is one.
func counting(q iam.Query) (string, []any) {
	var b query
	switch {
	case q.PathPrefix == "" && q.Target != "":
		b.add("SELECT COALESCE(SUM(n), 0) FROM tallies WHERE kind = ", b.arg(string(q.Kind)), " AND target = ", b.arg(q.Target))
		if q.Account != "" {
			b.add(" AND account = ", b.arg(q.Account))
		}
	case q.PathPrefix == "" && q.Parent == "":
		b.add("SELECT n FROM tallies WHERE kind = ", b.arg(string(q.Kind)), " AND target = '' AND account = ", b.arg(q.Account))
	default:
		b.add("SELECT COUNT(*) FROM records WHERE ")
		if q.Target != "" {
			b.links(q)
		} else {
			b.children(q)
		}
		b.pathPrefix(q)
	}
	return b.text.String(), b.args
}

// links selects the records that point at a target.
func (b *query) links(q iam.Query) {
	b.add("kind = ", b.arg(string(q.Kind)), " AND target = ", b.arg(q.Target), " AND target <> ''") // for the partial index
	if q.Account != "" {
		b.add(" AND account = ", b.arg(q.Account))
	}
}

// children selects the records under a parent.
func (b *query) children(q iam.Query) {
	b.add("account = ", b.arg(q.Account), " AND kind = ", b.arg(string(q.Kind)), " AND parent = ", b.arg(q.Parent))
}

// pathPrefix keeps the records whose path starts with the prefix.
func (b *query) pathPrefix(q iam.Query) {
	if q.PathPrefix != "" {
		b.add(" AND path <> '' AND path >= ", b.arg(q.PathPrefix), " AND path < ", b.arg(q.PathPrefix+afterPath))
	}
}

// after keeps the records that follow the last of the page before.
func (b *query) after(column string, q iam.Query) {
	if q.After != "" {
		b.add(" AND ", column, " > ", b.arg(q.After))
	}
}
