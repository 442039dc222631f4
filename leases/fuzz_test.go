package leases

import (
	"bufio"
	"errors"
	"strings"
	"testing"

	"porchlight/presence"
)

// fuzz feeds text to a parser, line by line as a file's, and checks what comes out.
func fuzz(t *testing.T, p parser, text string) {
	lines := bufio.NewReaderSize(strings.NewReader(text), maxLine)
	for {
		line, _, err := nextLine(lines)
		if err == nil {
			p.line(line)
			_, _ = recognise(line)
		} else if !errors.Is(err, errLineTooLong) {
			break
		}
	}
	entries := p.told()
	if len(entries) > maxEntries {
		t.Errorf("%d entries", len(entries))
	}
	for _, e := range entries {
		if e.Name != presence.CleanText(e.Name, presence.MaxName) {
			t.Errorf("the name %q is not clean", e.Name)
		}
		if e.MAC != (presence.MAC{}) && !e.MAC.Station() || e.Addr.Is4() && e.MAC == (presence.MAC{}) && !isHosts(p) {
			t.Errorf("MAC %v of %v", e.MAC, e.Addr)
		}
		if _, ok := hostAddr(e.Addr.String()); !ok {
			t.Errorf("address %v", e.Addr)
		}
	}
}

func isHosts(p parser) bool { _, is := p.(*hosts); return is }

func FuzzDnsmasq(f *testing.F) {
	f.Add(dnsmasqText)
	f.Add("1795190400 00:16:3e:00:00:01 ::ffff:192.168.1.50 * *\n0 1 fe80::1%eth0 k\n18446744073709551616 06-00:16:3e:00:00:01 10.0.0.1 a.b ff\n")
	f.Fuzz(func(t *testing.T, text string) { fuzz(t, newDnsmasq(), text) })
}

func FuzzKea(f *testing.F) {
	f.Add(kea4Text)
	f.Add(kea6Text)
	f.Fuzz(func(t *testing.T, text string) { fuzz(t, newKea(), text) })
}

func FuzzDhcpd(f *testing.F) {
	f.Add(dhcpdText)
	f.Add(openbsdText)
	f.Add("lease 10.0.0.1 { hardware ethernet 01:00:00:00:00:00; }\n")
	f.Add("}}}{{{\"\\\"\nlease 10.0.0.1 {lease 10.0.0.2 {")
	f.Fuzz(func(t *testing.T, text string) {
		d := newDhcpd()
		fuzz(t, d, text)
		if d.depth < 0 || len(d.statement) > maxWords {
			t.Errorf("depth %d, %d words", d.depth, len(d.statement))
		}
	})
}

func FuzzHosts(f *testing.F) {
	f.Add(hostsText)
	f.Add("::ffff:10.0.0.1 a\n10.0.0.1 b\nfe80::1%eth0 c\n\ufeff10.0.0.2 \u202e.lan #\n")
	f.Fuzz(func(t *testing.T, text string) { fuzz(t, newHosts(), text) })
}
