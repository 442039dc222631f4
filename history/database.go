package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"porchlight/sqlitefile"
)

// database is an open, migrated file. Its write connection belongs to the
// writer; the pool is for the store's own reads and for checkpoints, reads for
// the questions of others, which cannot write and hold nobody up.
//
// The write connection never checkpoints by itself, so no commit pays for one.
// With synchronous(NORMAL) a commit is not synced either, except the first one
// after the log was begun anew: see Store.checkpoint.
type database struct {
	path  string
	pool  *sql.DB
	reads *sql.DB
	conn  *sql.Conn
	file  os.FileInfo // as opened

	begin, commit, rollback                    *sql.Stmt
	event, device, seen, model, remove, cursor *sql.Stmt
	meta, clean                                *sql.Stmt

	statements []*sql.Stmt // all of them
	cached     map[string]*sql.Stmt
	lastNames  map[nameKey]lastName
}

const (
	writeParams = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
		"&_pragma=wal_autocheckpoint(0)&_pragma=journal_size_limit(16777216)&_pragma=foreign_keys(1)&_txlock=immediate"
	queryOnly  = "&_pragma=query_only(1)"
	readParams = "mode=ro&_pragma=busy_timeout(5000)" + queryOnly

	// checkTime bounds the check of the file at the start. A database of a few
	// hundred megabytes on a slow card is checked in part.
	checkTime = 5 * time.Second
)

// openDatabase opens path, makes it if need be, checks and migrates it.
func openDatabase(ctx context.Context, path string) (*database, error) {
	pool, err := sql.Open("sqlite", sqlitefile.DSN(path, writeParams))
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", path, err)
	}
	pool.SetMaxOpenConns(4)
	reads, err := sql.Open("sqlite", sqlitefile.DSN(path, readParams)) // connects when it is asked
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %q: %w", path, err), pool.Close())
	}
	reads.SetMaxOpenConns(4)
	reads.SetMaxIdleConns(1)
	db := &database{path: path, pool: pool, reads: reads}
	if err := db.prepare(ctx); err != nil {
		db.close()
		return nil, fmt.Errorf("opening %q: %w", path, err)
	}
	return db, nil
}

func (db *database) prepare(ctx context.Context) (err error) {
	if db.conn, err = db.pool.Conn(ctx); err != nil {
		return err
	}
	steps, err := schema()
	if err != nil {
		return err
	}
	if v, err := userVersion(ctx, db.conn); err != nil || v > len(steps) {
		return errors.Join(err, newerThan(v, len(steps)))
	}
	if err := db.check(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, db.conn, steps); err != nil {
		return err
	}
	if db.file, err = os.Stat(db.path); err != nil {
		return err
	}
	for sql, stmt := range map[string]**sql.Stmt{
		"BEGIN IMMEDIATE": &db.begin, "COMMIT": &db.commit, "ROLLBACK": &db.rollback,
		insertEvent: &db.event, upsertDevice: &db.device, upsertSeen: &db.seen, upsertModel: &db.model,
		deleteDevice: &db.remove, upsertCursor: &db.cursor, upsertMeta: &db.meta,
		"UPDATE log SET clean = ?, seq = ?, alive = ?": &db.clean,
	} {
		if *stmt, err = db.conn.PrepareContext(ctx, sql); err != nil {
			return fmt.Errorf("preparing %q: %w", sql, err)
		}
		db.statements = append(db.statements, *stmt)
	}
	return nil
}

// check looks for damage.
func (db *database) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var answer string
	err := db.conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer)
	if ctx.Err() != nil || sqlitefile.Code(err) == sqlite3.SQLITE_INTERRUPT {
		return nil // too big to check it all
	}
	if err == nil && answer != "ok" {
		err = fmt.Errorf("%w: %s", errDamaged, answer)
	}
	return err
}

// lastSeq returns the highest number known to have been given, and whether the
// last run ended in good order, so that there can be none higher.
func (db *database) lastSeq(ctx context.Context) (seq int64, clean bool, err error) {
	err = db.conn.QueryRowContext(ctx, `SELECT clean, max(seq, (SELECT coalesce(max(seq), 0) FROM events),
		(SELECT coalesce(max(seq), 0) FROM cursors)) FROM log`).Scan(&clean, &seq)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: the log's row is missing", errDamaged)
	}
	return seq, clean, err
}

// sync makes everything committed so far survive a power cut. SQLite finds a
// commit by the checksums in its write-ahead log, so syncing that file will do.
func (db *database) sync() error {
	f, err := os.OpenFile(db.path+"-wal", os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// removed reports whether the path is no longer the file that was opened.
func (db *database) removed() bool {
	now, err := os.Stat(db.path)
	return errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(now, db.file)
}

// maxLog is the size of the write-ahead log at which a checkpoint keeps writers
// out until the log is empty; in between two commits there is always time for
// the gentle kind, unless events come without a pause.
const maxLog = 64 << 20

// checkpoint copies the write-ahead log into the database, normally without
// keeping writers out. done is true when all was copied, so that the next
// commit begins the log anew.
func (db *database) checkpoint(ctx context.Context) (done bool, err error) {
	mode := "PASSIVE"
	if info, err := os.Stat(db.path + "-wal"); err == nil && info.Size() > maxLog {
		mode = "TRUNCATE"
	}
	var busy, frames, copied int
	err = db.pool.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &copied)
	if err != nil {
		return false, fmt.Errorf("checkpoint: %w", err)
	}
	return busy == 0 && frames == copied, nil
}

// close closes all. The last connection checkpoints and removes the log, unless
// a statement is left open.
func (db *database) close() error {
	errs := []error{db.reads.Close()}
	for _, stmt := range db.statements {
		errs = append(errs, stmt.Close())
	}
	if db.conn != nil {
		errs = append(errs, db.conn.Close())
	}
	return errors.Join(append(errs, db.pool.Close())...)
}

func newerThan(version, known int) error {
	if version <= known {
		return nil
	}
	return errNewer
}
