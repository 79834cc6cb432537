package session

import (
	"fmt"
	"strings"
)

// maxID bounds access key ids, account ids and entity ids (IAM and STS API models: accessKeyIdType and idType, 16 to 128).
const maxID = 128

// separator stands between the parts of a key. It sorts before every character of an id, so that keys sort by their parts.
const separator = "/"

// Key returns Account/EntityID/AccessKeyID: the name of the record in an ordered index. Keys sort as List does.
func (r *Record) Key() string {
	return r.Account + separator + r.EntityID + separator + r.AccessKeyID
}

// CutKey takes the access key id out of a key that Record.Key made.
func CutKey(key string) (accessKeyID string) {
	return key[strings.LastIndexByte(key, separator[0])+1:]
}

// Cursor returns what Query.After holds for the page behind the record with this key.
func Cursor(key string) string {
	_, cursor, _ := strings.Cut(key, separator)
	return cursor
}

// Range translates q for an ordered index: its answer is the first limit keys k with after < k < before. It returns an error
// matching ErrInvalid when q is outside its bounds.
func (q Query) Range() (after, before string, limit int, err error) {
	if !ValidID(q.Account) || (q.EntityID != "" && !ValidID(q.EntityID)) {
		return "", "", 0, fmt.Errorf("%w: account or entity id of a query", ErrInvalid)
	}
	if q.Limit < 0 || q.Limit > MaxLimit {
		return "", "", 0, fmt.Errorf("%w: limit %d is not in 0 to %d", ErrInvalid, q.Limit, MaxLimit)
	}
	after = q.Account + separator
	if q.EntityID != "" {
		after += q.EntityID + separator
	}
	before = after[:len(after)-1] + string(separator[0]+1)
	limit = q.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	if q.After == "" {
		return after, before, limit, nil
	}
	entityID, accessKeyID, _ := strings.Cut(q.After, separator)
	if !ValidID(entityID) || !ValidID(accessKeyID) || (q.EntityID != "" && q.EntityID != entityID) {
		return "", "", 0, fmt.Errorf("%w: cursor of a query", ErrInvalid)
	}
	return q.Account + separator + q.After, before, limit, nil
}

// ValidID reports whether s can be an access key id, an account id or an entity id: 1 to 128 letters, digits and underscores.
// A backend asks before it makes a foreign text part of a name of its own.
func ValidID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}
