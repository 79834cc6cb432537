package apply_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/apply"
	"github.com/stint-sts/stint/iam/managed"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/password"
	"github.com/stint-sts/stint/seal"
)

const (
	testAccount  = "111122223333"
	otherAccount = "444455556666"
)

// fixture is a directory with two accounts, and what applies files to it.
type fixture struct {
	*iam.Service
	t     *testing.T
	calls []string // operations that were run
	fail  string   // operation that fails
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "directory.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	f := &fixture{t: t}
	master, err := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize), rand.Reader)
	f.ok(err)
	catalog, err := managed.Load("")
	f.ok(err)
	directory, err := iam.NewDirectory(iam.DirectoryConfig{
		Store: st, Master: master, Managed: catalog, Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	f.ok(err)
	hasher, err := password.New(password.Config{Rand: rand.Reader, Params: password.Params{Memory: 8, Time: 1, Threads: 1}})
	f.ok(err)
	f.Service = iam.NewService(iam.Config{
		Directory: directory, Master: master, Managed: catalog, Now: time.Now, Rand: rand.Reader,
		Passwords: iam.NewPasswords(iam.PasswordsConfig{Directory: directory, Hasher: hasher, Now: time.Now}),
	})
	for id, name := range map[string]string{testAccount: "first", otherAccount: "second"} {
		_, err := f.CreateAccount(t.Context(), iam.CreateAccount{ID: id, Name: name})
		f.ok(err)
	}
	return f
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// run calls the Service's method of that name, as the dispatcher's table does.
func (f *fixture) run(ctx context.Context, root *authn.Caller, operation string, in any) error {
	f.calls = append(f.calls, operation)
	if operation == f.fail {
		return errors.New("the disk is full")
	}
	method := reflect.ValueOf(f.Service).MethodByName(operation)
	if !method.IsValid() {
		return fmt.Errorf("no operation %s", operation)
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(root), reflect.ValueOf(in)})
	err, _ := results[len(results)-1].Interface().(error)
	return err
}

// noFiles is for documents that name none.
func noFiles(string) (string, string, error) { return "", "", errors.New("no such file") }

// read reads a file without fault.
func read(t *testing.T, text string) []apply.Document {
	t.Helper()
	documents, faults := apply.Read("d.yaml", text, noFiles)
	if faults = append(faults, apply.Check(documents)...); len(faults) > 0 {
		t.Fatal(faults)
	}
	return documents
}

func (f *fixture) apply(text string, options apply.Options) *apply.Result {
	f.t.Helper()
	f.calls = nil
	result, err := apply.Apply(f.t.Context(), f.Service, f.run, read(f.t, text), options)
	f.ok(err)
	return result
}

// plan returns the lines of what is done, after the expectation that all of it was.
func (f *fixture) plan(text string, options apply.Options) []string {
	f.t.Helper()
	result := f.apply(text, options)
	if len(result.Faults) > 0 || result.Failure != "" {
		f.t.Fatalf("%v %s", result.Faults, result.Failure)
	}
	return lines(result)
}

func lines(result *apply.Result) []string {
	all := []string{}
	for _, c := range result.Changes {
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%s %s %s: %s", c.Action, c.Kind, c.Name, strings.Join(c.Details, "; ")), ": "))
	}
	return all
}
