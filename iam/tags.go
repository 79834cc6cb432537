package iam

import (
	"slices"
	"strings"

	"github.com/stint-sts/stint/awserr"
)

// TagKeys are the parameters of an operation that removes tags.
type TagKeys struct {
	TagKeys []string `aws:"TagKeys,required" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
}

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

// pageTags cuts one page out of an object's tags, in order of their keys.
func pageTags(tags []Tag, in PageInput) ([]Tag, PageOutput, error) {
	key := func(t Tag) string { return fold(t.Key) }
	sorted := slices.SortedFunc(slices.Values(tags), func(a, b Tag) int { return strings.Compare(key(a), key(b)) })
	return pageOf(sorted, in, key)
}

func tagIndex(tags []Tag, key string) int {
	return slices.IndexFunc(tags, func(t Tag) bool { return fold(t.Key) == fold(key) })
}

// isReserved reports whether a tag key is in the name space that AWS keeps for itself, in any spelling.
func isReserved(key string) bool { return strings.HasPrefix(fold(key), "aws:") }
