package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/stint-sts/stint/session"
)

// recorder writes what session/redis writes for a session, in the same commands and sizes: one pipeline per request.
type recorder struct {
	client *goredis.Client
	record []byte // the binary form of a typical record
}

const sessionTime = time.Hour

func newRecorder(address string) (*recorder, error) {
	now := time.Now()
	record, err := session.AppendRecord(nil, &session.Record{
		AccessKeyID: "ASIAIOSFODNN7EXAMPLE", Account: "111122223333", Kind: session.KindRole,
		EntityID: "AROAIOSFODNN7EXAMPLE2", EntityARN: "arn:aws:iam::111122223333:role/bench",
		ARN: "arn:aws:sts::111122223333:assumed-role/bench/load-1234567", SessionName: "load-1234567",
		Parent: "AKIAIOSFODNN7EXAMPLE", IssuedAt: now, ExpiresAt: now.Add(sessionTime),
	})
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	client := goredis.NewClient(&goredis.Options{
		Addr: address, Protocol: 2, PoolSize: 16, PipelinePoolSize: -1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return &recorder{client: client, record: record}, nil
}

func (r *recorder) put(ctx context.Context) error {
	id := "ASIA" + rand.Text()[:16]
	tag := "floor:{" + strconv.Itoa(10+int(id[4])%8*8+int(id[5])%8) + "}" // one of 64
	index := tag + "i:abcdef"
	add := goredis.NewIntCmd(ctx, "zadd", index, "0", "111122223333/AROAIOSFODNN7EXAMPLE2/"+id)
	expire := goredis.NewIntCmd(ctx, "pexpireat", index, time.Now().Add(sessionTime).UnixMilli())
	set := goredis.NewStatusCmd(ctx, "set", tag+"s:"+id, r.record, "px", sessionTime.Milliseconds())
	pipeline := r.client.Pipeline()
	_ = pipeline.BatchProcess(ctx, add, expire, set) // only gathers
	_, err := pipeline.Exec(ctx)
	return err
}
