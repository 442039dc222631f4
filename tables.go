package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"porchlight/presence"
)

// eventLine is an event in the tables of the commands.
func eventLine(e presence.Event) string {
	return fmt.Sprintf("%6d  %s  %-18s  %-28s  %s", e.Seq, when(e.Time), e.Type, e.Subject(), e.Why)
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func printJSON[T any](w io.Writer, all []T, line func(T) any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, t := range all {
		if err := enc.Encode(line(t)); err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
	}
	return nil
}

func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t ")); err != nil {
			return err
		}
	}
	return t.Flush()
}
