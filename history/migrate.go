package history

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// errNewer is the one state of a database that nobody can work around.
var errNewer = errors.New("was written by a newer Porchlight: install that version or a later one, or move the file away")

// schema returns the migrations in order; the schema's version is their number.
func schema() ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	steps := make([]string, len(names))
	for i, name := range names {
		b, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		steps[i] = string(b)
	}
	return steps, nil
}

// migrate brings the schema to steps, each in a transaction of its own that
// also moves PRAGMA user_version.
func migrate(ctx context.Context, conn *sql.Conn, steps []string) error {
	version, err := userVersion(ctx, conn)
	if err != nil {
		return err
	}
	if version > len(steps) {
		return errNewer
	}
	if version == 0 {
		// So that retention can give pages back to the disk. Of a file that is
		// there this would mean to write it anew, and its free pages are used again
		// anyway.
		if _, err := conn.ExecContext(ctx, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM"); err != nil {
			return fmt.Errorf("beginning the database: %w", err)
		}
	}
	for n := version; n < len(steps); n++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %d; COMMIT", steps[n], n+1)
		if _, err := conn.ExecContext(ctx, script); err != nil {
			_, _ = conn.ExecContext(ctx, "ROLLBACK") // there may be nothing to roll back
			return fmt.Errorf("migrating the database to version %d: %w", n+1, err)
		}
	}
	return nil
}

func userVersion(ctx context.Context, conn *sql.Conn) (v int, err error) {
	err = conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v)
	return v, err
}
