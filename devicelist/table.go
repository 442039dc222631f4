package devicelist

import (
	"encoding/csv"
	"iter"
	"slices"
	"strings"

	"porchlight/presence"
)

// table reads text in columns: comma- or tab-delimited, with or without a
// header, and the output of arp-scan.
func (c *collector) table(text string) {
	comma := delimiter(text)
	c.list.Format = "comma-separated"
	if comma == '\t' {
		c.list.Format = "tab-delimited"
	}
	var header []string
	for cells := range rows(text, comma) {
		switch {
		case header == nil && isHeader(cells):
			for _, cell := range cells {
				header = append(header, field(cell))
			}
		case header != nil:
			entry := record{}
			for i, cell := range cells[:min(len(cells), len(header))] {
				entry[header[i]] = uninert(cell)
			}
			c.take(entry)
		default:
			c.bare(cells)
		}
	}
}

// rows yields the cells of each line. In tab-delimited text a quote is a quote.
func rows(text string, comma rune) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		if comma == '\t' {
			for line := range strings.Lines(text) {
				if !yield(strings.Split(strings.TrimRight(line, "\r\n"), "\t")) {
					return
				}
			}
			return
		}
		r := csv.NewReader(strings.NewReader(text))
		r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = comma, -1, true, true
		for {
			cells, err := r.Read()
			if err != nil || !yield(cells) {
				return // the end, or a quote without one: what was read counts
			}
		}
	}
}

// delimiter is what separates the cells of the first line with a MAC or a header.
func delimiter(text string) rune {
	for line := range strings.Lines(text) {
		for _, comma := range []rune{'\t', ',', ';'} {
			cells := strings.Split(strings.TrimSpace(line), string(comma))
			if len(cells) > 1 && (isHeader(cells) || macAt(cells) >= 0) {
				return comma
			}
		}
	}
	return '\t'
}

func isHeader(cells []string) bool {
	return slices.ContainsFunc(cells, func(cell string) bool {
		return slices.Contains(macFields, field(strings.Trim(cell, `"`)))
	})
}

// macAt returns which cell is a MAC, -1: none is.
func macAt(cells []string) int {
	const shortest = len("00163e000001") // an error for each cell of a long file takes its time
	return slices.IndexFunc(cells, func(cell string) bool {
		cell = strings.Trim(strings.TrimSpace(cell), `"`)
		if len(cell) < shortest {
			return false
		}
		_, err := presence.ParseMAC(cell)
		return err == nil
	})
}

// The columns of lists without a header, each counted from 0.
const (
	arpScanColumns = 3 // address, MAC, vendor (arp-scan(1), OUTPUT); it knows no names

	watcherMAC, watcherName, watcherText = 2, 1, 5 // Wireless Network Watcher: … Device Name, MAC Address, … User Text
	snifferMAC, snifferName              = 1, 2    // WhoIsConnectedSniffer: IP Address, MAC Address, Name
)

// bare takes a line without a header to say what is what. Lines without a MAC are
// no entries: arp-scan begins and ends with words.
func (c *collector) bare(cells []string) {
	at := macAt(cells)
	name := ""
	switch {
	case at < 0:
		return
	case at == snifferMAC && len(cells) <= arpScanColumns:
		c.list.Format = "arp-scan"
	case at == snifferMAC:
		name = cells[snifferName]
	case at == watcherMAC:
		name = cells[watcherName]
		if len(cells) > watcherText && strings.TrimSpace(cells[watcherText]) != "" {
			name = cells[watcherText]
		}
	case at == 0 && len(cells) > 1:
		name = cells[1]
	}
	c.add(strings.Trim(cells[at], `" `), uninert(name))
}

// uninert takes off what keeps a spreadsheet from running a cell as a formula.
func uninert(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && strings.ContainsRune("=+-@", rune(cell[1])) {
		return cell[1:]
	}
	return cell
}

// isRecords reports whether text is NirSoft's plain text: a line for each field,
// and lines of = between the records.
func isRecords(text string) bool { return strings.HasPrefix(text, "=====") }

func (c *collector) records(text string) {
	c.list.Format = "NirSoft text"
	entry := record{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "====="):
			c.take(entry)
			entry = record{}
		case found && len(entry) < maxFields:
			entry[field(name)] = strings.TrimSpace(value)
		}
	}
	c.take(entry)
}

// maxFields bounds the fields of one record.
const maxFields = 64
