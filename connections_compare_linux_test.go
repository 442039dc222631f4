package main

import (
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
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/klauspost/compress/zstd"

	"porchlight/connections"
	"porchlight/flows"
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
	_, filter, _ := strings.Cut(out, "\ntcpdump    ")
	filter, _, _ = strings.Cut(filter, "\n")
	chosen, err := exec.CommandContext(t.Context(), "tcpdump", "-Z", "root", "-n", "-t", "-r", s.wire.path, filter).Output()
	if strings.Count(string(chosen), "\n") != 4 || strings.Count(string(chosen), ".40404 >") != 1 || err != nil { // UDP; SYN, its answer and the reset
		t.Errorf("%s chooses %s: %v", filter, chosen, err)
	}
	if !strings.Contains(errs, "of dump: 9 flows explained, 2 not (0 of them though snapshots were taken meanwhile), 0 between others, ") {
		t.Error(errs)
	}
	status, _, errs = command(t, s.dir, "connections", "compare", "--from", "99", s.wire.path)
	if status != exitFailed || !strings.Contains(errs, "--from and --to leave no snapshot: those that are stored have the numbers 1 to 2") {
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
		"nothing": {whole[:24], exitDone, "0 packets, 0 B, in"},
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

// Snapshots of another time are said to be that.
func TestFar(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	all := []connections.Entry{{Number: 1, Time: noon}, {Number: 2, Time: noon.Add(time.Minute)}}
	dump := func(from, to time.Duration) *flows.Dump {
		return &flows.Dump{From: noon.Add(from), To: noon.Add(to), Count: flows.Count{Packets: 1}}
	}
	for name, test := range map[string]struct {
		dump   *flows.Dump
		chosen []connections.Entry
		want   string
	}{
		"long before":   {dump(-2*time.Hour, -time.Hour), all[:1], "no snapshot is from the time of the dump, 2026-03-01 10:00:00 to 2026-03-01 11:00:00; those that are stored (2) are from 2026-03-01 12:00:00 to 2026-03-01 12:01:00; snapshot 1 was taken 1 h 00 min after it"},
		"long after":    {dump(time.Hour, 2*time.Hour), all[1:], "no snapshot is from the time of the dump, 2026-03-01 13:00:00 to 2026-03-01 14:00:00; those that are stored (2) are from 2026-03-01 12:00:00 to 2026-03-01 12:01:00; snapshot 2 was taken 59 min before it"},
		"of that time":  {dump(-time.Hour, time.Hour), all, ""},
		"of no packets": {&flows.Dump{}, all, ""},
	} {
		got := far(all, test.chosen, test.dump)
		if len(got) > 0 {
			got = got[:len(got)-1] // the remedy
		}
		if text := strings.Join(got, "; "); text != test.want {
			t.Errorf("%s: %q, want %q", name, text, test.want)
		}
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
