package traffic

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// sumUp makes an hour beside the rows that it is made of, of the oldest hour that
// was over before that time and has rows that are in none: a week or a month is read
// by the hour, long before the rows of minutes go.
func sumUp(ctx context.Context, tx *sql.Tx, before time.Time) error {
	rows, err := due(ctx, tx, recorded, besideHour, time.Hour, before)
	if err != nil || len(rows) == 0 {
		return err
	}
	var id any
	if rows[0].level == besideHour { // these rows are late
		id = rows[0].id
	}
	for i := range rows {
		if rows[i].level == besideHour {
			continue
		}
		if _, err := tx.ExecContext(ctx, "UPDATE rounds SET level = ? WHERE id = ?", inHour, rows[i].id); err != nil {
			return err
		}
	}
	return put(ctx, tx, id, besideHour, rows)
}

// letGo deletes the rows beside the oldest hour that was over before that time.
func letGo(ctx context.Context, tx *sql.Tx, before time.Time) error {
	var id, start int64
	err := tx.QueryRowContext(ctx, "SELECT id, start FROM rounds WHERE level = ? AND ends <= ? ORDER BY ends LIMIT 1", besideHour, before.UnixMilli()).Scan(&id, &start)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE"+ofAnHour, floor(start, time.Hour)); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE rounds SET level = ? WHERE id = ?", hour, id)
	return err
}
