//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
	"github.com/stint-sts/stint/signer"
)

// growDirectory compares AssumeRole with few roles in the directory and with many.
func (b *bench) growDirectory(ctx context.Context) (err error) {
	unpin, err := pinDriver()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unpin()) }()
	var loads []*load
	for _, roles := range []int{10, b.directory} {
		s, who, err := b.stintWithRoles(ctx, roles)
		if err != nil {
			return err
		}
		loads = append(loads,
			newLoad(fmt.Sprintf("%d roles, always the same", roles), s, who.longLived, assumeRole(always(who.roleARN))),
			newLoad(fmt.Sprintf("%d roles, another each time", roles), s, who.longLived, assumeRole(scattered(roles))))
	}
	medians, err := b.interleave(ctx, b.aside(), loads)
	if err != nil {
		return err
	}
	fmt.Print("## AssumeRole and the size of the directory\n\nEmbedded sessions, pinned as above. A role that was not used of late is read from SQLite.\n\n")
	t := newTable("directory", "ops/s", "p50", "p99", "CPU/request", "allocations", "start-up", "RSS")
	for _, l := range loads {
		rss, err := residentSize(l.server.command.Process.Pid)
		if err != nil {
			return err
		}
		t.add(append(figures(l.name, medians[l]), l.server.startUp.Round(startUpUnit).String(), mebibytes(rss))...)
	}
	t.print()
	return nil
}

// stintWithRoles starts stint on a directory with that many roles beside the subject's.
func (b *bench) stintWithRoles(ctx context.Context, roles int) (*server, *subject, error) {
	s, who, err := b.newStint(ctx, onServerCore, "")
	if err != nil {
		return nil, nil, err
	}
	if err := s.stop(); err != nil {
		return nil, nil, err
	}
	progress("%d roles", roles)
	if err := fillDirectory(ctx, filepath.Join(s.dataDir, "directory.db"), roles); err != nil {
		return nil, nil, fmt.Errorf("fill the directory: %w", err)
	}
	s, err = b.startStint(ctx, onServerCore, s.dataDir, "")
	return s, who, err
}

// rolesPerTransaction bounds what one commit holds in memory.
const rolesPerTransaction = 5000

// fillDirectory copies the subject's role, under other names and ids, past the API: a hundred thousand calls would take minutes.
func fillDirectory(ctx context.Context, path string, roles int) (err error) {
	directory, err := store.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, directory.Close()) }()
	var role iam.Role
	err = directory.View(ctx, func(tx iam.Tx) error {
		record, err := tx.Get(iam.KindRole, account, "", "bench")
		if err != nil {
			return err
		}
		return json.Unmarshal(record.Body, &role)
	})
	for first := 0; err == nil && first < roles; first += rolesPerTransaction {
		err = directory.Update(ctx, func(tx iam.Tx) error {
			for n := first; n < min(roles, first+rolesPerTransaction); n++ {
				if err := putCopy(tx, role, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}

func putCopy(tx iam.Tx, role iam.Role, n int) (err error) {
	role.Name = numberedRole(n)
	if role.ID, err = signer.NewID(rand.Reader, signer.PrefixRole, account); err != nil {
		return err
	}
	body, err := json.Marshal(&role)
	if err != nil {
		return err
	}
	return tx.Put(iam.Record{Kind: iam.KindRole, Account: account, Name: role.Name, ID: role.ID, Path: role.Path, Body: body})
}

func numberedRole(n int) string { return fmt.Sprintf("bench-%07d", n) }

// scattered names roles in an order that jumps over the whole directory.
func scattered(roles int) func(int64) string {
	const stride = 2654435761 // a prime near 2^32 divided by the golden ratio (Knuth, TAOCP 6.4)
	return func(n int64) string {
		return "arn:aws:iam::" + account + ":role/" + numberedRole(int(n*stride%int64(roles)))
	}
}
