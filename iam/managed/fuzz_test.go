package managed

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/stint-sts/stint/policy"
)

// FuzzParse: never panics, blames a line inside of the file, and gives a document that policy accepts.
func FuzzParse(f *testing.F) {
	files, err := fs.Glob(builtIn, "policies/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no built-in policies", err)
	}
	for _, name := range files {
		text, err := builtIn.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{"", "{", "[]", `{"name":1}`, `{"name":"x","name":"x"}`, `{"document":{}}`, "{}{}", "{\"\x00\":1}", `{"document":null}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parse(text)
		if err != nil {
			refused, ok := errors.AsType[*fault](err)
			if !ok || refused.line < 1 || refused.line > len(text)+1 {
				t.Fatalf("error %v of type %T", err, err)
			}
			return
		}
		if _, err := policy.Parse(policy.Identity, e.document); err != nil {
			t.Fatalf("document is not accepted: %v", err)
		}
	})
}
