package embedded

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stint-sts/stint/session"
)

// FuzzScan shows that any content is read in bounds, that damage is told as such, and that what was called whole reads the same again.
func FuzzScan(f *testing.F) {
	record, guard := newRecordFrame(nil, "not decoded here"), newGuardFrame(nil, guardName{1, 2, 3}, 1_800_000_000_000)
	good := bytes.Join([][]byte{[]byte(fileMagic), record, guard, record}, nil)
	for _, content := range [][]byte{
		nil, []byte(fileMagic), good, good[:len(good)-1], good[:len(good)-len(record)+3], append(bytes.Clone(good), make([]byte, 100)...),
		bytes.Replace(good, guard[:5], []byte("other"), 1), []byte("SQLite format 3\x00"),
	} {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var frames [][]byte
		whole, err := scan(content, func(frameType byte, body []byte) error {
			frames = append(frames, append([]byte{frameType}, body...))
			return nil
		})
		if err != nil {
			if !errors.Is(err, session.ErrDamaged) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if whole > int64(len(content)) {
			t.Fatalf("%d bytes of %d are whole", whole, len(content))
		}
		again := 0
		wholeAgain, err := scan(content[:whole], func(frameType byte, body []byte) error {
			if !bytes.Equal(frames[again], append([]byte{frameType}, body...)) {
				t.Fatalf("frame %d differs", again)
			}
			again++
			return nil
		})
		if err != nil || wholeAgain != whole || again != len(frames) {
			t.Fatalf("again: %d bytes, %d frames, %v", wholeAgain, again, err)
		}
	})
}
