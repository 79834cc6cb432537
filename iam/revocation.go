package iam

import (
	"context"
	"errors"
	"time"

	"github.com/stint-sts/stint/session"
)

// revocation is a session.Revocation as the directory keeps it.
type revocation struct {
	versioned
	session.Revocation
}

func (r *revocation) key() Record { return Record{Kind: KindRevocation, Name: r.ID, ID: r.ID} }

var _ session.RevocationLog = (*Directory)(nil)

// AddRevocation implements session.RevocationLog.
func (d *Directory) AddRevocation(ctx context.Context, r *session.Revocation) error {
	return d.Update(ctx, func(tx Tx) error { return put(tx, &revocation{Revocation: *r}) })
}

// RevocationsSince implements session.RevocationLog.
func (d *Directory) RevocationsSince(ctx context.Context, moment time.Time) (found []*session.Revocation, err error) {
	after := ""
	if !moment.IsZero() {
		after = session.RevocationID(moment, "")
	}
	for {
		var page []*revocation
		err := d.View(ctx, func(tx Tx) (err error) {
			page, err = list[revocation](tx, Query{After: after, Limit: revocationPage})
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			found = append(found, &r.Revocation)
		}
		if len(page) < revocationPage {
			return found, nil
		}
		after = page[len(page)-1].ID
	}
}

// revocationPage is how many revocations one transaction reads or deletes.
const revocationPage = 1000

// DropRevocations implements session.RevocationLog.
func (d *Directory) DropRevocations(ctx context.Context, now time.Time) error {
	for {
		var over []*revocation
		err := d.View(ctx, func(tx Tx) error {
			oldest, err := list[revocation](tx, Query{Limit: revocationPage})
			for _, r := range oldest {
				if !now.Before(r.Until()) {
					over = append(over, r)
				}
			}
			return err
		})
		if err != nil || len(over) == 0 {
			return err
		}
		err = d.Update(ctx, func(tx Tx) error {
			for _, r := range over {
				if err := remove(tx, r); err != nil && !errors.Is(err, ErrNotFound) { // another node may tidy too
					return err
				}
			}
			return nil
		})
		if err != nil || len(over) < revocationPage {
			return err
		}
	}
}

// RevocationsChanged implements session.RevocationLog.
func (d *Directory) RevocationsChanged() <-chan struct{} { return d.changes.revoked }
