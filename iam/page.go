package iam

import (
	"encoding/base64"
	"iter"

	"github.com/stint-sts/stint/awserr"
)

// PageInput are the parameters of a paginated operation.
type PageInput struct {
	Marker   string `aws:"Marker" len:"1,320" pattern:"marker"`
	MaxItems *int32 `aws:"MaxItems" range:"1,1000"`
}

// PageOutput tells whether there is more, and where it goes on.
type PageOutput struct {
	IsTruncated bool   `aws:"IsTruncated"`
	Marker      string `aws:"Marker"`
}

const defaultPageSize = 100

// after decodes the marker: the record name after which the page begins.
func (p PageInput) after() (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(p.Marker)
	if err != nil {
		return "", errInvalidMarker()
	}
	return string(name), nil
}

func errInvalidMarker() error { return awserr.New(awserr.ValidationError, "Invalid Marker.") }

func (p PageInput) size() int {
	if p.MaxItems == nil {
		return defaultPageSize
	}
	return int(*p.MaxItems)
}

// page lists one page of the objects that q selects. next names an object in the order of the listing.
func page[T any, P pointer[T]](tx Tx, q Query, in PageInput, next func(P) string) ([]P, PageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, PageOutput{}, err
	}
	q.After, q.Limit = after, in.size()+1 // one more, to know whether there is more
	objects, err := list[T, P](tx, q)
	if err != nil {
		return nil, PageOutput{}, err
	}
	if len(objects) <= in.size() {
		return objects, PageOutput{}, nil
	}
	objects = objects[:in.size()]
	return objects, PageOutput{IsTruncated: true, Marker: marker(next(objects[len(objects)-1]))}, nil
}

// pageOf cuts one page out of a short list that is already in order.
func pageOf[E any](all []E, in PageInput, name func(E) string) ([]E, PageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, PageOutput{}, err
	}
	rest := all
	for len(rest) > 0 && after != "" && name(rest[0]) <= after {
		rest = rest[1:]
	}
	if len(rest) <= in.size() {
		return rest, PageOutput{}, nil
	}
	rest = rest[:in.size()]
	return rest, PageOutput{IsTruncated: true, Marker: marker(name(rest[len(rest)-1]))}, nil
}

func marker(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

// byName orders objects by the name of their record.
func byName[P object](o P) string { return o.key().Name }

// byParent orders links by the object that they come from.
func byParent[P object](o P) string { return o.key().Parent }

// walk yields the objects that q selects, reading them in batches: a page that is filtered costs no more than what is taken
// of it. next is the order of the listing (byName, byParent).
func walk[T any, P pointer[T]](tx Tx, q Query, next func(P) string) iter.Seq2[P, error] {
	q.Limit = defaultPageSize
	return func(yield func(P, error) bool) {
		for {
			batch, err := list[T, P](tx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, o := range batch {
				if !yield(o, nil) {
					return
				}
			}
			if len(batch) < q.Limit {
				return
			}
			q.After = next(batch[len(batch)-1])
		}
	}
}

// pageFrom takes one page from a sequence that begins after the marker.
func pageFrom[E any](seq iter.Seq2[E, error], in PageInput, name func(E) string) ([]E, PageOutput, error) {
	var taken []E
	for e, err := range seq {
		if err != nil {
			return nil, PageOutput{}, err
		}
		if len(taken) == in.size() {
			return taken, PageOutput{IsTruncated: true, Marker: marker(name(taken[len(taken)-1]))}, nil
		}
		taken = append(taken, e)
	}
	return taken, PageOutput{}, nil
}
