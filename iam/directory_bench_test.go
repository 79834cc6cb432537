package iam_test

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"testing"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/iam"
)

var largeDirectory = flag.Bool("large", false, "benchmark the directory with 1,000,000 roles too")

// putRoles writes n roles, each with an inline policy, a shared managed policy and a trust policy, and n/10 access keys.
func putRoles(b *testing.B, w *world, n int) {
	b.Helper()
	const batch = 5000
	for start := 0; start < n; start += batch {
		w.write(func(tx iam.Tx) error {
			for i := start; i < min(n, start+batch); i++ {
				id := fmt.Sprintf("AROA%017d", i)
				role := roleRecord(id, fmt.Sprintf("role-%d", i), trustIn(account))
				if err := errors.Join(tx.Put(role), tx.Put(inlineRecord(id, "p", allowAction("own"))), tx.Put(attachmentRecord(id, policyARN))); err != nil {
					return err
				}
				if i%10 == 0 {
					if err := tx.Put(w.keyRecord(fmt.Sprintf("AKIA%016d", i), userID)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
}

// BenchmarkDirectory shows what a read costs when it is cached (hit), when it is not (miss) and when there is nothing (none), in
// small and large directories.
func BenchmarkDirectory(b *testing.B) {
	sizes := []int{10, 100_000}
	if *largeDirectory {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		w := newWorld(b)
		putRoles(b, w, n)
		tiny := w.newDirectory(1) // where nearly everything misses
		role := func(i int) arn.ARN {
			return arn.ARN{Partition: "aws", Service: "iam", Account: account, Resource: fmt.Sprintf("role/team/role-%d", i)}
		}
		key, id, name := "AKIA0000000000000000", fmt.Sprintf("AROA%017d", 1), role(1)
		ctx := b.Context()
		run := func(what string, read func(i int) error) {
			b.Run(fmt.Sprintf("roles=%d/%s", n, what), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i = (i + 7919) % n {
					if err := read(i); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("hit/key", func(int) error { _, err := w.AccessKey(ctx, key); return err })
		run("hit/entity", func(int) error { _, err := w.Entity(ctx, account, id); return err })
		run("hit/role", func(int) error { _, err := w.RoleByARN(ctx, name); return err })
		run("hit/policy", func(int) error { _, err := w.ManagedPolicy(ctx, account, policyARN); return err })
		run("miss/entity", func(i int) error { _, err := tiny.Entity(ctx, account, fmt.Sprintf("AROA%017d", i)); return err })
		run("miss/role", func(i int) error { _, err := tiny.RoleByARN(ctx, role(i)); return err })
		run("miss/key", func(i int) error { _, err := tiny.AccessKey(ctx, fmt.Sprintf("AKIA%016d", i-i%10)); return err })
		serial := 0
		run("none/key", func(int) error {
			serial++
			if _, err := w.AccessKey(ctx, fmt.Sprintf("AKIA%015dX", serial)); !errors.Is(err, iam.ErrNotFound) {
				return fmt.Errorf("found: %w", err)
			}
			return nil
		})
		run("update", func(i int) error {
			return w.Update(ctx, func(tx iam.Tx) error {
				return edit(tx, iam.KindRole, fmt.Sprintf("AROA%017d", i), func(r *iam.Role) { r.Description = "changed" })
			})
		})
	}
}

func BenchmarkDirectory_Parallel(b *testing.B) {
	w := newWorld(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.Entity(b.Context(), account, roleID); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDirectory_Memory reports what a cached role takes, with an inline policy of its own and a shared managed policy.
func BenchmarkDirectory_Memory(b *testing.B) {
	const n = 10_000
	w := newWorld(b)
	putRoles(b, w, n)
	var perEntity float64
	for b.Loop() {
		d := w.newDirectory(2 * n)
		before := heap()
		for i := range n {
			if _, err := d.Entity(b.Context(), account, fmt.Sprintf("AROA%017d", i)); err != nil {
				b.Fatal(err)
			}
		}
		perEntity = float64(heap()-before) / n
		runtime.KeepAlive(d)
	}
	b.ReportMetric(perEntity, "bytes/entity")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
