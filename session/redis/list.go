package redis

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/stint-sts/stint/session"
)

// List implements session.Store. It takes two round trips for a page, or more when many sessions of the page have ended.
func (s *Store) List(ctx context.Context, q session.Query) (session.Page, error) {
	after, before, limit, err := q.Range()
	if err != nil {
		return session.Page{}, err
	}
	var page session.Page
	for more := true; more; {
		var keys []entry
		if keys, more, err = s.indexed(ctx, after, before, limit); err != nil {
			return session.Page{}, err
		}
		for len(keys) > 0 {
			n := min(len(keys), limit-len(page.Records))
			if page.Records, err = s.appendLive(ctx, page.Records, keys[:n]); err != nil {
				return session.Page{}, err
			}
			if len(page.Records) == limit {
				page.Next = session.Cursor(keys[n-1].key)
				return page, nil
			}
			after, keys = keys[n-1].key, keys[n:]
		}
	}
	return page, nil
}

// entry is a session in the index: its key, and the set that has it.
type entry struct {
	key string
	end time.Time
}

// indexed returns the first keys of the index between after and before, in order, and whether there are more. Each index set is asked for a
// few: as the keys spread evenly, these are enough for a page. What a set has beyond them is unknown, so only what precedes
// the last key of every such set is known to be complete.
func (s *Store) indexed(ctx context.Context, after, before string, limit int) (keys []entry, more bool, err error) {
	few := int64(4 + limit/16)
	var answers []*goredis.StringSliceCmd
	ends := indexEnds(s.cfg.Now())
	err = s.read(ctx, &s.lanes[0], func(ctx context.Context) error {
		pipeline := s.client.Pipeline()
		answers = answers[:0]
		for _, end := range ends {
			for t := range tag(tagCount) {
				answers = append(answers, pipeline.ZRangeByLex(ctx, s.key(t, indexKind, indexName(end)),
					&goredis.ZRangeBy{Min: "(" + after, Max: "(" + before, Count: few}))
			}
		}
		_, err := pipeline.Exec(ctx)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	complete := before
	for i, answer := range answers {
		found := answer.Val()
		if int64(len(found)) == few {
			complete, more = min(complete, found[few-1]), true
		}
		for _, key := range found {
			keys = append(keys, entry{key, ends[i/tagCount]})
		}
	}
	slices.SortFunc(keys, func(a, b entry) int { return cmp.Or(strings.Compare(a.key, b.key), b.end.Compare(a.end)) })
	keys = slices.CompactFunc(keys, func(a, b entry) bool { return a.key == b.key }) // a record that was put again with a later end
	beyond := slices.IndexFunc(keys, func(e entry) bool { return e.key > complete })
	if beyond >= 0 {
		keys = keys[:beyond]
	}
	return keys, more, nil
}

// appendLive appends the records of keys that are there, have not ended and still belong to the key.
func (s *Store) appendLive(ctx context.Context, records []*session.Record, keys []entry) ([]*session.Record, error) {
	var answers []*goredis.StringCmd
	err := s.read(ctx, &s.lanes[0], func(ctx context.Context) error {
		pipeline := s.client.Pipeline()
		answers = answers[:0]
		for _, e := range keys {
			id := session.CutKey(e.key)
			answers = append(answers, pipeline.HGet(ctx, s.key(tagOf(id), recordKind, indexName(e.end)), id))
		}
		_, err := pipeline.Exec(ctx)
		return err
	})
	if err != nil && err != goredis.Nil {
		return nil, err
	}
	now := s.cfg.Now()
	for i, answer := range answers {
		r, err := liveRecord(session.CutKey(keys[i].key), answer, now)
		if err != nil {
			return nil, err
		}
		if r != nil && r.Key() == keys[i].key {
			records = append(records, r)
		}
	}
	return records, nil
}
