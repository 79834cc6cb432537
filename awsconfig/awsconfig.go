// Package awsconfig edits the files that AWS SDKs and tools are configured by, such as ~/.aws/config, and leaves all else in them as it
// is: other sections, other settings, comments, line ends. The format is that of the AWS SDKs and Tools Reference Guide, "Shared config and
// credentials files"; where readers differ about a text, the package refuses to edit it.
package awsconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// MaxSize bounds a file, in bytes.
const MaxSize = 1 << 20

// ErrInvalid matches errors about a text that cannot be edited.
var ErrInvalid = errors.New("the file cannot be edited")

// Setting is one setting of a section. It has a value or nested settings.
type Setting struct {
	Key    string
	Value  string
	Nested []Setting
}

// File is the text of a file. It is not safe for concurrent use.
type File struct {
	lines []string // without line feeds; a carriage return stays
	crlf  bool
}

const byteOrderMark = "\ufeff"

// Parse reads a text. Its error matches ErrInvalid.
func Parse(text []byte) (*File, error) {
	switch {
	case len(text) > MaxSize:
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrInvalid, MaxSize)
	case bytes.IndexByte(text, 0) >= 0:
		return nil, fmt.Errorf("%w: it is no text", ErrInvalid)
	case bytes.Count(text, []byte("\r")) != bytes.Count(text, []byte("\r\n")):
		return nil, fmt.Errorf("%w: a carriage return without a line feed, which some readers take for the end of a line", ErrInvalid)
	}
	f := &File{crlf: bytes.Contains(text, []byte("\r\n"))}
	if len(text) > 0 {
		f.lines = strings.Split(string(text), "\n")
	}
	return f, nil
}

// Bytes returns the text.
func (f *File) Bytes() []byte { return []byte(strings.Join(f.lines, "\n")) }

// line is a line as readers see it.
func (f *File) line(i int) string {
	line := strings.TrimSuffix(f.lines[i], "\r")
	if i == 0 {
		line = strings.TrimPrefix(line, byteOrderMark)
	}
	return line
}

// header returns the name in a section's first line: "profile work" for [profile "work"]  # mine.
func header(line string) (name string, ok bool) {
	if !strings.HasPrefix(line, "[") {
		return "", false
	}
	name, _, ok = strings.Cut(line[1:], "]")
	words := strings.Fields(name)
	for i, w := range words {
		words[i] = strings.Trim(w, `"'`)
	}
	return strings.Join(words, " "), ok
}

// section finds the lines of a section: its first, and the one after its last. start is -1 when there is none.
func (f *File) section(name string) (start, end int, err error) {
	start, end = -1, len(f.lines)
	for i := range f.lines {
		got, ok := header(f.line(i))
		switch {
		case !ok:
		case got == name && start >= 0:
			return 0, 0, fmt.Errorf("%w: [%s] is there twice, in lines %d and %d", ErrInvalid, name, start+1, i+1)
		case got == name:
			start, end = i, len(f.lines)
		case start >= 0 && end == len(f.lines):
			end = i
		}
	}
	return start, end, nil
}

// Has reports whether there is such a section. The error matches ErrInvalid.
func (f *File) Has(section string) (bool, error) {
	start, _, err := f.section(section)
	return start >= 0, err
}

// Get returns the value of a setting. The error matches ErrInvalid.
func (f *File) Get(section, key string) (value string, ok bool, err error) {
	start, end, err := f.section(section)
	if err != nil || start < 0 {
		return "", false, err
	}
	at, _, err := f.setting(start, end, key)
	if err != nil || at < 0 {
		return "", false, err
	}
	line := f.line(at)
	return strings.TrimSpace(line[strings.IndexAny(line, "=:")+1:]), true, nil
}

func indented(line string) bool { return line != "" && (line[0] == ' ' || line[0] == '\t') }

func blank(line string) bool { return strings.TrimSpace(line) == "" }

func comment(line string) bool { return strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") }

// setting finds the lines of a setting between start and end, with what is nested in it. at is -1 when there is none.
func (f *File) setting(start, end int, key string) (at, after int, err error) {
	at = -1
	nests := false // there is a setting that an indented line can belong to
	for i := start + 1; i < end; i++ {
		line := f.line(i)
		switch {
		case blank(line) || comment(line):
			continue
		case indented(line) && !nests:
			return 0, 0, fmt.Errorf("%w: line %d is indented and belongs to no setting", ErrInvalid, i+1)
		}
		nests = true
		sign := strings.IndexAny(line, "=:")
		if sign < 0 || indented(line) || !strings.EqualFold(strings.TrimSpace(line[:sign]), key) {
			continue
		}
		if at >= 0 {
			return 0, 0, fmt.Errorf("%w: %s is there twice, in lines %d and %d", ErrInvalid, key, at+1, i+1)
		}
		at, after = i, i+1
		for j := i + 1; j < end && (indented(f.line(j)) || blank(f.line(j))); j++ {
			if !blank(f.line(j)) { // blank lines belong to it only when more follows
				after = j + 1
			}
		}
	}
	return at, after, nil
}

var (
	sectionName = regexp.MustCompile(`^[A-Za-z0-9_.@+=,:/-]+( [A-Za-z0-9_.@+=,:/-]+)?$`)
	keyName     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

func check(section string, settings []Setting) error {
	if !sectionName.MatchString(section) {
		return fmt.Errorf("%q cannot name a section", section)
	}
	for _, s := range settings {
		if !keyName.MatchString(s.Key) || strings.ContainsAny(s.Value, "\r\n\x00") || s.Value != strings.TrimSpace(s.Value) || s.Value == "" && s.Nested == nil {
			return fmt.Errorf("%s cannot be %q", s.Key, s.Value)
		}
		if err := check(section, s.Nested); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) text(settings []Setting, indent string) (lines []string) {
	end := ""
	if f.crlf {
		end = "\r"
	}
	for _, s := range settings {
		lines = append(lines, strings.TrimRight(indent+s.Key+" = "+s.Value, " ")+end)
		lines = append(lines, f.text(s.Nested, indent+"  ")...)
	}
	return lines
}

// Set gives settings of a section their values. Others in it stay; a section that is not there is added at the end. The error matches
// ErrInvalid when the text cannot be edited, and then nothing is changed.
func (f *File) Set(section string, settings ...Setting) error {
	if err := check(section, settings); err != nil {
		return err
	}
	edited := &File{lines: append([]string(nil), f.lines...), crlf: f.crlf}
	start, _, err := edited.section(section)
	if err != nil {
		return err
	}
	if start < 0 {
		edited.add(section, settings)
		settings = nil
	}
	next := start + 1 // where a new setting goes
	for _, s := range settings {
		_, end, err := edited.section(section)
		if err != nil {
			return err
		}
		at, after, err := edited.setting(start, end, s.Key)
		if err != nil {
			return err
		}
		if at < 0 {
			at, after = next, next
		}
		lines := edited.text([]Setting{s}, "")
		edited.splice(at, after, lines)
		next = at + len(lines)
	}
	f.lines = edited.lines
	return nil
}

// Replace is Set for a section that keeps nothing else.
func (f *File) Replace(section string, settings ...Setting) error {
	if err := check(section, settings); err != nil {
		return err
	}
	start, end, err := f.section(section)
	if err != nil {
		return err
	}
	if start < 0 {
		f.add(section, settings)
		return nil
	}
	for end > start+1 && (blank(f.line(end-1)) || comment(f.line(end-1))) {
		end-- // what stands before the next section is about that one
	}
	f.splice(start+1, end, f.text(settings, ""))
	return nil
}

func (f *File) splice(from, to int, lines []string) {
	if to == len(f.lines) { // the last line has no end
		lines = append(lines, "")
	}
	f.lines = append(f.lines[:from:from], append(lines, f.lines[to:]...)...)
}

func (f *File) add(section string, settings []Setting) {
	end := ""
	if f.crlf {
		end = "\r"
	}
	for len(f.lines) > 0 && f.lines[len(f.lines)-1] == "" {
		f.lines = f.lines[:len(f.lines)-1]
	}
	if n := len(f.lines); n > 0 {
		if f.crlf && !strings.HasSuffix(f.lines[n-1], "\r") {
			f.lines[n-1] += "\r"
		}
		f.lines = append(f.lines, end)
	}
	f.lines = append(f.lines, "["+section+"]"+end)
	f.lines = append(f.lines, f.text(settings, "")...)
	f.lines = append(f.lines, "")
}

// Read reads a file. One that is not there is empty.
func Read(path string) (*File, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	f, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, MaxSize+1))
}

// Edit changes a file in one step: readers see it as it was or as it will be. It keeps its mode; a new one has 0600, and its directory 0700.
// A symbolic link stays one. A change that somebody else makes meanwhile is an error.
func Edit(path string, change func(*File) error) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	before, err := read(path)
	if err != nil {
		return err
	}
	f, err := Parse(before)
	if err == nil {
		err = change(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if bytes.Equal(f.Bytes(), before) {
		return nil
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(f.Bytes())
	if err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err == nil {
		var now []byte
		if now, err = read(path); err == nil && !bytes.Equal(now, before) {
			err = fmt.Errorf("%s was changed by somebody else meanwhile: try again", path)
		}
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
