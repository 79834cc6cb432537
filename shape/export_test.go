package shape

// MatchPattern reports whether s matches the pattern of that name, and Patterns lists names and texts, for tests that hold
// the table against the expressions themselves.
func MatchPattern(name, s string) bool { return patterns[name].match(s) }

// Patterns returns the text of each pattern by its name.
func Patterns() map[string]string {
	texts := make(map[string]string, len(patterns))
	for name, p := range patterns {
		texts[name] = p.text
	}
	return texts
}
