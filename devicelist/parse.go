package devicelist

import (
	"errors"
	"fmt"
	"strings"

	"porchlight/presence"
)

// Bounds of a list.
const (
	MaxSize    = 16 << 20 // bytes
	MaxDevices = 10_000
)

// Entry is one device of a list.
type Entry struct {
	MAC  presence.MAC
	Name string // cleaned (presence.CleanText); empty: the list has none
}

// List is what was read.
type List struct {
	Format  string // in words: "nmap XML"
	Entries []Entry
	Passed  int // entries without the MAC of a single device, which were passed over
}

// Parse reads a list. Of several entries of one MAC the first that has a name
// counts. The error says what would be right.
func Parse(content []byte) (List, error) {
	if len(content) > MaxSize {
		return List{}, fmt.Errorf("it is longer than %d MB", MaxSize>>20)
	}
	text := decode(content)
	c := collector{places: map[presence.MAC]int{}}
	var err error
	switch trimmed := strings.TrimSpace(text); {
	case trimmed == "":
		return List{}, errors.New("it is empty")
	case strings.HasPrefix(trimmed, "<"):
		err = c.xml(trimmed)
	case isRecords(trimmed):
		c.records(trimmed)
	default:
		c.table(text)
	}
	switch {
	case err != nil:
		return List{}, err
	case len(c.list.Entries) == 0:
		return List{}, errors.New("there is no device with a MAC address in it: want what WhoIsConnectedSniffer, Wireless Network Watcher or arp-scan saved, nmap's XML (-oX), or CSV with columns mac and name")
	case len(c.list.Entries) > MaxDevices:
		return List{}, fmt.Errorf("there are more than %d devices in it", MaxDevices)
	}
	return c.list, nil
}

// collector gathers the entries.
type collector struct {
	list   List
	places map[presence.MAC]int // where in the list each is
}

// add takes an entry as it stands in the list.
func (c *collector) add(mac, name string) {
	m, err := presence.ParseMAC(strings.TrimSpace(mac))
	if err != nil || !m.Station() {
		c.list.Passed++
		return
	}
	name = presence.CleanText(name, presence.MaxName)
	i, found := c.places[m]
	switch {
	case found && c.list.Entries[i].Name == "":
		c.list.Entries[i].Name = name
	case !found && len(c.list.Entries) <= MaxDevices:
		c.places[m] = len(c.list.Entries)
		c.list.Entries = append(c.list.Entries, Entry{m, name})
	}
}

// fields are the names of columns and elements, in lower case and without blanks,
// hyphens and underscores. Of several names the first that is not empty counts.
var (
	macFields  = []string{"macaddress", "mac", "hwaddress", "hardwareaddress", "physicaladdress", "ethernetaddress", "devmac"}
	nameFields = []string{"usertext", "customname", "devname", "name", "devicename", "computername", "hostname", "host"}
)

// field is the form of a column's or an element's name that is compared.
func field(name string) string {
	return unwritten.Replace(strings.ToLower(strings.TrimSpace(name)))
}

var unwritten = strings.NewReplacer(" ", "", "_", "", "-", "", "'", "")

// record is one entry by the names of its fields.
type record map[string]string

func (r record) first(names []string) string {
	for _, name := range names {
		if value := strings.TrimSpace(r[name]); value != "" {
			return value
		}
	}
	return ""
}

// take adds a record, if it is one.
func (c *collector) take(r record) {
	if len(r) > 0 {
		c.add(r.first(macFields), r.first(nameFields))
	}
}
