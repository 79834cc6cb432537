package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoEvent tells that no file holds an event of the request.
var ErrNoEvent = errors.New("audit: no event of this request")

// maxLine bounds a line that Find reads: an event is far smaller.
const maxLine = 1 << 20

// Find returns the event of a request, as it was written, from the files in dir; the newest files are read first. It returns
// an error matching ErrNoEvent when there is none. It reads every file: it is for operators, not for the request path.
func Find(dir, requestID string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil {
		return nil, err
	}
	// The names of rotated files sort by time; the current one is the newest.
	slices.SortFunc(files, func(a, b string) int {
		switch {
		case filepath.Base(a) == currentName:
			return -1
		case filepath.Base(b) == currentName:
			return 1
		default:
			return strings.Compare(b, a)
		}
	})
	for _, file := range files {
		line, err := findIn(file, requestID)
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		if line != nil {
			return line, nil
		}
	}
	return nil, ErrNoEvent
}

func findIn(path, requestID string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(requestID)) {
			continue
		}
		var event struct {
			RequestID string `json:"requestID"`
		}
		// A caller may have written the id into a parameter of another call; only the event's own counts.
		if json.Unmarshal(lines.Bytes(), &event) == nil && event.RequestID == requestID {
			return bytes.Clone(lines.Bytes()), nil
		}
	}
	return nil, lines.Err()
}
