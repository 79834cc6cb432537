package embedded

import (
	"iter"
	"slices"
	"sort"
	"strings"
)

// chunkSize is the most entries of a chunk: moving half of them costs less than finding the place.
const chunkSize = 128

// order is a set of entries sorted by key: a list of sorted chunks, none of them empty. It costs about 12 bytes an entry.
type order struct {
	chunks [][]*entry
}

// find returns the chunk for key, and the place of the first entry in it whose key is at least key.
func (o *order) find(key string) (chunk, place int) {
	chunk = sort.Search(len(o.chunks), func(i int) bool { return o.chunks[i][0].key() > key }) - 1
	chunk = max(chunk, 0)
	if len(o.chunks) == 0 {
		return 0, 0
	}
	place, _ = slices.BinarySearchFunc(o.chunks[chunk], key, func(e *entry, key string) int { return strings.Compare(e.key(), key) })
	return chunk, place
}

// insert adds e, whose key is not in the set.
func (o *order) insert(e *entry) {
	if len(o.chunks) == 0 {
		o.chunks = append(o.chunks, append(make([]*entry, 0, 4), e))
		return
	}
	i, place := o.find(e.key())
	if len(o.chunks[i]) == chunkSize {
		upper := append(make([]*entry, 0, chunkSize), o.chunks[i][chunkSize/2:]...)
		clear(o.chunks[i][chunkSize/2:])
		o.chunks[i] = o.chunks[i][:chunkSize/2]
		o.chunks = slices.Insert(o.chunks, i+1, upper)
		if place > chunkSize/2 {
			i, place = i+1, place-chunkSize/2
		}
	}
	o.chunks[i] = slices.Insert(o.chunks[i], place, e)
}

// remove takes e, which is in the set, out of it.
func (o *order) remove(e *entry) {
	i, place := o.find(e.key())
	o.chunks[i] = slices.Delete(o.chunks[i], place, place+1)
	switch left := len(o.chunks[i]); {
	case left == 0:
		o.chunks = slices.Delete(o.chunks, i, i+1)
	case i+1 < len(o.chunks) && left+len(o.chunks[i+1]) <= chunkSize/2: // chunks that thinned out would keep their memory
		o.chunks[i] = append(o.chunks[i], o.chunks[i+1]...)
		o.chunks = slices.Delete(o.chunks, i+1, i+2)
	}
}

// after yields the entries whose key is greater than key, in order.
func (o *order) after(key string) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		i, place := o.find(key)
		for ; i < len(o.chunks); i, place = i+1, 0 {
			for _, e := range o.chunks[i][place:] {
				if e.key() > key && !yield(e) {
					return
				}
			}
		}
	}
}
