package flows

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/net/dns/dnsmessage"

	"porchlight/capture"
)

// tape is a pcap file of packets without link header that is being written.
type tape struct{ bytes.Buffer }

func newTape() *tape {
	t := &tape{}
	for _, v := range []uint32{0xa1b2c3d4, 0x00040002, 0, 0, 65535, 101} {
		_ = binary.Write(t, binary.LittleEndian, v)
	}
	return t
}

// add adds a packet of which there were more bytes on the wire.
func (t *tape) add(at time.Time, more int, raw []byte) {
	for _, v := range []int{int(at.Unix()), at.Nanosecond() / 1000, len(raw), len(raw) + more} {
		_ = binary.Write(t, binary.LittleEndian, uint32(v))
	}
	t.Write(raw)
}

func (t *tape) save(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "dump.pcap")
	if err := os.WriteFile(path, t.Bytes(), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func readFile(tb testing.TB, path string, limit int) (*Dump, error) {
	tb.Helper()
	f, err := capture.OpenAny(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return read(tb.Context(), f, nil, limit)
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

// flowText is all of a flow that a dump says.
func flowText(f *Flow) string {
	return fmt.Sprintf("%s %s %s %s %s %d/%d %d/%d %s", f.Protocol, f.From, f.To, f.First.Format("05.0"), f.Last.Format("05.0"),
		f.Sent.Packets, f.Sent.Bytes, f.Back.Packets, f.Back.Bytes, [...]string{"", "by From", "by To"}[f.opener])
}

func TestRead(t *testing.T) {
	const a, b = "192.0.2.1", "192.0.2.2"
	d := newTape()
	d.add(at(1), 0, ip4(6, a, b, 0, 0, tcpBody(1000, 80, syn)))
	d.add(at(2), 1000, ip4(6, b, a, 0, 0, tcpBody(80, 1000, syn|ack)))
	d.add(at(9), 0, ip4(6, a, b, 0, 0, tcpBody(1000, 80, fin|ack)))
	d.add(at(3), 0, ip4(6, b, a, 0, 0, tcpBody(81, 1001, syn|ack))) // its beginning is missing
	d.add(at(4), 0, ip4(17, a, b, 0x2000, 0, udpBody(5, 6, "divided ")))
	d.add(at(4), 0, ip4(17, a, b, 2, 0, []byte("rest")))
	d.add(at(5), 0, ip4(17, b, a, 2, 0, []byte("rest of nothing")))
	d.add(at(6), 0, []byte{0x45})
	d.add(at(6), 0, []byte{0x99})
	dump, err := readFile(t, d.save(t), maxFlows)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range dump.Flows {
		got = append(got, flowText(f))
	}
	want := []string{
		"tcp 192.0.2.1:1000 192.0.2.2:80 01.0 09.0 2/80 1/1040 by From",
		"tcp 192.0.2.2:81 192.0.2.1:1001 03.0 03.0 1/40 0/0 by To",
		"udp 192.0.2.1:5 192.0.2.2:6 04.0 04.0 2/60 0/0 ",
		"udp fragments 192.0.2.2:0 192.0.2.1:0 05.0 05.0 1/35 0/0 ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if !dump.From.Equal(at(1)) || !dump.To.Equal(at(9)) || dump.Packets != 9 || dump.Malformed != 2 || dump.Back != 6*time.Second {
		t.Errorf("%+v", dump)
	}
	notes := strings.Join(dump.Notes(), "\n")
	for _, want := range []string{"2 of 9 packets could not be read", "time goes back by 6s"} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not in %s", want, notes)
		}
	}
	if dump, err := readFile(t, newTape().save(t), 9); err != nil || len(dump.Notes()) != 1 || dump.Notes()[0] != "the dump has no packets" {
		t.Errorf("empty: %v %v", dump.Notes(), err)
	}
}

// A dump that breaks off says what it has.
func TestReadTorn(t *testing.T) {
	d := newTape()
	d.add(at(1), 0, ip4(6, "192.0.2.1", "192.0.2.2", 0, 0, tcpBody(1000, 80, syn)))
	d.Write([]byte{1, 2, 3})
	dump, err := readFile(t, d.save(t), maxFlows)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(dump.Flows) != 1 {
		t.Errorf("%d flows, %v", len(dump.Flows), err)
	}
}

func dnsAnswer(tb testing.TB, asked string, answers ...dnsmessage.Resource) string {
	tb.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{Response: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(asked), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
		Answers:   answers,
	}
	b, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func TestNames(t *testing.T) {
	name := dnsmessage.MustNewName
	head := func(of string, kind dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name(of), Type: kind, Class: dnsmessage.ClassINET}
	}
	d := newTape()
	tell := func(port int, payload string) {
		d.add(at(1), 0, ip4(17, "192.0.2.53", "192.0.2.1", 0, 0, udpBody(port, 40000, payload)))
	}
	tell(53, dnsAnswer(t, "www.example.org.",
		dnsmessage.Resource{Header: head("www.example.org.", dnsmessage.TypeCNAME), Body: &dnsmessage.CNAMEResource{CNAME: name("cdn.example.net.")}},
		dnsmessage.Resource{Header: head("cdn.example.net.", dnsmessage.TypeA), Body: &dnsmessage.AResource{A: [4]byte{203, 0, 113, 9}}},
		dnsmessage.Resource{Header: head("cdn.example.net.", dnsmessage.TypeAAAA), Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::9").As16()}}))
	tell(53, dnsAnswer(t, "evil\x1b[2J.example.", dnsmessage.Resource{Header: head("evil\x1b[2J.example.", dnsmessage.TypeA), Body: &dnsmessage.AResource{A: [4]byte{203, 0, 113, 66}}}))
	tell(5353, dnsAnswer(t, "other.", dnsmessage.Resource{Header: head("nas.local.", dnsmessage.TypeA), Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}}}))
	tell(54, dnsAnswer(t, "not.dns.", dnsmessage.Resource{Header: head("not.dns.", dnsmessage.TypeA), Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 8}}}))
	tell(53, "nonsense")
	dump, err := readFile(t, d.save(t), maxFlows)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"203.0.113.9": "www.example.org", "2001:db8::9": "www.example.org", "203.0.113.66": "evil [2J.example", "192.0.2.7": "nas.local", "192.0.2.8": "",
	} {
		if got := dump.Names[netip.MustParseAddr(addr)]; got != want {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
	if len(dump.Names) != 4 {
		t.Errorf("names: %v", dump.Names)
	}
}

// Beyond the limit the smallest flows go, and are counted; the fragments that
// wait for their beginning are bounded too.
func TestReadFlood(t *testing.T) {
	d := newTape()
	d.add(at(0), 9999, ip4(6, "192.0.2.1", "192.0.2.2", 0, 0, tcpBody(9, 9, syn)))
	const flood = 3000
	for i := range flood {
		d.add(at(float64(i)/100), 0, ip4(17, "192.0.2.1", "192.0.2.2", 0x2000, 0, udpBody(1000+i, 5, "")))
	}
	dump, err := readFile(t, d.save(t), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(dump.Flows) + dump.Further.Flows; n != flood+1 || len(dump.Flows) > 1000 || uint64(dump.Further.Flows) != dump.Further.Packets || dump.Further.Bytes != 28*dump.Further.Packets {
		t.Errorf("%d flows and %+v", len(dump.Flows), dump.Further)
	}
	if dump.Flows[0].From.Port() != 9 || dump.Flows[len(dump.Flows)-1].From.Port() != 1000+flood-1 {
		t.Error("the big one or the last one is gone")
	}
	if notes := strings.Join(dump.Notes(), "\n"); !strings.Contains(notes, "MORE FLOWS THAN THERE IS ROOM FOR") {
		t.Error(notes)
	}
	table := newTable(10)
	for i := range 2 * maxFragments {
		table.reassemble(&packet{protocol: udp, fragment: fragment{netip.IPv4Unspecified(), netip.IPv4Unspecified(), udp, uint32(i)}})
	}
	if len(table.ports) > maxFragments {
		t.Errorf("%d fragments are remembered", len(table.ports))
	}
}

// writeBig writes a dump of so many bytes: of 300,000 flows, most packets belong
// to a thousand of them.
func writeBig(tb testing.TB, size int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "big.pcap")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	d := newTape()
	noise := make([]byte, 1<<16)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	for i, n := 0, 0; n < size; i++ {
		port, host := 1024+i%1000, byte(1)
		if i%3 == 0 {
			port, host = 1024+i/3%60000, byte(2+i/3/60000%5)
		}
		d.add(at(float64(i)/1e5), 1000, ip4(17, "192.0.2.1", netip.AddrFrom4([4]byte{198, 51, 100, host}).String(), 0, 0, udpBody(port, 443, string(noise[i%65000:][:400]))))
		if d.Len() > 1<<20 || n+d.Len() >= size {
			n += d.Len()
			if _, err := d.WriteTo(f); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// readBig reads a dump and returns how much memory that took at most.
func readBig(tb testing.TB, path string) (d *Dump, peak uint64) {
	tb.Helper()
	f, err := capture.OpenAny(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapInuse
	last := int64(-1)
	d, err = Read(context.Background(), f, func(read int64) {
		if read-last > 16<<20 || last < 0 {
			runtime.ReadMemStats(&m)
			peak, last = max(peak, m.HeapInuse), read
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	return d, peak - min(before, peak)
}

// A big dump takes no more memory than its flows may.
func TestReadBig(t *testing.T) {
	d, peak := readBig(t, writeBig(t, 160<<20))
	t.Logf("%d packets, %d flows and %d more; %d MB at most", d.Packets, len(d.Flows), d.Further.Flows, peak>>20)
	if len(d.Flows) > maxFlows || d.Further.Flows == 0 || len(d.Flows) < maxFlows/2 {
		t.Errorf("%d flows and %d more", len(d.Flows), d.Further.Flows)
	}
	if peak > 150<<20 {
		t.Errorf("%d MB", peak>>20)
	}
}

// BenchmarkRead reads 1 GB: go test -run '^$' -bench Read -benchtime 1x ./flows
func BenchmarkRead(b *testing.B) {
	const size = 1 << 30
	path := writeBig(b, size)
	for name, pack := range map[string]func(io.Writer) (io.WriteCloser, error){
		"plain": nil,
		"gzip":  func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestSpeed) },
		"zstd":  func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	} {
		b.Run(name, func(b *testing.B) {
			path := path
			if pack != nil {
				path = packed(b, path, pack)
			}
			b.SetBytes(size)
			for b.Loop() {
				_, peak := readBig(b, path)
				b.ReportMetric(float64(peak)/1e6, "MB-memory")
			}
		})
	}
}

func packed(tb testing.TB, path string, pack func(io.Writer) (io.WriteCloser, error)) string {
	tb.Helper()
	from, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.Create(filepath.Join(tb.TempDir(), "packed"))
	if err != nil {
		tb.Fatal(err)
	}
	w, err := pack(to)
	if err == nil {
		_, err = io.Copy(w, from)
	}
	if err := errors.Join(err, w.Close(), to.Close()); err != nil {
		tb.Fatal(err)
	}
	return to.Name()
}
