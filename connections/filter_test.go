package connections

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// tcpdump finds it where an ordinary user's PATH has it not.
func tcpdump(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("tcpdump")
	if err != nil {
		path = "/usr/sbin/tcpdump"
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("tcpdump is not installed")
	}
	return path
}

// compiled returns how many instructions tcpdump makes of a filter for Ethernet.
func compiled(t *testing.T, filter string) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), tcpdump(t), "-y", "EN10MB", "-ddd", filter).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v %s", filter, err, out)
	}
	for line := range strings.Lines(string(out)) {
		if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			return n
		}
	}
	t.Fatalf("%s: %s", filter, out)
	return 0
}

func TestFilter(t *testing.T) {
	end := netip.MustParseAddrPort
	conn := func(protocol, local, remote string) Connection {
		c := Connection{Protocol: protocol, Local: end(local)}
		if remote != "" {
			c.Remote = end(remote)
		}
		return c
	}
	for _, test := range []struct {
		of              []Connection
		dump, wireshark string
	}{
		{
			[]Connection{conn(TCP, "192.168.1.2:50000", "203.0.113.9:443")},
			"tcp and ((src host 192.168.1.2 and src port 50000 and dst host 203.0.113.9 and dst port 443) or (dst host 192.168.1.2 and dst port 50000 and src host 203.0.113.9 and src port 443))",
			"(ip.src == 192.168.1.2 && tcp.srcport == 50000 && ip.dst == 203.0.113.9 && tcp.dstport == 443) || (ip.dst == 192.168.1.2 && tcp.dstport == 50000 && ip.src == 203.0.113.9 && tcp.srcport == 443)",
		},
		{[]Connection{conn(TCP, "0.0.0.0:22", ""), conn(TCP, "[::]:22", ""), conn(TCP, "192.168.1.2:22", "192.168.1.20:50000")}, "tcp port 22", "tcp.port == 22"},
		{
			[]Connection{conn(UDP, "[fe80::1%eth0]:546", "")},
			"udp and ((src host fe80::1 and src port 546) or (dst host fe80::1 and dst port 546))",
			"(ipv6.src == fe80::1 && udp.srcport == 546) || (ipv6.dst == fe80::1 && udp.dstport == 546)",
		},
		{[]Connection{conn(UDP, "0.0.0.0:53", ""), conn(TCP, "0.0.0.0:53", "")}, "(tcp port 53) or (udp port 53)", "(tcp.port == 53) || (udp.port == 53)"},
		{ // both ends are here
			[]Connection{conn(TCP, "127.0.0.1:80", "127.0.0.1:50000"), conn(TCP, "127.0.0.1:50000", "127.0.0.1:80")},
			"tcp and ((src host 127.0.0.1 and src port 80 and dst host 127.0.0.1 and dst port 50000) or (dst host 127.0.0.1 and dst port 80 and src host 127.0.0.1 and src port 50000))",
			"(ip.src == 127.0.0.1 && tcp.srcport == 80 && ip.dst == 127.0.0.1 && tcp.dstport == 50000) || (ip.dst == 127.0.0.1 && tcp.dstport == 80 && ip.src == 127.0.0.1 && tcp.srcport == 50000)",
		},
	} {
		f, err := FilterFor(test.of)
		if err != nil || f.Tcpdump != test.dump || f.Wireshark != test.wireshark {
			t.Errorf("%v\n%s\n%s", err, f.Tcpdump, f.Wireshark)
		}
		compiled(t, f.Tcpdump)
	}
	f, err := FilterForHosts([]netip.Addr{netip.MustParseAddr("fe80::2%eth0"), netip.MustParseAddr("192.168.1.20")})
	if want := (Filter{Tcpdump: "(host 192.168.1.20) or (host fe80::2)", Wireshark: "(ip.addr == 192.168.1.20) || (ipv6.addr == fe80::2)"}); err != nil || f != want {
		t.Errorf("%v %+v", err, f)
	}
	compiled(t, f.Tcpdump)
}

// The longest filter that there can be is one that the kernel takes.
func TestLongFilter(t *testing.T) {
	var all []Connection
	for i := range maxTerms {
		all = append(all, Connection{
			Protocol: TCP, Local: netip.MustParseAddrPort(fmt.Sprintf("[2001:db8::%x]:%d", i+1, 30000+i)),
			Remote: netip.MustParseAddrPort(fmt.Sprintf("[2001:db8:1:2:3:4:5:%x]:%d", i+1, 40000+i)),
		})
	}
	f, err := FilterFor(all)
	if err != nil {
		t.Fatal(err)
	}
	const most = 4096 // BPF_MAXINSNS
	if n := compiled(t, f.Tcpdump); n > most {
		t.Errorf("%d connections make %d instructions", len(all), n)
	}
	more := append(all, Connection{Protocol: UDP, Local: netip.MustParseAddrPort("[2001:db8::1]:1"), Remote: netip.MustParseAddrPort("[2001:db8::2]:2")})
	if _, err := FilterFor(more); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
	// Ports take less, and those of a mixture no more than that leaves.
	port := func(i int) Connection {
		c := Connection{Protocol: TCP, State: Listen, Local: netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(1+i*131))}
		if i%3 == 0 {
			c.Protocol, c.State = UDP, Unconnected
		}
		return c
	}
	var ports []Connection
	for i := range maxPorts {
		ports = append(ports, port(i))
	}
	for name, some := range map[string][]Connection{"ports": ports, "a mixture": append(ports[:maxPorts/2:maxPorts/2], all[:maxTerms/2]...)} {
		f, err := FilterForMany(some)
		if err != nil || f.Wide != "" {
			t.Fatalf("%s: %v, %q", name, err, f.Wide)
		}
		if n := compiled(t, f.Tcpdump); n > most {
			t.Errorf("%s: %d make %d instructions", name, len(some), n)
		}
		if _, err := FilterFor(append(some, port(maxPorts))); !errors.Is(err, ErrTooMany) {
			t.Errorf("%s and one more: %v", name, err)
		}
	}
	if _, err := FilterFor(nil); err == nil {
		t.Error("a filter of nothing")
	}
}

// Of packets that tcpdump reads from a file, the filter chooses those of the
// connection, in both directions, and no others.
func TestFilterChooses(t *testing.T) {
	type packet struct{ from, to string }
	packets := []packet{
		{"192.168.1.2:50000", "203.0.113.9:443"}, {"203.0.113.9:443", "192.168.1.2:50000"}, // the connection
		{"192.168.1.2:50001", "203.0.113.9:443"}, {"192.168.1.2:443", "203.0.113.9:50000"}, {"203.0.113.8:443", "192.168.1.2:50000"},
	}
	file := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0} // pcap, Ethernet
	for _, p := range packets {
		from, to := netip.MustParseAddrPort(p.from), netip.MustParseAddrPort(p.to)
		frame := append(make([]byte, 12), 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0)
		frame = append(append(frame, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
		frame = append(frame, byte(from.Port()>>8), byte(from.Port()), byte(to.Port()>>8), byte(to.Port()))
		frame = append(frame, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0)
		file = append(file, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(frame)), 0, 0, 0, byte(len(frame)), 0, 0, 0)
		file = append(file, frame...)
	}
	path := filepath.Join(t.TempDir(), "some.pcap")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := FilterFor([]Connection{{Protocol: TCP, Local: netip.MustParseAddrPort(packets[0].from), Remote: netip.MustParseAddrPort(packets[0].to)}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tcpdump(t), "-Z", "root", "-n", "-t", "-r", path, f.Tcpdump).Output()
	if err != nil {
		out, err = exec.CommandContext(t.Context(), tcpdump(t), "-n", "-t", "-r", path, f.Tcpdump).Output()
	}
	if got := strings.Count(string(out), "\n"); err != nil || got != 2 || !strings.Contains(string(out), "192.168.1.2.50000 > 203.0.113.9.443") || !strings.Contains(string(out), "203.0.113.9.443 > 192.168.1.2.50000") {
		t.Errorf("%v: chose %s", err, out)
	}
}
