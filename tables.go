package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

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

// table prints rows, the first of them with the headings. On a terminal they are
// made to fit, if they can be.
func table(w io.Writer, rows [][]string) error {
	if width := terminalWidth(w); width > 0 {
		rows = fit(rows, width)
	}
	t := tabwriter.NewWriter(w, 0, 4, gap, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t ")); err != nil {
			return err
		}
	}
	return t.Flush()
}

const (
	gap = 2 // between columns
	// leastLast is what is left of a last column that is cut.
	leastLast = 16
)

// terminalWidth is how many columns of characters w has; 0: it is no terminal.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}

// fit leaves out columns that have a heading only, and then cuts the last one, if
// rows are wider than that many characters. A reason is never cut: it is there to be
// read.
func fit(rows [][]string, width int) [][]string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows[1:] {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := -gap
	var full []int
	for i, heading := range rows[0] {
		if widths[i] > 0 {
			full = append(full, i)
		}
		widths[i] = max(widths[i], utf8.RuneCountInString(heading))
		total += widths[i] + gap
	}
	if total <= width || len(full) == 0 {
		return rows
	}
	last, reason := width, strings.Contains(rows[0][full[len(full)-1]], "WHY")
	for _, i := range full[:len(full)-1] {
		last -= widths[i] + gap
	}
	fitting := make([][]string, len(rows))
	for n, row := range rows {
		for i, column := range full {
			if column >= len(row) {
				break
			}
			cell := []rune(row[column])
			if i == len(full)-1 && last >= leastLast && len(cell) > last && !reason {
				cell = append(cell[:last-1], '…')
			}
			fitting[n] = append(fitting[n], string(cell))
		}
	}
	return fitting
}
