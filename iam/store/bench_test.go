package store

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stint-sts/stint/iam"
)

var large = flag.Bool("large", false, "benchmark with 1,000,000 roles too")

// sizes are the directories to compare: cost must not grow with them.
func sizes() []int {
	if *large {
		return []int{10, 100_000, 1_000_000}
	}
	return []int{10, 100_000}
}

func benchmarkSizes(b *testing.B, run func(b *testing.B, s *Store, n int)) {
	for _, n := range sizes() {
		s, err := Open(b.Context(), filepath.Join(b.TempDir(), "directory.db"))
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		fill(b, s, n)
		b.Logf("%d roles with an attachment each: filled in %v, %d bytes", n, time.Since(start).Round(time.Millisecond), fileSize(b, s.path))
		b.Run(fmt.Sprintf("roles=%d", n), func(b *testing.B) { run(b, s, n) })
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func fileSize(b *testing.B, path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

func BenchmarkRead(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, s *Store, n int) {
		i := 0
		for name, read := range map[string]func(tx iam.Tx) error{
			"get": func(tx iam.Tx) error {
				_, err := tx.Get(iam.KindRole, fmt.Sprintf("%012d", i%10), "", fmt.Sprintf("role-%d", i))
				return err
			},
			"id": func(tx iam.Tx) error {
				_, err := tx.ByID(iam.KindRole, fmt.Sprintf("AROA%017d", i))
				return err
			},
			"page": func(tx iam.Tx) error {
				_, err := tx.List(iam.Query{Kind: iam.KindRole, Account: "000000000000", After: "role-5", Limit: 1})
				return err
			},
			"target": func(tx iam.Tx) error {
				_, err := tx.List(iam.Query{Kind: iam.KindAttachment, Account: "000000000000", Target: "P", Limit: 1})
				return err
			},
			"count": func(tx iam.Tx) error {
				_, err := tx.Count(iam.Query{Kind: iam.KindRole, Account: "000000000000"})
				return err
			},
		} {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					i = (i + 7919) % n
					if err := s.View(context.Background(), read); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, s *Store, n int) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i = (i + 7919) % n
			err := s.Update(context.Background(), func(tx iam.Tx) error {
				r, err := tx.ByID(iam.KindRole, fmt.Sprintf("AROA%017d", i))
				if err != nil {
					return err
				}
				return tx.Put(r)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
