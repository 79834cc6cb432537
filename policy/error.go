package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error tells why a document was refused: AWS's sentence for the caller, place and precise reason for people.
type Error struct {
	Message      string // AWS's sentence for MalformedPolicyDocument, such as "Syntax errors in policy."
	Path         string // the element, such as Statement[0].Effect; empty for the document itself
	Offset       int    // in bytes from the start of the text
	Line, Column int    // from 1; the column counts characters
	Reason       string // what exactly is wrong
}

// Error returns reason and place. The sentence for the wire is Message.
func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("line %d column %d: %s", e.Line, e.Column, e.Reason)
	}
	return fmt.Sprintf("line %d column %d: %s: %s", e.Line, e.Column, e.Path, e.Reason)
}

// maxQuoted bounds how much foreign text an Error repeats, in bytes.
const maxQuoted = 1024

// clip shortens s to maxQuoted bytes at a character's boundary.
func clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	end := maxQuoted
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// errorAt fills in line and column of an offset.
func errorAt(text string, offset int, path, message, reason string) *Error {
	line, column := position(text, offset)
	return &Error{
		Message: clip(message),
		Path:    clip(path),
		Offset:  min(offset, len(text)),
		Line:    line,
		Column:  column,
		Reason:  clip(reason),
	}
}

// position returns line and column of a byte offset, both from 1; the column counts characters.
func position(text string, offset int) (line, column int) {
	before := text[:min(offset, len(text))]
	lineStart := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[lineStart:]) + 1
}
