package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
)

// csvWriter writes values of one struct type as CSV (RFC 4180): the columns are
// the fields of its JSON form, those of embedded structs too, and a list of texts is
// one cell with commas.
type csvWriter struct {
	w      *csv.Writer
	fields []csvField
}

// csvField is where a field is, and whether JSON leaves it out when it is zero.
type csvField struct {
	index []int
	omit  bool
}

// newCSV writes the header.
func newCSV(w io.Writer, of reflect.Type) (*csvWriter, error) {
	c := &csvWriter{w: csv.NewWriter(w)}
	var header []string
	for _, field := range reflect.VisibleFields(of) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			c.fields, header = append(c.fields, csvField{field.Index, strings.Contains(options, "omit")}), append(header, name)
		}
	}
	return c, c.row(header)
}

// row writes a row. It is on its way when row returns, so that who reads along
// sees each one as it comes.
func (c *csvWriter) row(cells []string) error {
	if err := c.w.Write(cells); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// write writes a value as a row.
func (c *csvWriter) write(line any) error {
	v := reflect.ValueOf(line)
	row := make([]string, len(c.fields))
	for i, field := range c.fields {
		of, err := v.FieldByIndexErr(field.index)
		if err != nil { // of an embedded struct that is not there
			continue
		}
		cell, err := csvCell(of, field.omit)
		if err != nil {
			return fmt.Errorf("writing CSV: %w", err)
		}
		row[i] = inert(cell)
	}
	return c.row(row)
}

// csvCell is a field as it stands in JSON, without quotes and brackets.
func csvCell(v reflect.Value, omit bool) (string, error) {
	if v.IsZero() && v.Kind() != reflect.Bool && (omit || !v.CanInt() && !v.CanFloat()) {
		return "", nil
	}
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return "", err
	}
	switch b[0] {
	case '"':
		var text string
		err = json.Unmarshal(b, &text)
		return text, err
	case '[':
		var list []string
		if json.Unmarshal(b, &list) == nil {
			return strings.Join(list, ", "), nil
		}
	}
	return string(b), nil
}

// inert makes sure that a spreadsheet takes a cell for text. Those that begin
// with one of these would be run as formulas, and what strangers' devices call
// themselves is among them (OWASP, "CSV Injection").
func inert(cell string) string {
	begin := strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
	if begin == "" || !strings.ContainsRune("=+-@＝＋－＠|%", []rune(begin)[0]) {
		return cell
	}
	return "'" + cell
}

// lines prints values as JSON Lines or CSV.
type lines struct {
	w   io.Writer
	csv *csvWriter // nil: JSON
}

// newLines returns lines for values of the type of sample.
func newLines(w io.Writer, asCSV bool, sample any) (*lines, error) {
	l := &lines{w: w}
	if !asCSV {
		return l, nil
	}
	var err error
	l.csv, err = newCSV(w, reflect.TypeOf(sample))
	return l, err
}

func (l *lines) print(line any) error {
	if l.csv != nil {
		return l.csv.write(line)
	}
	return printJSON(l.w, []any{line}, func(v any) any { return v })
}
