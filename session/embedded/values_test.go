package embedded_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
)

func TestEmbedded_ValuesSurviveRestart(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{Dir: t.TempDir()}
	s := open(t, cfg)
	until := time.Now().Add(time.Hour)
	for _, name := range []string{"deleted before", "deleted after", "kept", "replaced"} {
		if err := s.SetValue(t.Context(), name, []byte(name), until); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		s.DeleteValue(t.Context(), "deleted before"), s.Compact(), s.DeleteValue(t.Context(), "deleted after"),
		s.ReplaceValue(t.Context(), "replaced", []byte("anew"), until),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		closeStore(t, s)
		s = open(t, cfg)
		for name, want := range map[string]string{"deleted before": "", "deleted after": "", "kept": "kept", "replaced": "anew"} {
			got, err := s.Value(t.Context(), name)
			if want == "" && !errors.Is(err, session.ErrNotFound) || want != "" && (err != nil || string(got) != want) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if err := s.Compact(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEmbedded_ValuesAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t, embedded.Config{Dir: t.TempDir(), MaxValueBytes: 1000})
	until := time.Now().Add(time.Hour)
	set := func(name string, size int) error {
		return s.SetValue(t.Context(), name, []byte(strings.Repeat("v", size)), until)
	}
	if err := errors.Join(set("a", 600), set("a", 900), set("b", 100)); err != nil {
		t.Fatal(err)
	}
	if err := set("c", 1); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("one byte too many: %v, want ErrUnavailable", err)
	}
	if err := errors.Join(s.DeleteValue(t.Context(), "b"), set("c", 100)); err != nil {
		t.Errorf("after another was deleted: %v", err)
	}
}
