package embedded

import (
	"container/heap"
	"crypto/sha256"
	"sync"

	"github.com/stint-sts/stint/session"
)

// entry is a live record.
type entry struct {
	encoded string // empty once another record replaced it
	expires int64  // milliseconds since 1970
}

func (e *entry) key() string         { return session.EncodedKey(e.encoded) }
func (e *entry) accessKeyID() string { return session.CutKey(e.key()) }
func (e *entry) bytes() int64        { return int64(frameHeader + 1 + len(e.encoded)) }

// guardName is the start of the SHA-256 of a guard's name: of fixed size whatever the name, and not to be met by chance or design
// (a second preimage takes 2^128 tries).
type guardName [16]byte

func guardNameOf(name string) guardName {
	hash := sha256.Sum256([]byte(name))
	return guardName(hash[:])
}

// shard holds the records of some access key ids and the guards and throttles of some names.
type shard struct {
	mu       sync.Mutex
	records  map[string]*entry // by access key id
	ordered  order
	expiring expiryHeap
	guards   map[guardName]int64 // until when, milliseconds since 1970
	passing  guardHeap

	throttles throttles
	values    values
}

// insert adds e. To keep memory bounded between two runs of expire it also removes up to two others that have ended. It returns by how
// much the number of records and their bytes grew.
func (s *shard) insert(e *entry, now int64) (added int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	removed, removedBytes := s.expireRecords(now, 2)
	added, bytes = 1-removed, e.bytes()-removedBytes
	id := e.accessKeyID()
	if old := s.records[id]; old != nil {
		added, bytes = added-1, bytes-old.bytes()
		s.ordered.remove(old)
		delete(s.records, id) // the key is a part of the old record
		old.encoded = ""
	}
	s.records[id] = e
	s.ordered.insert(e)
	heap.Push(&s.expiring, e)
	return added, bytes
}

func (s *shard) get(accessKeyID string, now int64) (encoded string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.records[accessKeyID]
	if e == nil || e.expires <= now {
		return "", false
	}
	return e.encoded, true
}

// list appends the first limit live records with after < key < before to found.
func (s *shard) list(found []string, after, before string, limit int, now int64) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := range s.ordered.after(after) {
		if limit == 0 || e.key() >= before {
			break
		}
		if e.expires > now {
			found = append(found, e.encoded)
			limit--
		}
	}
	return found
}

// consume takes a name until an instant and reports whether it was free.
func (s *shard) consume(name guardName, until, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end, taken := s.guards[name]; taken && end > now {
		return false
	}
	s.guards[name] = until
	heap.Push(&s.passing, passing{name: name, until: until})
	return true
}

// expire removes up to most records and guards that have ended. It returns how many records, the bytes of all, and whether there may
// be more.
func (s *shard) expire(now int64, most int) (records int, bytes int64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records, bytes = s.expireRecords(now, most)
	guards := 0
	for ; guards < most && len(s.passing) > 0 && s.passing[0].until <= now; guards++ {
		// A name that was consumed anew after its time has a later end, and its own place in the heap.
		if p := heap.Pop(&s.passing).(passing); s.guards[p.name] == p.until {
			delete(s.guards, p.name)
		}
	}
	return records, bytes + int64(guards)*guardFrameSize, records == most || guards == most
}

func (s *shard) expireRecords(now int64, most int) (removed int, bytes int64) {
	for removed < most && len(s.expiring) > 0 && s.expiring[0].expires <= now {
		e := heap.Pop(&s.expiring).(*entry)
		if e.encoded == "" {
			continue
		}
		removed, bytes = removed+1, bytes+e.bytes()
		delete(s.records, e.accessKeyID())
		s.ordered.remove(e)
	}
	return removed, bytes
}

// state returns what is live, for a snapshot.
func (s *shard) state(now int64) (records []string, guards []passing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records = make([]string, 0, len(s.records))
	for _, e := range s.records {
		if e.expires > now {
			records = append(records, e.encoded)
		}
	}
	for name, until := range s.guards {
		if until > now {
			guards = append(guards, passing{name: name, until: until})
		}
	}
	return records, guards
}

// expiryHeap has the record that ends first at its top.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(e any)        { *h = append(*h, e.(*entry)) }
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}

// passing is a guard's name and until when it is consumed.
type passing struct {
	name  guardName
	until int64
}

// guardHeap has the guard that ends first at its top.
type guardHeap []passing

func (h guardHeap) Len() int           { return len(h) }
func (h guardHeap) Less(i, j int) bool { return h[i].until < h[j].until }
func (h guardHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *guardHeap) Push(p any)        { *h = append(*h, p.(passing)) }
func (h *guardHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = (*h)[:last]
	return p
}
