package traffic

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// stage is two machines on a LAN that talk to each other, as real programs do.
type stage struct {
	*testing.T
	ctx             context.Context
	dir             string // with cert.pem and key.pem
	machine, server *lab.Host
}

// TestRecognisedAsByTshark: QUIC, DNS and TLS in a capture of real programs' traffic
// are what tshark takes them for, packet by packet, seen from either end.
//
// A packet of QUIC is a datagram with any; one of DNS is a datagram or segment
// with a message or a part of one; one of TLS is a segment with data of a
// connection, from the first hello on. Segments without data are TCP.
func TestRecognisedAsByTshark(t *testing.T) {
	for _, program := range []string{"tcpdump", "tshark", "dig", "openssl", "dnsmasq", "aiosmtpd", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	l := labtest.StartWith(t, lab.Options{IPv6: true})
	s := &stage{
		T: t, ctx: ctx, dir: t.TempDir(),
		machine: l.Observer("lan0", lab.WithAddr(l.Static(0))).Host,
		server:  l.Observer("lan0", lab.VendorMAC, lab.WithAddr(l.Static(1))).Host,
	}
	for _, h := range []*lab.Host{s.machine, s.server} {
		// One segment a packet, as on a wire.
		s.run(h, nil, "ip", "link", "set", "lan0", "gso_max_segs", "1")
	}
	s.certificate()
	self := map[string][]netip.Addr{
		"the client": {s.machine.Addr(), s.linkLocal(s.machine)},
		"the server": {s.server.Addr(), s.linkLocal(s.server)},
	}
	dump := filepath.Join(s.dir, "all.pcap")
	stop := s.capture(dump)
	l.Must(l.Client("phone").Join(ctx))
	for _, talk := range []func(){s.names, s.mail, s.tls, s.quic, s.noise, s.plainTCP} {
		talk()
	}
	stop()

	answers := tshark(s, dump)
	for side, addrs := range self {
		compare(t, side, ours(t, dump, addrs), answers)
	}
}

// linkLocal is the host's address of IPv6, once it has one.
func (s *stage) linkLocal(h *lab.Host) netip.Addr {
	s.Helper()
	for {
		switch a, err := h.LinkLocal(); {
		case err != nil:
			s.Fatal(err)
		case a.IsValid():
			return a
		}
		select {
		case <-s.ctx.Done():
			s.Fatal("no address of IPv6")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// compare prints and checks, of each protocol, how many of our packets are
// tshark's, and how many of tshark's are ours.
func compare(t *testing.T, side string, ours, theirs []Protocol) {
	t.Helper()
	if len(ours) != len(theirs) {
		t.Fatalf("%d packets read, and %d by tshark", len(ours), len(theirs))
	}
	for p, least := range map[Protocol]int{QUIC: 3000, DNS: 300, TLS: 1000, TCP: 1000, UDP: 1000, ICMP: 1, ARP: 2, DHCP: 2} {
		both, us, them := 0, 0, 0
		for i := range ours {
			switch {
			case ours[i] == p && theirs[i] == p:
				both++
			case ours[i] == p:
				us++
			case theirs[i] == p:
				them++
			}
			if us+them > 0 && us+them <= 5 && ours[i] != theirs[i] && (ours[i] == p || theirs[i] == p) {
				t.Logf("packet %d is %v, and %v for tshark", i+1, ours[i], theirs[i])
			}
		}
		precision, recall := float64(both)/float64(both+us), float64(both)/float64(both+them)
		t.Logf("%-4v seen from %s: %5d packets, precision %.4f, recall %.4f", p, side, both+them, precision, recall)
		if !(precision >= 0.99) || !(recall >= 0.99) || both < least {
			t.Errorf("%v: precision %.4f, recall %.4f of %d packets; want 0.99 of %d at least", p, precision, recall, both+them, least)
		}
	}
}

// ours is what a tally takes the packets of the dump for.
func ours(t *testing.T, dump string, self []netip.Addr) (all []Protocol) {
	t.Helper()
	f, err := os.Open(dump)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	c := classifier{newFlows()}
	for {
		frame, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data := frame[14:]
		p := Packet{At: info.Timestamp, EtherType: binary.BigEndian.Uint16(frame[12:]), Length: info.Length, Data: data[:min(len(data), SnapLen)]}
		var h head
		if h.network(&p) && slices.Contains(self, netip.AddrFrom16(h.src).Unmap()) {
			p.Direction = Out
		}
		protocol, _ := c.classify(&p, &h)
		all = append(all, protocol)
	}
}

// tshark is what it takes the packets of the dump for. It takes a segment from the
// midst of a record for plain data when that looks like the begin of something
// else, and does not look into one that was sent again: with data, they are what
// their connection has become.
func tshark(s *stage, dump string) (all []Protocol) {
	s.Helper()
	out := s.run(s.machine, nil, "tshark", "-n", "-r", dump,
		"-T", "fields", "-e", "frame.protocols", "-e", "tcp.stream", "-e", "tcp.len",
		"-o", "tcp.desegment_tcp_streams:FALSE", "-d", "tcp.port==5300,dns")
	became := map[string]Protocol{}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		p, stream := layerOf(strings.Split(fields[0], ":")), fields[1]
		switch was, ok := became[stream]; {
		case p == TLS || p == DNS && stream != "":
			became[stream] = p
		case p == TCP && ok && fields[2] != "0":
			p = was
		}
		all = append(all, p)
	}
	return all
}

// layerOf is the protocol of the layers that tshark names, the outermost first.
func layerOf(layers []string) Protocol {
	for _, p := range []struct {
		name string
		is   Protocol
	}{
		{"arp", ARP},
		{"icmp", ICMP},
		{"icmpv6", ICMP},
		{"dhcp", DHCP},
		{"mdns", MDNS},
		{"dns", DNS},
		{"quic", QUIC},
		{"tls", TLS},
		{"tcp", TCP},
		{"udp", UDP},
	} {
		if slices.Contains(layers, p.name) {
			return p.is
		}
	}
	return Other
}

// capture starts a real tcpdump on the machine; stop ends it.
func (s *stage) capture(path string) (stop func()) {
	s.Helper()
	cmd := s.machine.Command(s.ctx, "tcpdump", "-i", "lan0", "-n", "-U", "-B", "16384", "-Z", "root", "-w", path)
	said, err := cmd.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	heard := bufio.NewScanner(said)
	for heard.Scan() && !strings.Contains(heard.Text(), "listening on") {
	}
	return func() {
		s.Helper()
		_ = cmd.Signal(syscall.SIGINT)
		for heard.Scan() {
			s.Logf("tcpdump: %s", heard.Text())
		}
		_ = said.Close()
		if err := cmd.Wait(); err != nil {
			s.Fatal(err)
		}
	}
}

// run runs a program to its end, and returns what it printed.
func (s *stage) run(h *lab.Host, in io.Reader, name string, args ...string) string {
	s.Helper()
	cmd := h.Command(s.ctx, name, args...)
	cmd.Dir, cmd.Stdin = s.dir, in
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}

// serve starts a program that lives as long as the test, and waits for its port
// to be taken.
func (s *stage) serve(port string, name string, args ...string) {
	s.Helper()
	cmd := s.server.Command(s.ctx, name, args...)
	cmd.Dir = s.dir
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(cmd.Kill)
	for {
		if out := s.run(s.server, nil, "ss", "-Htln", "sport", "=", port); out != "" {
			return
		}
		select {
		case <-cmd.Done():
			s.Fatalf("%s ended: %v", name, cmd.Wait())
		case <-s.ctx.Done():
			s.Fatalf("%s does not listen on port %s", name, port)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
