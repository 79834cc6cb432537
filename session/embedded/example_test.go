package embedded_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/stint-sts/stint/session"
	"github.com/stint-sts/stint/session/embedded"
)

func Example() {
	dir, err := os.MkdirTemp("", "sessions")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := embedded.New(embedded.Config{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go store.Run(ctx) // removes what has ended, compacts

	now := time.Now()
	err = store.Put(ctx, &session.Record{
		AccessKeyID: "ASIAQEFWAZTKHPHHHTHG", Account: "123456789012", Kind: session.KindRole, EntityID: "AROAQEFWAZTKHPHHHTHGA",
		SessionName: "build-4711", IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		log.Fatal(err)
	}
	page, err := store.List(ctx, session.Query{Account: "123456789012"})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range page.Records {
		fmt.Println(r.AccessKeyID, r.SessionName)
	}
	// Output: ASIAQEFWAZTKHPHHHTHG build-4711
}
