package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Bounds of a hash that is read. What is beyond them was not made by this package, and would cost more than it should.
const (
	maxMemory         = 1 << 20 // KiB
	maxTime           = 64
	maxThreads        = 64
	minSalt, maxSalt  = 8, 64  // bytes; RFC 9106 section 3.1 asks for 8 at least
	minKey, maxKey    = 16, 64 // bytes
	maxHash           = 256    // characters
	algorithm         = "argon2id"
	saltSize, keySize = 16, 32 // bytes of what is made (RFC 9106 section 4)
)

// ErrMalformed says that a text is no hash that this package makes.
var ErrMalformed = errors.New("malformed password hash")

// Params are the costs of argon2id (RFC 9106 section 3.1).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes over the memory
	Threads uint8  // lanes
}

// Hash is a salted hash of a password with all that is needed to check one against it.
type Hash struct {
	Params
	Salt []byte
	Key  []byte
}

// String returns the hash in PHC string format: $argon2id$v=19$m=19456,t=2,p=1$SALT$KEY, with base64 without padding
// (https://github.com/P-H-C/phc-string-format).
func (h *Hash) String() string {
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", algorithm, argon2.Version, h.Memory, h.Time, h.Threads,
		base64.RawStdEncoding.EncodeToString(h.Salt), base64.RawStdEncoding.EncodeToString(h.Key))
}

// Parse reads what String writes, and nothing else: every hash has one spelling. Errors match ErrMalformed and quote nothing.
func Parse(text string) (*Hash, error) {
	h, err := parse(text)
	if err == nil && h.String() != text {
		err = errors.New("not in canonical form")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return h, nil
}

func parse(text string) (*Hash, error) {
	if len(text) > maxHash {
		return nil, fmt.Errorf("%d characters", len(text))
	}
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != algorithm {
		return nil, errors.New("not of argon2id")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, errors.New("of another version of argon2id")
	}
	params, err := parseParams(parts[3])
	if err != nil {
		return nil, err
	}
	h := &Hash{Params: params}
	if h.Salt, err = decode(parts[4], minSalt, maxSalt); err != nil {
		return nil, fmt.Errorf("salt: %w", err)
	}
	if h.Key, err = decode(parts[5], minKey, maxKey); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return h, nil
}

func parseParams(text string) (Params, error) {
	costs := strings.Split(text, ",")
	if len(costs) != 3 {
		return Params{}, errors.New("costs: want m, t and p")
	}
	var numbers [3]uint64
	for i, cost := range []struct {
		prefix string
		most   uint64
	}{{"m=", maxMemory}, {"t=", maxTime}, {"p=", maxThreads}} {
		digits, ok := strings.CutPrefix(costs[i], cost.prefix)
		if !ok {
			return Params{}, errors.New("costs: want m, t and p")
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || n < 1 || n > cost.most {
			return Params{}, fmt.Errorf("cost %s out of its bounds", cost.prefix)
		}
		numbers[i] = n
	}
	p := Params{Memory: uint32(numbers[0]), Time: uint32(numbers[1]), Threads: uint8(numbers[2])}
	return p, p.check()
}

// check refuses costs with which argon2id would panic or silently take others.
func (p Params) check() error {
	if p.Time < 1 || p.Threads < 1 || p.Memory < 8*uint32(p.Threads) {
		return errors.New("costs: too low")
	}
	if p.Memory > maxMemory || p.Time > maxTime || p.Threads > maxThreads {
		return errors.New("costs: too high")
	}
	return nil
}

// covers reports whether p costs at least what q does.
func (p Params) covers(q Params) bool {
	return p.Memory >= q.Memory && p.Time >= q.Time && p.Threads >= q.Threads
}

func decode(text string, least, most int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("not base64")
	}
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("%d bytes", len(b))
	}
	return b, nil
}
