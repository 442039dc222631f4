package devicelist

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	router = presence.MAC{0x00, 0x16, 0x3e, 0, 0, 1}
	phone  = presence.MAC{0x02, 0, 0x5e, 0x10, 0, 1}
	both   = []Entry{{router, "Router"}, {phone, "Anna’s phone"}}
)

const (
	snifferCSV = `IP Address,MAC Address,Name,Operating System,Description,Network Adapter Company,IPv6 Address,First Detected On,Last Detected On
192.168.1.1,00-16-3E-00-00-01,Router,,,Xensource Inc.,,01/03/2026 18:00:00,01/03/2026 18:05:00
192.168.1.20,02-00-5E-10-00-01,Anna’s phone,Android,"a ""smart"" phone, new",,,01/03/2026 18:00:00,01/03/2026 18:05:00
`
	watcherXML = `<?xml version="1.0" ?>

<devices_connected_to_your_network>
<item>
<ip_address>192.168.1.1</ip_address>
<device_name>rt-ax88u</device_name>
<mac_address>00:16:3E:00:00:01</mac_address>
<network_adapter_company>Xensource Inc. &amp; Co</network_adapter_company>
<device_information>Your Router</device_information>
<user_text>Router</user_text>
<active>Yes</active>
</item>
<item>
<ip_address>192.168.1.20</ip_address>
<device_name>Anna’s phone</device_name>
<mac_address>02:00:5E:10:00:01</mac_address>
<user_text></user_text>
</item>
</devices_connected_to_your_network>
`
	nmapXML = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<?xml-stylesheet href="file:///usr/bin/../share/nmap/nmap.xsl" type="text/xsl"?>
<nmaprun scanner="nmap" args="nmap -sn -oX - 192.168.1.0/24" start="1772388000" version="7.93" xmloutputversion="1.05">
<hosthint><status state="up" reason="arp-response" reason_ttl="0"/><address addr="192.168.1.9" addrtype="ipv4"/><address addr="00:16:3E:00:00:09" addrtype="mac"/><hostnames></hostnames></hosthint>
<host><status state="up" reason="arp-response" reason_ttl="0"/>
<address addr="192.168.1.1" addrtype="ipv4"/>
<address addr="00:16:3E:00:00:01" addrtype="mac" vendor="Xensource"/>
<hostnames>
<hostname name="Router.fritz.box" type="PTR"/>
<hostname name="gw.fritz.box" type="PTR"/>
</hostnames>
<times srtt="512" rttvar="5000" to="100000"/>
</host>
<host><status state="up" reason="localhost-response" reason_ttl="0"/>
<address addr="192.168.1.5" addrtype="ipv4"/>
<hostnames><hostname name="myself" type="PTR"/></hostnames>
</host>
<runstats><finished time="1772388002"/><hosts up="2" down="254" total="256"/></runstats>
</nmaprun>
`
	arpScan = "Interface: eth0, type: EN10MB, MAC: 00:16:3e:00:00:99, IPv4: 192.168.1.5\n" +
		"Starting arp-scan 1.10.0 with 256 hosts (https://github.com/royhills/arp-scan)\n" +
		"192.168.1.1\t00:16:3e:00:00:01\tXensource, Inc.\n" +
		"192.168.1.20\t02:00:5e:10:00:01\t(Unknown: locally administered)\n" +
		"192.168.1.20\t02:00:5e:10:00:01\t(Unknown: locally administered) (DUP: 2)\n\n" +
		"3 packets received by filter, 0 packets dropped by kernel\n" +
		"Ending arp-scan 1.10.0: 256 hosts scanned in 1.844 seconds (138.83 hosts/sec). 2 responded\n"
	watcherTab = "192.168.1.1\trt-ax88u\t00-16-3E-00-00-01\tXensource Inc.\tYour Router\tRouter\t\t01/03/2026 18:00:00\t01/03/2026 18:05:00\t7\tYes\n" +
		"192.168.1.20\tAnna’s phone\t02-00-5E-10-00-01\t\t\t\t\t01/03/2026 18:00:00\t01/03/2026 18:05:00\t7\tYes\n"
	snifferTab = "192.168.1.1\t00-16-3E-00-00-01\tRouter\t\t\tXensource Inc.\t\t01/03/2026 18:00:00\t01/03/2026 18:05:00\n" +
		"192.168.1.20\t02-00-5E-10-00-01\tAnna’s phone\tAndroid\t\t\t\t01/03/2026 18:00:00\t01/03/2026 18:05:00\n"
	nirText = `==================================================
IP Address        : 192.168.1.1
MAC Address       : 00163E000001
Name              : Router
==================================================

==================================================
IP Address        : 192.168.1.20
MAC Address       : 02005E100001
Name              : Anna’s phone
First Detected On : 01/03/2026 18:00:00
==================================================
`
)

func toUTF16(s string, order binary.AppendByteOrder, mark bool) []byte {
	var b []byte
	if mark {
		b = order.AppendUint16(b, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    List
	}{
		"WhoIsConnectedSniffer, CSV":            {snifferCSV, List{Format: "comma-separated", Entries: both}},
		"the same for a German Excel":           {strings.ReplaceAll(snifferCSV, ",", ";"), List{Format: "comma-separated", Entries: both}},
		"the same, tab-delimited with a header": {strings.ReplaceAll(snifferCSV, ",", "\t"), List{Format: "tab-delimited", Entries: both}},
		"the same without a header":             {snifferTab, List{Format: "tab-delimited", Entries: both}},
		"the same as text":                      {nirText, List{Format: "NirSoft text", Entries: both}},
		"as Windows wrote it, with CRLF":        {string(toUTF16(strings.ReplaceAll(snifferCSV, "\n", "\r\n"), binary.LittleEndian, true)), List{Format: "comma-separated", Entries: both}},
		"UTF-16 without a mark":                 {string(toUTF16(snifferCSV, binary.BigEndian, false)), List{Format: "comma-separated", Entries: both}},
		"Windows-1252":                          {strings.ReplaceAll(snifferCSV, "’", "\x92"), List{Format: "comma-separated", Entries: both}},
		"Wireless Network Watcher, XML":         {watcherXML, List{Format: "NirSoft XML", Entries: both}},
		"the same, UTF-16":                      {string(toUTF16(strings.Replace(watcherXML, "?>", `encoding="UTF-16"?>`, 1), binary.LittleEndian, true)), List{Format: "NirSoft XML", Entries: both}},
		"the same, tab-delimited":               {watcherTab, List{Format: "tab-delimited", Entries: both}},
		"the same, CSV without a header":        {strings.ReplaceAll(watcherTab, "\t", ","), List{Format: "comma-separated", Entries: both}},
		"nmap":                                  {nmapXML, List{Format: "nmap XML", Entries: both[:1], Passed: 1}},
		"arp-scan":                              {arpScan, List{Format: "arp-scan", Entries: []Entry{{router, ""}, {phone, ""}}}},
		"one's own list":                        {"\ufeffname;mac\nRouter;00163e000001\nAll;ff:ff:ff:ff:ff:ff\n;\n\"Anna’s phone\";02:00:5e:10:00:01\n", List{Format: "comma-separated", Entries: both, Passed: 2}},
		"MAC and name, no header":               {"00:16:3e:00:00:01,Router\n02:00:5e:10:00:01,Anna’s phone\n", List{Format: "comma-separated", Entries: both}},
		"Porchlight's own":                      {"id,mac,state,name,host_name\n00163e000001,00:16:3e:00:00:01,home,'=Router,x\n", List{Format: "comma-separated", Entries: []Entry{{router, "=Router"}}}},
		"a name in a later entry":               {"mac,name\n00163e000001,\n00163e000001,Router\n00163e000001,Other\n", List{Format: "comma-separated", Entries: both[:1]}},
		"a name that is too long and dirty":     {"mac,name\n00163e000001,\x1b[31m" + strings.Repeat("x", 100) + "\n", List{Format: "comma-separated", Entries: []Entry{{router, "[31m" + strings.Repeat("x", 59)}}}},
	} {
		got, err := Parse([]byte(c.content))
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"empty":              {" \n", "it is empty"},
		"words":              {"hello\nworld, this is text\n", "there is no device with a MAC address in it"},
		"too big":            {strings.Repeat("x", MaxSize+1), "it is longer than 16 MB"},
		"cut off":            {nmapXML[:600], "cut off or damaged"},
		"entities":           {`<!DOCTYPE a [<!ENTITY b "cc">]><a><item><mac>&b;</mac></item></a>`, "cut off or damaged"},
		"deep":               {strings.Repeat("<a>", 1000), "deep in each other"},
		"a page":             {"<!DOCTYPE html><html><body><br></body></html>", "cut off or damaged"},
		"only of many":       {"mac,name\nff:ff:ff:ff:ff:ff,All\n", "there is no device with a MAC address in it"},
		"more than are read": {"mac\n" + many(MaxDevices+1), "more than 10000 devices"},
	} {
		if got, err := Parse([]byte(c.content)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d entries, %v, want %q", name, len(got.Entries), err, c.want)
		}
	}
}

// TestLongLists: what is no list is told in time that grows as its length does.
func TestLongLists(t *testing.T) {
	for name, c := range map[string]struct{ head, piece string }{
		"cells": {"", "a,b,c\n"}, "a value in pieces": {"<item><mac>", "a<!---->"}, "a value over and over": {"<item>", "<mac>ab</mac>"},
	} {
		fastest := func(n int) time.Duration {
			content := []byte(c.head + strings.Repeat(c.piece, n/len(c.piece)))
			best := time.Hour
			for range 3 {
				began := time.Now()
				if _, err := Parse(content); err == nil {
					t.Fatal("it is a list")
				}
				best = min(best, time.Since(began))
			}
			return best
		}
		const length, times = 256 << 10, 8
		a, b := fastest(length), fastest(times*length)
		if b > 3*times*max(a, time.Millisecond) { // quadratic would be 64 times
			t.Errorf("%s: %d bytes took %s, %d took %s", name, length, a, times*length, b)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(presence.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}.String() + "\n")
	}
	return b.String()
}

// Whatever is in a list, the entries are fit to be shown and in bounds.
func FuzzParse(f *testing.F) {
	for _, s := range []string{snifferCSV, snifferTab, watcherXML, watcherTab, nmapXML, arpScan, nirText} {
		f.Add([]byte(s))
		f.Add(toUTF16(s, binary.LittleEndian, true))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := Parse(content)
		if (err == nil) != (len(list.Entries) > 0) {
			t.Fatal(errors.New("an error or entries"), err, list)
		}
		seen := map[presence.MAC]bool{}
		for _, e := range list.Entries {
			if !e.MAC.Station() || seen[e.MAC] || e.Name != presence.CleanText(e.Name, presence.MaxName) {
				t.Errorf("entry %+v", e)
			}
			seen[e.MAC] = true
		}
	})
}
