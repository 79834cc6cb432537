package audit

import "io/fs"

// AppendEvent is the encoder.
func AppendEvent(b []byte, e *Event) []byte { return appendEvent(b, e) }

// FailingDisk makes the disk under f fail: after the next n bytes writes fail with err, until n is set anew.
type FailingDisk struct {
	osFile
	Room        int // bytes until the disk is full; negative: no bound
	Err         error
	SyncErr     error
	TruncateErr error
}

// Break puts a FailingDisk under f.
func Break(f *File) *FailingDisk {
	d := &FailingDisk{osFile: f.file, Room: -1}
	f.file = d
	return d
}

func (d *FailingDisk) Write(b []byte) (int, error) {
	if d.Room < 0 || len(b) <= d.Room {
		return d.osFile.Write(b)
	}
	n, err := d.osFile.Write(b[:d.Room])
	if err != nil {
		return n, err
	}
	d.Room = 0
	return n, d.Err
}

func (d *FailingDisk) Sync() error {
	if d.SyncErr != nil {
		return d.SyncErr
	}
	return d.osFile.Sync()
}

func (d *FailingDisk) Truncate(size int64) error {
	if d.TruncateErr != nil {
		return d.TruncateErr
	}
	return d.osFile.Truncate(size)
}

func (d *FailingDisk) Stat() (fs.FileInfo, error) { return d.osFile.Stat() }
