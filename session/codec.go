package session

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
)

// The binary form of a Record, version 1:
//
//	byte     version, 1
//	byte     bits 0-1 kind, bit 2 MFA, bit 3 chained, bits 4-5 form of EntityARN, bits 6-7 form of ARN
//	text     key: Account/EntityID/AccessKeyID
//	text     EntityARN, without what its form says
//	text     ARN, empty unless its form is literal
//	text     SessionName, SourceIdentity, Parent, Issuer, Subject
//	uvarint  IssuedAt, milliseconds since 1970
//	uvarint  ExpiresAt, milliseconds after IssuedAt
//
// where a text is a uvarint length and its bytes. Nothing follows. ARNs that AWS's rules derive from other fields are left out, which
// halves a typical record. Each record has one encoding, and everything else is ErrDamaged.
const codecVersion = 1

// Bounds of a record. Longer ones are refused when written and when read.
const (
	MaxLifetime = 36 * time.Hour // from IssuedAt to ExpiresAt: the longest session that any operation makes (129,600 s)
	MaxEncoded  = 8192           // bytes of an encoded record
	maxText     = 2048           // bytes of each text (IAM API model, arnType)
)

// maxMillis keeps times within what time.Time and Redis represent: the year 9999.
const maxMillis = 253_402_300_799_999

const (
	flagMFA     = 1 << 2
	flagChained = 1 << 3

	entityShift = 4
	arnShift    = 6
)

// The forms of EntityARN.
const (
	entityLiteral = iota
	entityRole    // arn:aws:iam::ACCOUNT:role/ and the text
	entityUser    // arn:aws:iam::ACCOUNT:user/ and the text
	entityRoot    // arn:aws:iam::ACCOUNT:root
)

// The forms of ARN.
const (
	arnLiteral       = iota
	arnAssumedRole   // arn.AssumedRole of Account, name in EntityARN, SessionName
	arnFederatedUser // arn.FederatedUser of Account, SessionName
	arnEntity        // EntityARN
)

var kinds = [...]string{KindRoot, KindRole, KindUser, KindFederation}

// AppendRecord appends the binary form of r to dst. It returns dst and an error matching ErrInvalid when r is outside its bounds.
func AppendRecord(dst []byte, r *Record) ([]byte, error) {
	if err := r.check(); err != nil {
		return dst, err
	}
	entityForm, entityText := shortenEntity(r)
	arnForm, arnText := shortenARN(r)
	flags := byte(slices.Index(kinds[:], r.Kind)) | entityForm<<entityShift | arnForm<<arnShift
	if r.MFA {
		flags |= flagMFA
	}
	if r.Chained {
		flags |= flagChained
	}
	b := append(dst, codecVersion, flags)
	b = binary.AppendUvarint(b, uint64(len(r.Account)+len(r.EntityID)+len(r.AccessKeyID)+2*len(separator)))
	b = append(b, r.Account...)
	b = append(b, separator...)
	b = append(b, r.EntityID...)
	b = append(b, separator...)
	b = append(b, r.AccessKeyID...)
	for _, text := range [...]string{entityText, arnText, r.SessionName, r.SourceIdentity, r.Parent, r.Issuer, r.Subject} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	issued := r.IssuedAt.UnixMilli()
	b = binary.AppendUvarint(b, uint64(issued))
	b = binary.AppendUvarint(b, uint64(r.ExpiresAt.UnixMilli()-issued))
	if len(b)-len(dst) > MaxEncoded {
		return dst, fmt.Errorf("%w: record of %d bytes, more than %d", ErrInvalid, len(b)-len(dst), MaxEncoded)
	}
	return b, nil
}

// DecodeRecord reads the binary form of a record. The record's texts are parts of b. Anything but what AppendRecord writes gives
// an error matching ErrDamaged.
func DecodeRecord(b string) (*Record, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("%w: record of %d bytes", ErrDamaged, len(b))
	}
	d := decoder{rest: b}
	version, flags := d.byte(), d.byte()
	key := d.text(3*maxID + 2*len(separator))
	entityText, arnText := d.text(maxText), d.text(maxText)
	r := &Record{
		SessionName: d.text(maxText), SourceIdentity: d.text(maxText), Parent: d.text(maxText),
		Issuer: d.text(maxText), Subject: d.text(maxText),
		MFA: flags&flagMFA != 0, Chained: flags&flagChained != 0, Kind: kinds[flags&3],
	}
	issued := d.uvarint(maxMillis)
	lifetime := d.uvarint(uint64(MaxLifetime / time.Millisecond))
	if d.failed || d.rest != "" || version != codecVersion {
		return nil, fmt.Errorf("%w: record of %d bytes", ErrDamaged, len(b))
	}
	r.IssuedAt, r.ExpiresAt = time.UnixMilli(int64(issued)).UTC(), time.UnixMilli(int64(issued+lifetime)).UTC()
	var rest string
	r.Account, rest, _ = strings.Cut(key, separator)
	r.EntityID, r.AccessKeyID, _ = strings.Cut(rest, separator)
	r.EntityARN = lengthenEntity(r.Account, flags>>entityShift&3, entityText)
	r.ARN = lengthenARN(r, flags>>arnShift&3, arnText)
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err) // not %w: stored bytes are no mistake of the caller
	}
	if canonical, err := AppendRecord(make([]byte, 0, 256), r); err != nil || string(canonical) != b {
		return nil, fmt.Errorf("%w: record in another form than it is written", ErrDamaged)
	}
	return r, nil
}

// EncodedKey returns the key inside an encoded record that AppendRecord made, as a part of b.
func EncodedKey(b string) string {
	d := decoder{rest: b[2:]}
	return d.text(3*maxID + 2*len(separator))
}

// check tells whether r is within its bounds. Its errors name the field, never its value.
func (r *Record) check() error {
	for _, id := range [...]struct{ name, value string }{
		{"access key id", r.AccessKeyID}, {"account", r.Account}, {"entity id", r.EntityID},
	} {
		if !ValidID(id.value) {
			return fmt.Errorf("%w: %s is missing, too long or has foreign characters", ErrInvalid, id.name)
		}
	}
	for _, text := range [...]string{r.EntityARN, r.ARN, r.SessionName, r.SourceIdentity, r.Parent, r.Issuer, r.Subject} {
		if len(text) > maxText {
			return fmt.Errorf("%w: a text of %d bytes, more than %d", ErrInvalid, len(text), maxText)
		}
	}
	if !slices.Contains(kinds[:], r.Kind) {
		return fmt.Errorf("%w: kind is none of %v", ErrInvalid, kinds)
	}
	issued, expires := r.IssuedAt.UnixMilli(), r.ExpiresAt.UnixMilli()
	if issued < 0 || issued > maxMillis || expires < issued || expires-issued > int64(MaxLifetime/time.Millisecond) {
		return fmt.Errorf("%w: a session ends within 36 hours of its beginning", ErrInvalid)
	}
	return nil
}

// The parts of the ARNs that are left out, around the account.
const (
	iamPrefix    = "arn:" + arn.Partition + ":iam::"
	stsPrefix    = "arn:" + arn.Partition + ":sts::"
	roleInfix    = ":role/"
	userInfix    = ":user/"
	rootSuffix   = ":root"
	assumedInfix = ":assumed-role/"
	fedInfix     = ":federated-user/"
)

// shortenEntity and shortenARN find the form without building the ARN: they run for each session that is made.
func shortenEntity(r *Record) (form byte, text string) {
	rest, ok := cutPrefixes(r.EntityARN, iamPrefix, r.Account)
	if !ok {
		return entityLiteral, r.EntityARN
	}
	if name, ok := strings.CutPrefix(rest, roleInfix); ok {
		return entityRole, name
	}
	if name, ok := strings.CutPrefix(rest, userInfix); ok {
		return entityUser, name
	}
	if rest == rootSuffix {
		return entityRoot, ""
	}
	return entityLiteral, r.EntityARN
}

func lengthenEntity(account string, form byte, text string) string {
	switch form {
	case entityRole:
		return iamPrefix + account + roleInfix + text
	case entityUser:
		return iamPrefix + account + userInfix + text
	case entityRoot:
		return iamPrefix + account + rootSuffix + text
	default:
		return text
	}
}

func shortenARN(r *Record) (form byte, text string) {
	if r.ARN == r.EntityARN {
		return arnEntity, ""
	}
	rest, ok := cutPrefixes(r.ARN, stsPrefix, r.Account)
	if !ok {
		return arnLiteral, r.ARN
	}
	if session, ok := cutPrefixes(rest, assumedInfix, nameIn(r.EntityARN), "/"); ok && session == r.SessionName {
		return arnAssumedRole, ""
	}
	if name, ok := strings.CutPrefix(rest, fedInfix); ok && name == r.SessionName {
		return arnFederatedUser, ""
	}
	return arnLiteral, r.ARN
}

func lengthenARN(r *Record, form byte, text string) string {
	switch form {
	case arnAssumedRole:
		return stsPrefix + r.Account + assumedInfix + nameIn(r.EntityARN) + "/" + r.SessionName + text
	case arnFederatedUser:
		return stsPrefix + r.Account + fedInfix + r.SessionName + text
	case arnEntity:
		return r.EntityARN + text
	default:
		return text
	}
}

// nameIn returns what follows the last slash of an ARN: the name of a role without its path.
func nameIn(entityARN string) string {
	return entityARN[strings.LastIndexByte(entityARN, '/')+1:]
}

func cutPrefixes(s string, prefixes ...string) (rest string, ok bool) {
	for _, prefix := range prefixes {
		if s, ok = strings.CutPrefix(s, prefix); !ok {
			return "", false
		}
	}
	return s, true
}

// decoder takes values from the front of rest. After a failure it yields zero values.
type decoder struct {
	rest   string
	failed bool
}

func (d *decoder) byte() byte {
	if d.rest == "" {
		d.failed = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) uvarint(most uint64) uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	if v > most {
		d.failed = true
		return 0
	}
	return v
}

func (d *decoder) text(most int) string {
	n := int(d.uvarint(uint64(most)))
	if d.failed || n > len(d.rest) {
		d.failed = true
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}
