package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

func (s *Store) backup(ctx context.Context, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Close(), s.vacuumInto(ctx, path)); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	// VACUUM INTO does not sync what it wrote.
	if file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close(), syncDir(filepath.Dir(path)))
}

// vacuumInto fills the empty file at path (https://www.sqlite.org/lang_vacuum.html#vacuuminto).
func (s *Store) vacuumInto(ctx context.Context, path string) error {
	c, err := openConn(ctx, s.path, "mode=ro"+hardened) // query_only would forbid the copy too
	if err != nil {
		return explain(err)
	}
	_, err = c.ExecContext(ctx, "VACUUM INTO $1", path)
	return errors.Join(explain(err), c.close())
}
