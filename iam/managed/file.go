package managed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/policy"
)

// maxFile bounds a file; a document has at most 131,072 characters (IAM API model, policyDocumentType).
const maxFile = 512 << 10

// Patterns and bounds of the IAM API model: policyNameType, policyPathType, policyDescriptionType, policyVersionIdType.
var (
	namePattern    = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	pathPattern    = regexp.MustCompile(`^((/[A-Za-z0-9.,+@=_-]+)*)/$`)
	versionPattern = regexp.MustCompile(`^v[1-9][0-9]{0,5}$`)
)

const (
	maxPath        = 512
	maxDescription = 1000
)

// fault is a mistake at a line of a file.
type fault struct {
	line   int
	reason string
}

func (f *fault) Error() string { return "line " + strconv.Itoa(f.line) + ": " + f.reason }

// file is a policy file while it is read.
type file struct {
	text    []byte
	decoder *json.Decoder
	lines   map[string]int // where each key stands
	entry   entry
}

// readFile reads one policy file.
func readFile(dir fs.FS, name string) (*entry, error) {
	in, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return parse(text)
}

// parse reads the text of a policy file. The error is a *fault.
func parse(text []byte) (*entry, error) {
	f := &file{text: text, decoder: json.NewDecoder(bytes.NewReader(text)), lines: make(map[string]int)}
	p := &f.entry.policy
	p.Account, p.Path, p.DefaultVersion = iam.AWSAccount, "/", 1
	if err := f.object(); err != nil {
		return nil, err
	}
	for _, required := range []string{"name", "document"} {
		if f.lines[required] == 0 {
			return nil, &fault{1, fmt.Sprintf("the key %q is missing", required)}
		}
	}
	p.LastVersion = p.DefaultVersion
	if p.UpdateDate.IsZero() {
		p.UpdateDate = p.CreateDate
	}
	if p.UpdateDate.Before(p.CreateDate) {
		return nil, &fault{f.lines["updated"], "the policy was updated before it was created"}
	}
	p.ID = policyID(p.ARN())
	return &f.entry, nil
}

// object reads the file as one JSON object.
func (f *file) object() error {
	if t, err := f.decoder.Token(); err != nil || t != json.Delim('{') {
		return f.fail(err, "a policy file is one JSON object")
	}
	for f.decoder.More() {
		t, err := f.decoder.Token()
		if err != nil {
			return f.fail(err, "")
		}
		if err := f.member(t.(string)); err != nil { // between braces every first token is a string
			return err
		}
	}
	if _, err := f.decoder.Token(); err != nil {
		return f.fail(err, "")
	}
	if _, err := f.decoder.Token(); !errors.Is(err, io.EOF) {
		return f.fail(nil, "something follows the policy")
	}
	return nil
}

// member reads the value of a key.
func (f *file) member(key string) error {
	line := f.line(f.decoder.InputOffset())
	if f.lines[key] != 0 {
		return &fault{line, fmt.Sprintf("the key %q is given twice", key)}
	}
	f.lines[key] = line
	if key == "document" {
		return f.document()
	}
	set, known := members[key]
	if !known {
		return &fault{line, fmt.Sprintf("the key %q is unknown", key)}
	}
	var value string
	if err := f.decoder.Decode(&value); err != nil {
		return f.fail(err, fmt.Sprintf("%s must be a string", key))
	}
	if reason := set(&f.entry.policy, value); reason != "" {
		return &fault{line, reason}
	}
	return nil
}

// members are the keys with their rules: each sets the policy's field, or tells why it cannot.
var members = map[string]func(p *iam.Policy, value string) (reason string){
	"name": func(p *iam.Policy, value string) string {
		p.Name = value
		return unless(namePattern.MatchString(value), "name must be 1 to 128 letters, digits and +=,.@_-")
	},
	"path": func(p *iam.Policy, value string) string {
		p.Path = value
		return unless(len(value) <= maxPath && pathPattern.MatchString(value), `path must look like "/" or "/team/tools/"`)
	},
	"description": func(p *iam.Policy, value string) string {
		p.Description = value
		return unless(utf8.RuneCountInString(value) <= maxDescription, "description is longer than 1,000 characters")
	},
	"version": func(p *iam.Policy, value string) string {
		ok := versionPattern.MatchString(value)
		if ok {
			p.DefaultVersion, _ = strconv.Atoi(value[1:]) // the pattern leaves six digits at most
		}
		return unless(ok, `version must look like "v1"`)
	},
	"created": func(p *iam.Policy, value string) string { return setTime(&p.CreateDate, value) },
	"updated": func(p *iam.Policy, value string) string { return setTime(&p.UpdateDate, value) },
}

func unless(ok bool, reason string) string {
	if ok {
		return ""
	}
	return reason
}

func setTime(t *time.Time, value string) string {
	parsed, err := time.Parse(time.RFC3339, value)
	*t = parsed.UTC().Truncate(time.Second)
	return unless(err == nil, `a time must look like "2026-01-31T00:00:00Z"`)
}

// document reads the policy document. It is kept as it stands in the file, but for the indentation of the file around it.
func (f *file) document() error {
	var raw json.RawMessage
	if err := f.decoder.Decode(&raw); err != nil {
		return f.fail(err, "")
	}
	_, err := policy.Parse(policy.Identity, string(raw))
	if refused, ok := errors.AsType[*policy.Error](err); ok {
		first := f.line(f.decoder.InputOffset() - int64(len(raw)))
		return &fault{first + refused.Line - 1, fmt.Sprintf("document: %s: %s", refused.Path, refused.Reason)}
	}
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "    "); err != nil {
		return err
	}
	f.entry.document = text.String()
	return nil
}

// fail makes a fault of what the decoder says; other is the reason when what it read is JSON, but of another kind.
func (f *file) fail(err error, other string) error {
	offset, reason := f.decoder.InputOffset(), other
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset, reason = syntax.Offset, "not JSON: "+syntax.Error()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		offset, reason = int64(len(f.text)), "the file ends too early"
	}
	return &fault{f.line(offset), reason}
}

// line returns the line of a byte offset, from 1.
func (f *file) line(offset int64) int {
	return bytes.Count(f.text[:min(max(offset, 0), int64(len(f.text)))], []byte("\n")) + 1
}
