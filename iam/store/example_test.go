package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/store"
)

func Example() {
	dir, err := os.MkdirTemp("", "stint")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	s, err := store.Open(ctx, filepath.Join(dir, "directory.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	err = s.Update(ctx, func(tx iam.Tx) error {
		return tx.Put(iam.Record{Kind: iam.KindAlias, Name: "example", Target: "111122223333", Body: []byte("{}")})
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.View(ctx, func(tx iam.Tx) error {
		alias, err := tx.Get(iam.KindAlias, "", "", "example")
		fmt.Println(alias.Target, "version", alias.Version)
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: 111122223333 version 1
}
