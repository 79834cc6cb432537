// Package store keeps the directory's records in SQLite (Store) or PostgreSQL (Postgres), behind iam.Store.
//
// It owns the schema, its migrations, the file and its safety: what Update acknowledged survives a power failure, and a file or
// database that is damaged, foreign or of a newer version is refused and left as it is. What the records mean is iam's matter. The
// statements are the same for both ($1 parameters, ON CONFLICT, RETURNING, no functions of one of them); types and what surrounds a
// transaction differ.
//
// # Processes and locks
//
// Nodes that share a database take turns to write, see Postgres. Of SQLite the file is in WAL mode (https://www.sqlite.org/wal.html): readers work on snapshots and never wait for a writer. Inside the
// process writers queue in the order in which they came. Between processes SQLite's file locks serialize them: an Update that
// finds the lock taken waits for up to busyWait, or until its context ends, and then fails with ErrBusy. So a command line
// tool may write while a server runs; the server learns of it through ForeignChanges. The file must be on a local disk.
package store
