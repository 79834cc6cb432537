package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/iam/store/pgtest"
)

// crashDir makes this test binary the process that is going to be killed.
const crashDir = "STINT_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeUntilKilled(filepath.Join(dir, "directory.db")); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(pgtest.Main(m))
}

// pair is what the victim writes in one transaction.
func pair(i int) (role, policy iam.Record) {
	role = sample
	role.Name, role.ID = fmt.Sprintf("role-%d", i), fmt.Sprintf("AROA%d", i)
	policy = iam.Record{Kind: iam.KindInlinePolicy, Account: role.Account, Parent: role.ID, Name: "p", Body: make([]byte, 5000)}
	return role, policy
}

// writeUntilKilled writes numbered transactions and prints each number once it was acknowledged.
func writeUntilKilled(path string) error {
	s, err := store.Open(context.Background(), path)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		role, policy := pair(i)
		err := s.Update(context.Background(), func(tx iam.Tx) error { return errors.Join(tx.Put(role), tx.Put(policy)) })
		if errors.Is(err, iam.ErrConflict) {
			continue // written by the victim before
		}
		if err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// TestKill kills a writing process again and again, also while it creates the directory: what it had acknowledged is there, and
// of what it had not, a transaction is there as a whole or not at all.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := -1
	for round, lines := range []int{0, 1, 7, 40, 150} {
		last := killAfter(t, dir, lines)
		acknowledged = max(acknowledged, last)
		if lines > 0 && last < 0 {
			t.Fatalf("round %d: nothing was acknowledged", round)
		}
		s := open(t, filepath.Join(dir, "directory.db"))
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		err := s.View(t.Context(), func(tx iam.Tx) error {
			for i := range acknowledged + 100 {
				role, policy := pair(i)
				_, errRole := tx.ByID(role.Kind, role.ID)
				_, errPolicy := tx.Get(policy.Kind, policy.Account, policy.Parent, policy.Name)
				if i <= acknowledged && (errRole != nil || errPolicy != nil) {
					t.Errorf("round %d: %d was acknowledged, but reads %v, %v", round, i, errRole, errPolicy)
				}
				if (errRole == nil) != (errPolicy == nil) {
					t.Errorf("round %d: half of %d is there: %v, %v", round, i, errRole, errPolicy)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter starts the victim, kills it with SIGKILL after it has printed some lines, and returns the last number printed.
func killAfter(t *testing.T, dir string, lines int) (last int) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(binary)
	victim.Env = append(os.Environ(), crashDir+"="+dir)
	victim.Stderr = t.Output()
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	last = -1
	scanner := bufio.NewScanner(out)
	for n := 0; n < lines && scanner.Scan(); n++ {
		if _, err := fmt.Sscan(scanner.Text(), &last); err != nil {
			t.Fatal(err)
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for scanner.Scan() { // what it printed before it died counts too
		if _, err := fmt.Sscan(scanner.Text(), &last); err != nil {
			break // half a line
		}
	}
	_ = victim.Wait()
	return last
}
