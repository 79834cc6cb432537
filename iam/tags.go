package iam

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stint-sts/stint/awserr"
)

// mergeTags returns old with the tags of added: a tag of the same key, ignoring case, is replaced, spelling included. Old is
// not changed. Source: AWS IAM User Guide, "Rules for tagging in IAM and AWS STS".
func (s *Service) mergeTags(old, added []Tag) ([]Tag, error) {
	merged := slices.Clone(old)
	for i, t := range added {
		if isReserved(t.Key) {
			return nil, awserr.New(awserr.InvalidInput, "Tag keys that begin with aws: are reserved for system use.")
		}
		if tagIndex(added[:i], t.Key) >= 0 {
			return nil, awserr.New(awserr.InvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if at := tagIndex(merged, t.Key); at >= 0 {
			merged[at] = t
		} else {
			merged = append(merged, t)
		}
	}
	if len(merged) > s.quotas.TagsPerEntity {
		return nil, awserr.New(awserr.LimitExceeded, "The number of tags has reached the maximum limit.")
	}
	return merged, nil
}

// removeTags returns old without the tags that keys name, ignoring case. Keys that no tag has are passed over.
func removeTags(old []Tag, keys []string) []Tag {
	var kept []Tag
	for _, t := range old {
		if !slices.ContainsFunc(keys, func(key string) bool { return fold(key) == fold(t.Key) }) {
			kept = append(kept, t)
		}
	}
	return kept
}

// pageTags cuts one page out of an object's tags, in order of their keys. The marker counts: it may have 320 characters, and
// a key more.
func pageTags(tags []Tag, in PageInput) ([]Tag, PageOutput, error) {
	sorted := slices.SortedFunc(slices.Values(tags), func(a, b Tag) int { return strings.Compare(fold(a.Key), fold(b.Key)) })
	places := make([]int, len(sorted))
	for i := range places {
		places[i] = i
	}
	places, next, err := pageOf(places, in, func(place int) string { return fmt.Sprintf("%06d", place) })
	if err != nil || len(places) == 0 {
		return nil, next, err
	}
	return sorted[places[0] : places[len(places)-1]+1], next, nil
}

func tagIndex(tags []Tag, key string) int {
	return slices.IndexFunc(tags, func(t Tag) bool { return fold(t.Key) == fold(key) })
}

// isReserved reports whether a tag key is in the name space that AWS keeps for itself, in any spelling.
func isReserved(key string) bool { return strings.HasPrefix(fold(key), "aws:") }
