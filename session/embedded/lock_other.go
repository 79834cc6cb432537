//go:build !unix

package embedded

import (
	"errors"
	"os"
)

// lockDir refuses: without a lock that ends with its process, two servers could write one journal.
func lockDir(string) (*os.File, error) {
	return nil, errors.New("the embedded session store needs the file locks of a Unix system")
}

func unlockDir(file *os.File) error { return file.Close() }
