package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// eachRow calls row for each row of the query, until it returns an error. what
// says in the error what the query was for.
func eachRow(ctx context.Context, q querier, what string, row func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
