package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/klauspost/compress/zstd"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The two ends of a wire: this machine and a peer.
const (
	machine4, peer4 = "10.7.0.1", "10.7.0.2"
	machine6, peer6 = "fd07::1", "fd07::2"
	peerPort        = 9000
)

// asPlayer makes this test's binary a program with traffic: what it does.
const asPlayer = "PORCHLIGHT_TEST_TRAFFIC"

func init() {
	if what := strings.Fields(os.Getenv(asPlayer)); len(what) == 3 {
		if err := play(what[0], what[1], what[2]); err != nil {
			fmt.Println(err)
		}
		os.Exit(0)
	}
}

// play serves, calls or sends until standard input ends. A caller or sender has
// one exchange for each line there.
func play(what, network, addr string) error {
	if what == "serve" {
		stop, err := echo(network, addr)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Println("ready")
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	var conn net.Conn
	var err error
	if what == "send" {
		conn, err = unconnected(network, addr)
	} else {
		conn, err = net.Dial(network, addr)
	}
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	fmt.Println(conn.LocalAddr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		text := append(lines.Bytes(), '\n')
		if _, err := conn.Write(text); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, make([]byte, len(text))); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return nil
}

// loose is a UDP socket without remote end that has one correspondent.
type loose struct {
	*net.UDPConn
	to *net.UDPAddr
}

func unconnected(network, addr string) (net.Conn, error) {
	to, err := net.ResolveUDPAddr(network, addr)
	if err != nil {
		return nil, err
	}
	c, err := net.ListenUDP(network, nil)
	return loose{c, to}, err
}

func (l loose) Write(b []byte) (int, error) { return l.WriteTo(b, l.to) }

// echo answers all with what they send.
func echo(network, addr string) (stop func(), err error) {
	if strings.HasPrefix(network, "udp") {
		c, err := net.ListenPacket(network, addr)
		if err != nil {
			return nil, err
		}
		go func() {
			b := make([]byte, 2048)
			for {
				n, from, err := c.ReadFrom(b)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_, _ = c.WriteTo(b[:n], from)
				}
			}
		}()
		return func() { _ = c.Close() }, nil
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return func() { _ = l.Close() }, nil
}

// player is a program with traffic.
type player struct {
	name  string
	local string // its end, of a caller or sender
	in    io.WriteCloser
	out   *bufio.Scanner
	cmd   *exec.Cmd
}

// start starts a program under a name in the namespace of the calling thread.
func start(t *testing.T, name, what, network, addr string) (*player, error) {
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(os.Args[0], path); err != nil {
		return nil, err
	}
	p := &player{name: name, cmd: exec.CommandContext(t.Context(), path)}
	p.cmd.Env = append(os.Environ(), asPlayer+"="+what+" "+network+" "+addr)
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = p.end() })
	p.out.Scan()
	p.local = p.out.Text()
	if _, err := netip.ParseAddrPort(p.local); err != nil && p.local != "ready" {
		return nil, fmt.Errorf("%s: %s", name, p.local)
	}
	return p, nil
}

func (p *player) end() error {
	_ = p.in.Close()
	return p.cmd.Wait()
}

// exchange sends a line and waits for it to come back.
func (p *player) exchange(text string) error {
	if _, err := fmt.Fprintln(p.in, text); err != nil {
		return err
	}
	if p.out.Scan(); p.out.Text() != "done" {
		return fmt.Errorf("%s: %s", p.name, p.out.Text())
	}
	return nil
}

// dumper is a tcpdump that runs.
type dumper struct {
	path string
	cmd  *exec.Cmd
}

func dump(t *testing.T, ifname string) (*dumper, error) {
	d := &dumper{path: filepath.Join(t.TempDir(), ifname+".pcap")}
	// Without a snap length the kernel has room for a few packets only, and loses some.
	d.cmd = exec.CommandContext(t.Context(), "tcpdump", "-Z", "root", "--immediate-mode", "-s", "2048", "-B", "16384", "-n", "-U", "-i", ifname, "-w", d.path)
	said, err := d.cmd.StderrPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "listening on") {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return d, nil
		}
	}
	return nil, fmt.Errorf("tcpdump does not begin: %w", d.cmd.Wait())
}

// end waits until the text is in the dump in both directions, and ends it.
func (d *dumper) end(text string) error {
	var b []byte
	for deadline := time.Now().Add(10 * time.Second); bytes.Count(b, []byte(text)) < 2; runtime.Gosched() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not get all packets", d.path)
		}
		b, _ = os.ReadFile(d.path)
	}
	_ = d.cmd.Process.Signal(os.Interrupt)
	return d.cmd.Wait()
}

// wired makes a wire to a namespace with a peer, and returns how to run something
// there.
func wired(t *testing.T) (at func(func() error) error, err error) {
	work, result := make(chan func() error), make(chan error)
	t.Cleanup(func() { close(work) })
	fresh := make(chan error)
	var peer netns.NsHandle
	go func() {
		runtime.LockOSThread()
		var err error
		peer, err = netns.New()
		fresh <- err
		for f := range work {
			result <- f()
		}
		_ = peer.Close()
	}()
	if err := <-fresh; err != nil {
		return nil, err
	}
	at = func(f func() error) error {
		work <- f
		return <-result
	}
	wire := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0"}, PeerName: "far0", PeerNamespace: netlink.NsFd(peer)}
	if err := netlink.LinkAdd(wire); err != nil {
		return nil, err
	}
	address := func(name string, all ...string) error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		for _, text := range all {
			addr, err := netlink.ParseAddr(text)
			if err != nil {
				return err
			}
			addr.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(link, addr); err != nil {
				return err
			}
		}
		return linkUp(name)
	}
	err = address("lan0", machine4+"/24", machine6+"/64")
	return at, errors.Join(err, at(func() error { return address("far0", peer4+"/24", peer6+"/64") }))
}

// stranger sends what no socket of this machine has: UDP, and TCP segments that
// ask for a connection, one of them to a program here.
func stranger() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	ports := func(from, to int) []byte { return []byte{byte(from >> 8), byte(from), byte(to >> 8), byte(to)} }
	return errors.Join(
		raw(fd, machine4, peer4, 6, synOf(machine4, peer4, ports(41414, peerPort))),
		raw(fd, machine4, peer4, 17, append(ports(40404, 9999), 0, 12, 0, 0, 'b', 'o', 'o', '!')),
		raw(fd, "127.0.0.1", "127.0.0.1", 6, synOf("127.0.0.1", "127.0.0.1", ports(42424, 8080))))
}

// raw sends a packet over IPv4.
func raw(fd int, from, to string, protocol byte, body []byte) error {
	src, dst := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	head := append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}, src[:]...)
	return unix.Sendto(fd, append(append(head, dst[:]...), body...), 0, &unix.SockaddrInet4{Addr: dst})
}

// synOf is a segment that asks for a connection, with its checksum (RFC 9293,
// section 3.1).
func synOf(from, to string, ports []byte) []byte {
	syn := append(ports, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0)
	pseudo := append([]byte{0, 6, 0, byte(len(syn))}, netip.MustParseAddr(from).AsSlice()...)
	sum := 0
	for b := append(append(pseudo, netip.MustParseAddr(to).AsSlice()...), syn...); len(b) > 1; b = b[2:] {
		sum += int(b[0])<<8 | int(b[1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	syn[16], syn[17] = byte(^sum>>8), byte(^sum)
	return syn
}

// The strangers on the wire, and on any interface.
var (
	wireStrangers = []string{"tcp " + machine4 + ":41414 " + peer4 + ":9000", "udp " + machine4 + ":40404 " + peer4 + ":9999"}
	anyStrangers  = append(slices.Clone(wireStrangers), "tcp 127.0.0.1:42424 127.0.0.1:8080")
)

// scene is known traffic of known programs.
type scene struct {
	dir     string
	wire    *dumper
	any     *dumper
	flows   map[string]string // on the wire: by protocol and ends, the program
	inside  map[string]string // on the loopback
	silent  string            // a connection without traffic
	talkers []*player
}

func (s *scene) round(t *testing.T, text string) error {
	for _, p := range s.talkers {
		if err := p.exchange(text); err != nil {
			return err
		}
	}
	if status, _, errs := command(t, s.dir, "connections", "snapshot"); status != exitDone {
		return errors.New(errs)
	}
	return nil
}

// perform makes the traffic, in the calling thread's namespace.
func perform(t *testing.T) (s *scene, err error) {
	s = &scene{dir: lived(t), flows: map[string]string{}, inside: map[string]string{}}
	at, err := wired(t)
	if err != nil {
		return nil, err
	}
	for _, network := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
		err := at(func() error {
			stop, err := echo(network, fmt.Sprintf(":%d", peerPort))
			if err == nil {
				t.Cleanup(stop)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	begin := func(name, what, network, addr string) *player {
		if err != nil {
			return nil
		}
		var p *player
		p, err = start(t, name, what, network, addr)
		return p
	}
	begin("web", "serve", "tcp", ":8080")
	begin("resolver", "serve", "udp", ":5300")
	sleeper := begin("sleeper", "call", "tcp", net.JoinHostPort(peer4, strconv.Itoa(peerPort)))
	if err != nil {
		return nil, err
	}
	s.silent = fmt.Sprintf("tcp %s %s:%d", sleeper.local, peer4, peerPort)
	if s.wire, err = dump(t, "lan0"); err != nil {
		return nil, err
	}
	if s.any, err = dump(t, "any"); err != nil {
		return nil, err
	}
	for _, c := range []struct{ name, what, network, host string }{
		{"mailer", "call", "tcp", peer4}, {"backup", "call", "tcp", peer6}, {"clock", "call", "udp", peer4}, {"chat", "send", "udp", peer6},
	} {
		to := net.JoinHostPort(c.host, strconv.Itoa(peerPort))
		p := begin(c.name, c.what, c.network, to)
		if err != nil {
			return nil, err
		}
		end := netip.MustParseAddrPort(p.local)
		if c.what == "send" {
			end = netip.AddrPortFrom(netip.MustParseAddr(machine6), end.Port())
		}
		s.flows[c.network+" "+end.String()+" "+to] = c.name
		s.talkers = append(s.talkers, p)
	}
	poller := begin("poller", "call", "tcp", "127.0.0.1:8080")
	if err != nil {
		return nil, err
	}
	s.inside["tcp "+poller.local+" 127.0.0.1:8080"] = "poller"
	s.talkers = append(s.talkers, poller)
	call := func(network, host string, port int) (net.Conn, error) {
		to := net.JoinHostPort(host, strconv.Itoa(port))
		var c net.Conn
		err := at(func() (err error) {
			if c, err = net.Dial(network, to); err == nil {
				_, err = fmt.Fprintln(c, "from outside")
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		_, err = io.ReadFull(c, make([]byte, len("from outside\n")))
		s.flows[network+" "+to+" "+c.LocalAddr().String()] = map[int]string{8080: "web", 5300: "resolver"}[port]
		return c, err
	}
	guest, err := call("tcp", machine6, 8080)
	if err != nil {
		return nil, err
	}
	defer func() { _ = guest.Close() }()
	if err := s.round(t, "the first exchange"); err != nil {
		return nil, err
	}
	// Too short to be in a snapshot, and what waits for no one.
	for _, c := range []struct {
		network, host string
		port          int
	}{{"tcp", machine4, 8080}, {"tcp", machine6, 8080}, {"udp", machine4, 5300}, {"udp", machine6, 5300}} {
		short, err := call(c.network, c.host, c.port)
		if err != nil {
			return nil, err
		}
		_ = short.Close()
	}
	if err := stranger(); err != nil {
		return nil, err
	}
	if err := s.round(t, "the second exchange"); err != nil {
		return nil, err
	}
	if err := s.talkers[0].exchange("the end"); err != nil {
		return nil, err
	}
	return s, errors.Join(s.wire.end("the end"), s.any.end("the end"))
}

// other forms of a dump: as pcapng, and packed.
func forms(t *testing.T, path string) (all []string, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	_, err1 := z.Write(content)
	err2 := z.Close()
	enc, err3 := zstd.NewWriter(nil)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	r, err := pcapgo.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	var ng bytes.Buffer
	w, err := pcapgo.NewNgWriterInterface(&ng, pcapgo.NgInterface{Name: "usbmon0", LinkType: layers.LinkTypeLinuxUSB}, pcapgo.DefaultNgWriterOptions)
	if err != nil {
		return nil, err
	}
	index, err := w.AddInterface(pcapgo.NgInterface{Name: "lan0", LinkType: layers.LinkTypeEthernet, TimestampResolution: 9})
	for err == nil {
		b, info, end := r.ReadPacketData()
		if errors.Is(end, io.EOF) {
			break
		}
		info.InterfaceIndex = index
		err = errors.Join(end, w.WritePacket(info, b))
	}
	for name, b := range map[string][]byte{"wire.pcap.gz": gz.Bytes(), "wire.pcap.zst": enc.EncodeAll(content, nil), "wire.pcapng": ng.Bytes()} {
		if name == "wire.pcapng" {
			err = errors.Join(err, w.Flush())
			b = ng.Bytes()
		}
		path := filepath.Join(t.TempDir(), name)
		all = append(all, path)
		err = errors.Join(err, os.WriteFile(path, b, 0o600))
	}
	slices.Sort(all)
	return all, err
}

// A dump by tcpdump of known traffic from known programs: each flow is explained
// by its program, and the strangers are found, in all forms of dumps.
func TestCompare(t *testing.T) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed")
	}
	inOwnNetwork(t, func() {
		s, err := perform(t)
		if err != nil {
			t.Error(err)
			return
		}
		all, err := forms(t, s.wire.path)
		if err != nil {
			t.Error(err)
			return
		}
		for _, path := range append(all, s.wire.path) {
			s.judge(t, path, s.flows, wireStrangers)
		}
		for flow, name := range s.inside {
			s.flows[flow] = name
		}
		s.judge(t, s.any.path, s.flows, anyStrangers)
		s.people(t)
	})
}

// judge compares a dump, and says how well that was done.
func (s *scene) judge(t *testing.T, path string, known map[string]string, strangers []string) {
	status, out, errs := command(t, s.dir, "connections", "compare", "--json", path)
	if status != exitDone {
		t.Errorf("%s: %s", path, errs)
		return
	}
	right, idle := 0, 0
	var found []string
	for text := range strings.Lines(out) {
		var l flowLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Error(err)
			return
		}
		flow := l.Protocol + " " + flowEnd(l.Local, l.LocalPort) + " " + flowEnd(l.Remote, l.RemotePort)
		switch l.Group {
		case "explained":
			if known[flow] == "" || known[flow] != l.Program || l.Sent == 0 || l.Received == 0 || l.Last.Before(l.First) || l.Snapshot == 0 {
				t.Errorf("%s: explained %s", filepath.Base(path), text)
				continue
			}
			right++
			if _, here := s.inside[flow]; here && l.RemoteProgram != "web" {
				t.Errorf("the other end: %s", text)
			}
		case "unexplained", "others":
			found = append(found, flow)
			s.chosen(t, path, &l)
		case "idle":
			if idle++; flow != s.silent || l.Program != "sleeper" {
				t.Errorf("idle: %s", text)
			}
		case "portless":
			if l.Protocol == "tcp" || l.Protocol == "udp" {
				t.Errorf("without ports: %s", text)
			}
		}
	}
	slices.Sort(found)
	both := 0
	for _, flow := range found {
		if slices.Contains(strangers, flow) {
			both++
		}
	}
	t.Logf("%s: %d of %d known flows explained by their program; of %d strangers found %d, recall %.2f, precision %.2f",
		filepath.Base(path), right, len(known), len(strangers), both, float64(both)/float64(len(strangers)), float64(both)/float64(max(1, len(found))))
	if right != len(known) || !slices.Equal(found, slices.Sorted(slices.Values(strangers))) || idle != 1 {
		t.Errorf("%s: explained %d of %d, %d idle, not explained %q; %s\n%s", path, right, len(known), idle, found, errs, out)
	}
}

// chosen lets tcpdump choose the packets of an unexplained flow by its filter.
func (s *scene) chosen(t *testing.T, path string, l *flowLine) {
	if !strings.HasSuffix(path, ".pcap") {
		return
	}
	out, err := exec.CommandContext(t.Context(), "tcpdump", "-Z", "root", "-n", "-t", "-r", path, l.Tcpdump).Output()
	if got := strings.Count(string(out), "\n"); err != nil || uint64(got) != l.SentPackets+l.ReceivedPackets || got == 0 {
		t.Errorf("%s chooses %d packets of %d and %d: %v", l.Tcpdump, got, l.SentPackets, l.ReceivedPackets, err)
	}
}

// people is what people get.
func (s *scene) people(t *testing.T) {
	status, out, errs := command(t, s.dir, "connections", "compare", s.wire.path)
	for _, want := range []string{
		"Flows that no snapshot explains (2)\n", machine4 + ":40404", "tcpdump    (tcp and (", "Connections without traffic (1)\n", "sleeper (",
		"Flows with their programs (9)\n", "mailer (", "by its listener", "What snapshots do not have",
	} {
		if !strings.Contains(out, want) || status != exitDone {
			t.Errorf("%q is not in\n%s%s", want, out, errs)
		}
	}
	if !strings.Contains(errs, "of dump: 9 flows explained, 2 not (0 of them though snapshots were taken meanwhile), 0 between others, ") {
		t.Error(errs)
	}
	status, _, errs = command(t, s.dir, "connections", "compare", "--from", "99", s.wire.path)
	if status != exitDone || !strings.Contains(errs, "no snapshot is from the time of the dump, ") || !strings.Contains(errs, "those that are stored (2) are from ") {
		t.Errorf("%d %s", status, errs)
	}
	status, out, _ = command(t, s.dir, "connections", "compare", "--csv", "--only", "unexplained", s.wire.path)
	if lines := strings.Split(strings.TrimSpace(out), "\n"); status != exitDone || len(lines) != 3 || !strings.HasPrefix(lines[0], "group,protocol,local,") {
		t.Errorf("%d %s", status, out)
	}
	whole, err := os.ReadFile(s.wire.path)
	cut := filepath.Join(t.TempDir(), "cut.pcap")
	if err == nil {
		err = os.WriteFile(cut, whole[:len(whole)-5], 0o600)
	}
	if err != nil {
		t.Error(err)
	}
	status, out, errs = command(t, s.dir, "connections", "compare", cut)
	if status != exitFailed || !strings.Contains(out, "mailer (") || !strings.Contains(errs, "it ends at byte") {
		t.Errorf("cut off: %d %s%s", status, out, errs)
	}
	foreign := slices.Clone(whole[:24])
	foreign[20] = 220 // USB
	for name, test := range map[string]struct {
		content []byte
		status  int
		says    string
	}{
		"empty":   {nil, exitFailed, "the file is empty"},
		"header":  {whole[:24], exitDone, "the dump has no packets"},
		"foreign": {foreign, exitFailed, "link type USB (220) cannot be read: capture on a network interface"},
		"text":    {[]byte("hello, world"), exitFailed, "not a pcap or pcapng file"},
		"hostile": {append(slices.Clone(whole[:24]), bytes.Repeat([]byte{0xff}, 100)...), exitFailed, "record 1"},
	} {
		path := filepath.Join(t.TempDir(), name)
		err := os.WriteFile(path, test.content, 0o600)
		status, out, errs := command(t, s.dir, "connections", "compare", path)
		if err != nil || status != test.status || !strings.Contains(errs, test.says) {
			t.Errorf("%s: %d %s%s %v", name, status, out, errs, err)
		}
	}
	status, _, errs = command(t, t.TempDir(), "connections", "compare", s.wire.path)
	if status != exitFailed || !strings.Contains(errs, "--now compares the dump with the connections of now") {
		t.Errorf("nothing stored: %d %s", status, errs)
	}
	status, out, errs = command(t, t.TempDir(), "connections", "compare", "--now", s.wire.path)
	if status != exitDone || !strings.Contains(out, "mailer (") || !strings.Contains(errs, "no snapshot is from the time of the dump") {
		t.Errorf("of now: %d %s%s", status, out, errs)
	}
}

// The bar goes forward, not too often, and is gone in the end.
func TestReadBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		draw := drawRead(&out, 4<<20)
		for i := range 5 {
			draw(int64(i) << 20)
			draw(int64(i)<<20 + 1)
			time.Sleep(time.Second)
		}
		drawn := strings.Split(out.String(), "\r")
		if len(drawn) != 9 || drawn[3] != "["+strings.Repeat("█", 15)+strings.Repeat("·", 15)+"] 2.1 MB of 4.2 MB, 1.0 MB/s " || drawn[8] != "\033[K" {
			t.Errorf("%d: %q", len(drawn), drawn)
		}
	})
	if readBar(&bytes.Buffer{}, 1) != nil {
		t.Error("a bar, and no terminal")
	}
}
