package leases

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"porchlight/presence"
)

// kea reads the CSV files of Kea's memfile backend, IPv4 and IPv6 (Kea
// Administrator Reference Manual, "Memfile - Basic Storage for Leases"). The
// first line names the columns, of which there are more with each version.
// Each change of a lease is added at the end, so the last one counts.
type kea struct {
	book
	columns []string
	values  []string // of the line that is being read
}

func newKea() *kea { return &kea{book: newBook()} }

// keaFiles are a lease file and what its clean-up (kea-lfc) leaves beside it, in
// the order in which Kea reads them: the result of the last clean-up, what is
// being cleaned up, and what came since. A result that is not in its place yet
// stands for both of the first two.
func keaFiles(path string) []string {
	finished := path + ".completed"
	if _, err := os.Stat(finished); err == nil {
		return []string{finished, path}
	}
	return []string{path + ".2", path + ".1", path}
}

func isKea(line string) bool {
	return strings.HasPrefix(line, "address,hwaddr,") || strings.HasPrefix(line, "address,duid,")
}

func (k *kea) line(text string) bool {
	if isKea(text) {
		k.columns = strings.Split(text, ",")
		return true
	}
	k.values = slices.AppendSeq(k.values[:0], strings.SplitSeq(text, ","))
	value := k.value
	a, ok := hostAddr(value("address"))
	if !ok {
		return false
	}
	if value("lease_type") == "2" { // a prefix for a router
		return true
	}
	// Declined, expired, or ended: such a lease is written with no time left.
	if state := value("state"); state != "" && state != "0" || value("valid_lifetime") == "0" {
		k.drop(a)
		return true
	}
	t := presence.Told{Addr: a, Name: hostName(value("hostname"))}
	if t.MAC, ok = stationMAC(value("hwaddr")); !ok && a.Is6() {
		t.MAC = duidMAC(value("duid"))
	} else if !ok {
		return value("hwaddr") == "" && value("client_id") != "" // known by its client id only
	}
	return k.put(t)
}

// value returns what stands in a column of the line.
func (k *kea) value(column string) string {
	if i := slices.Index(k.columns, column); i >= 0 && i < len(k.values) {
		return unescapeKea(k.values[i])
	}
	return ""
}

// unescapeKea puts the characters back that would end a value: a comma is
// written as &#x2c.
func unescapeKea(s string) string {
	const tag = "&#x"
	if !strings.Contains(s, tag) {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, tag)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if len(after) >= 2 {
			if c, err := strconv.ParseUint(after[:2], 16, 8); err == nil {
				b.WriteByte(byte(c))
				s = after[2:]
				continue
			}
		}
		b.WriteString(tag)
		s = after
	}
}
