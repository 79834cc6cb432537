package embedded

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/stint-sts/stint/session"
)

// A journal or snapshot is the text of fileMagic and then frames:
//
//	4 bytes  length of type and body, little endian
//	4 bytes  CRC-32C of the length, the type and the body
//	1 byte   type
//	body     recordFrame: a session.Record in its binary form
//	         guardFrame: 16 bytes of the name's hash, 8 bytes until when, milliseconds since 1970
//	         throttleFrame: 16 bytes of the name's hash, 8 bytes failures (0: all is forgotten), 8 bytes until when
//	                        nothing may be tried, 8 bytes when all is forgotten, both milliseconds since 1970
//	         valueFrame: 16 bytes of the name's hash, 8 bytes until when, milliseconds since 1970, the value (nothing: it is deleted)
//	         closeFrame: nothing; the last frame of a snapshot, and only there
const fileMagic = "stint session state 1\n"

const (
	recordFrame   = 'R'
	guardFrame    = 'G'
	throttleFrame = 'T'
	valueFrame    = 'V'
	closeFrame    = 'E'

	frameHeader       = 8
	guardBody         = len(guardName{}) + 8
	guardFrameSize    = int64(frameHeader + 1 + guardBody)
	throttleBody      = len(guardName{}) + 3*8
	throttleFrameSize = int64(frameHeader + 1 + throttleBody)
	valueHead         = len(guardName{}) + 8
	valueFrameHead    = int64(frameHeader + 1 + valueHead)
	maxFrame          = frameHeader + 1 + max(session.MaxEncoded, valueHead+session.MaxValue)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// buffers lends buffers to writers.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// beginFrame starts a frame in an empty buffer; the caller appends the body and calls endFrame.
func beginFrame(empty []byte, frameType byte) []byte {
	return append(empty, 0, 0, 0, 0, 0, 0, 0, 0, frameType)
}

func endFrame(frame []byte) []byte {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	binary.LittleEndian.PutUint32(frame[4:], frameSum(frame))
	return frame
}

func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[frameHeader:])
}

func newRecordFrame(buffer []byte, encoded string) []byte {
	return endFrame(append(beginFrame(buffer[:0], recordFrame), encoded...))
}

func newGuardFrame(buffer []byte, name guardName, until int64) []byte {
	frame := append(beginFrame(buffer[:0], guardFrame), name[:]...)
	return endFrame(binary.LittleEndian.AppendUint64(frame, uint64(until)))
}

func newThrottleFrame(buffer []byte, name guardName, w wait) []byte {
	frame := append(beginFrame(buffer[:0], throttleFrame), name[:]...)
	frame = binary.LittleEndian.AppendUint64(frame, uint64(w.failures))
	frame = binary.LittleEndian.AppendUint64(frame, uint64(w.until))
	return endFrame(binary.LittleEndian.AppendUint64(frame, uint64(w.forgotten)))
}

func newValueFrame(buffer []byte, name guardName, v value) []byte {
	frame := append(beginFrame(buffer[:0], valueFrame), name[:]...)
	frame = binary.LittleEndian.AppendUint64(frame, uint64(v.until))
	return endFrame(append(frame, v.bytes...))
}

// firstFrame returns the frame at the start of b, or nil when there is no whole and undamaged one.
func firstFrame(b []byte) []byte {
	if len(b) <= frameHeader {
		return nil
	}
	length := binary.LittleEndian.Uint32(b)
	if length == 0 || uint64(length) > uint64(maxFrame-frameHeader) || int(length) > len(b)-frameHeader {
		return nil
	}
	frame := b[:frameHeader+int(length)]
	if frameSum(frame) != binary.LittleEndian.Uint32(frame[4:]) {
		return nil
	}
	return frame
}

// scan calls each for the frames of a file's content and returns how many bytes of it are whole. What follows the last whole frame
// may be the torn end of a write; when it cannot be that, the error matches session.ErrDamaged.
func scan(content []byte, each func(frameType byte, body []byte) error) (whole int64, err error) {
	if len(content) < len(fileMagic) && fileMagic[:len(content)] == string(content) {
		return 0, nil
	}
	if len(content) < len(fileMagic) || string(content[:len(fileMagic)]) != fileMagic {
		return 0, fmt.Errorf("%w: it does not begin like a file of session state", session.ErrDamaged)
	}
	at := len(fileMagic)
	for at < len(content) {
		frame := firstFrame(content[at:])
		if frame == nil {
			break
		}
		if err := each(frame[frameHeader], frame[frameHeader+1:]); err != nil {
			return 0, fmt.Errorf("at byte %d: %w", at, err)
		}
		at += len(frame)
	}
	if !torn(content[at:]) {
		return 0, fmt.Errorf("%w: at byte %d of %d", session.ErrDamaged, at, len(content))
	}
	return int64(at), nil
}

// torn reports whether rest can be what a write leaves that was cut off: less than a frame, blank from somewhere on when the file
// had grown but its blocks were not written, and nothing whole in it.
func torn(rest []byte) bool {
	written := bytes.TrimRight(rest, "\x00")
	if len(written) >= maxFrame {
		return false
	}
	for at := range written {
		if firstFrame(rest[at:]) != nil {
			return false
		}
	}
	return true
}
