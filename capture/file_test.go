package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// captured is a Record to compare with.
type captured struct {
	At        string // RFC 3339
	Interface string
	Raw       string
}

// drain reads all records and the error that ends them.
func drain(f *File) (records []captured, err error) {
	for {
		r, err := f.Next()
		if err != nil {
			if _, again := f.Next(); !errors.Is(again, err) {
				return records, errors.New("the error does not stay: " + again.Error())
			}
			return records, err
		}
		records = append(records, captured{r.At.Format(time.RFC3339Nano), r.Interface, string(r.Raw)})
	}
}

// records yields all records of a file, which is whole.
func records(t *testing.T, f *File) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		t.Helper()
		for {
			r, err := f.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !yield(r) {
				return
			}
		}
	}
}

func open(content []byte) (*File, error) {
	return newFile("test", bytes.NewReader(content), io.NopCloser(nil), true)
}

// bytesOf writes numbers in the given order; strings go as they are, padded to
// four bytes.
func bytesOf(order binary.AppendByteOrder, values ...any) (b []byte) {
	for _, v := range values {
		switch v := v.(type) {
		case uint16:
			b = order.AppendUint16(b, v)
		case int:
			b = order.AppendUint32(b, uint32(v))
		case uint32:
			b = order.AppendUint32(b, v)
		case string:
			b = append(b, v...)
			b = append(b, make([]byte, -len(v)&3)...)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

func pcapHeader(order binary.AppendByteOrder, magic uint32, linkType int) []byte {
	return bytesOf(order, magic, uint16(2), uint16(4), 0, 0, 65535, linkType)
}

func pcapRecord(order binary.AppendByteOrder, seconds, fraction int, raw string) []byte {
	return append(bytesOf(order, seconds, fraction, len(raw), len(raw)), raw...)
}

// block is a pcapng block.
func block(order binary.AppendByteOrder, kind int, values ...any) []byte {
	body := bytesOf(order, values...)
	return bytesOf(order, kind, len(body)+12, body, len(body)+12)
}

func section(order binary.AppendByteOrder) []byte {
	return block(order, 0x0a0d0d0a, 0x1a2b3c4d, uint16(1), uint16(0), -1, -1)
}

// ngInterface declares an interface. An empty name or a resolution of 0 is left out.
func ngInterface(order binary.AppendByteOrder, linkType uint16, name string, resolution byte) []byte {
	values := []any{linkType, uint16(0), 65535}
	if name != "" {
		values = append(values, uint16(2), uint16(len(name)), name)
	}
	if resolution != 0 {
		values = append(values, uint16(9), uint16(1), string([]byte{resolution}))
	}
	return block(order, 1, append(values, 0)...)
}

func ngPacket(order binary.AppendByteOrder, iface int, ticks uint64, raw string) []byte {
	return block(order, 6, iface, uint32(ticks>>32), uint32(ticks), len(raw), len(raw), raw)
}

func zipped(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	return b.Bytes()
}

var little, big = binary.LittleEndian, binary.BigEndian

const (
	micro        uint32 = 0xa1b2c3d4
	nano         uint32 = 0xa1b23c4d
	linkEthernet        = 1
	seconds             = 1767225600 // 2026-01-01
)

// ngFile has interfaces of three resolutions, and blocks to be skipped.
func ngFile(order binary.AppendByteOrder) []byte {
	return bytes.Join([][]byte{
		section(order),
		ngInterface(order, linkEthernet, "eth0", 0),
		ngInterface(order, linkEthernet, "wlan0\x1b[2J", 9),
		block(order, 0x0bad, "a block of nobody's"),
		ngPacket(order, 0, seconds*1e6+250_000, "to eth0 by micro"),
		ngPacket(order, 1, seconds*1e9+123_456_789, "to wlan0 by nano"),
		ngInterface(order, linkEthernet, "", 3),
		ngPacket(order, 2, seconds*1e3+500, "no name, by milli"),
		section(order), // numbering begins anew
		ngInterface(order, linkEthernet, "eth9", 0),
		ngPacket(order, 0, seconds*1e6, "second section"),
	}, nil)
}

var ngRecords = []captured{
	{"2026-01-01T00:00:00.25Z", "eth0", "to eth0 by micro"},
	{"2026-01-01T00:00:00.123456789Z", "wlan0 [2J", "to wlan0 by nano"},
	{"2026-01-01T00:00:00.5Z", "if2", "no name, by milli"},
	{"2026-01-01T00:00:00Z", "eth9", "second section"},
}

func pcapFile(order binary.AppendByteOrder, magic uint32) []byte {
	return bytes.Join([][]byte{
		pcapHeader(order, magic, linkEthernet),
		pcapRecord(order, seconds, 123456, "first"),
		pcapRecord(order, seconds+1, 0, ""),
		pcapRecord(order, seconds+2, 999999, strings.Repeat("x", 214)),
	}, nil)
}

func pcapRecords(first, last string) []captured {
	return []captured{
		{"2026-01-01T00:00:00" + first + "Z", "if0", "first"},
		{"2026-01-01T00:00:01Z", "if0", ""},
		{"2026-01-01T00:00:02" + last + "Z", "if0", strings.Repeat("x", 214)},
	}
}

func TestFileFormats(t *testing.T) {
	microRecords := pcapRecords(".123456", ".999999")
	nanoRecords := pcapRecords(".000123456", ".000999999")
	understated := pcapFile(little, micro)
	copy(understated[16:], bytesOf(little, 96)) // the snap length

	tests := map[string]struct {
		content []byte
		want    []captured
	}{
		"pcap, little-endian":              {pcapFile(little, micro), microRecords},
		"pcap, big-endian":                 {pcapFile(big, micro), microRecords},
		"pcap, little-endian, nanoseconds": {pcapFile(little, nano), nanoRecords},
		"pcap, big-endian, nanoseconds":    {pcapFile(big, nano), nanoRecords},
		"pcap, compressed":                 {zipped(pcapFile(little, micro)), microRecords},
		"pcap, frames above the snap size": {understated, microRecords},
		"pcap without records":             {pcapHeader(little, micro, linkEthernet), nil},
		"pcapng, little-endian":            {ngFile(little), ngRecords},
		"pcapng, big-endian":               {ngFile(big), ngRecords},
		"pcapng, compressed":               {zipped(ngFile(little)), ngRecords},
		"pcap, compressed by zstd":         {zstandard(t, pcapFile(big, micro)), microRecords},
		"pcapng, compressed by zstd":       {zstandard(t, ngFile(little)), ngRecords},
		"pcapng without interfaces":        {section(little), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := open(test.content)
			if err != nil {
				t.Fatal(err)
			}
			got, err := drain(f)
			if !errors.Is(err, io.EOF) {
				t.Errorf("ends with %v, want %v", err, io.EOF)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// The files hold the same eight frames, as tcpdump and editcap wrote them.
func TestOpenFile(t *testing.T) {
	first := time.Date(2026, 11, 20, 10, 54, 0, 0, time.UTC)
	var want []string
	for _, name := range []string{"tcpdump.pcap", "editcap.pcapng", "editcap-nanoseconds.pcap"} {
		t.Run(name, func(t *testing.T) {
			f, err := OpenFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for r := range records(t, f) {
				frame, err := r.Frame()
				if err != nil || frame.EtherType != EtherTypeIPv4 || frame.Interface != "if0" {
					t.Fatalf("frame %+v, error %v", frame, err)
				}
				if d := r.At.Sub(first); d < 0 || d > 2*time.Minute {
					t.Errorf("captured at %v", r.At)
				}
				if nano := r.At.Nanosecond()%1000 != 0; nano != (name == "editcap-nanoseconds.pcap") {
					t.Errorf("captured at %v", r.At)
				}
				got = append(got, string(r.Raw))
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if len(got) != 8 {
				t.Errorf("%d frames, want 8", len(got))
			}
			if want == nil {
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOpenFileStandardInput(t *testing.T) {
	in, err := os.Open("testdata/tcpdump.pcap")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	old := os.Stdin
	os.Stdin = in
	defer func() { os.Stdin = old }()
	f, err := OpenFile("-")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := drain(f); len(got) != 8 || !errors.Is(err, io.EOF) {
		t.Errorf("%d records, error %v", len(got), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := in.Stat(); err != nil {
		t.Errorf("standard input was closed: %v", err)
	}
}

func TestFileFaults(t *testing.T) {
	oneInterface := slices.Clip(append(section(little), ngInterface(little, linkEthernet, "eth0", 0)...))
	tests := map[string]struct {
		content []byte
		want    string // in the error
	}{
		"empty":               {nil, `reading capture "test": the file is empty`},
		"empty, compressed":   {zipped(nil), "the file is empty"},
		"two bytes":           {[]byte("ab"), "not a pcap or pcapng file: it begins with 61 62"},
		"text":                {[]byte("hello world"), "not a pcap or pcapng file: it begins with 68 65 6c 6c"},
		"text, compressed":    {zipped([]byte("hello world")), "not a pcap or pcapng file: it begins with 68 65 6c 6c"},
		"half a pcap header":  {pcapFile(little, micro)[:20], "its pcap header: unexpected EOF"},
		"half a section":      {ngFile(little)[:10], "its pcapng header: unexpected EOF"},
		"version":             {bytesOf(little, micro, uint16(9), uint16(4), 0, 0, 0, 0), "its pcap header: "},
		"any interface":       {pcapHeader(little, micro, 276), `link type Linux SLL2 (276), not Ethernet: capture on one interface (tcpdump -i eth0), not on "any"`},
		"any interface, old":  {pcapHeader(big, nano, 113), `link type Linux SLL (113), not Ethernet: capture on one interface`},
		"raw IP":              {pcapHeader(little, micro, 101), "link type Raw (101), not Ethernet: only Ethernet captures can be read"},
		"unknown link":        {pcapHeader(little, micro, 999), "link type UnknownLinkType (999), not Ethernet"},
		"pcapng, other link":  {append(append(section(little), ngInterface(little, 276, "any", 0)...), ngPacket(little, 0, 1, "x")...), "link type Linux SLL2 (276)"},
		"pcapng, no time":     {append(oneInterface, block(little, 3, 4, "four")...), "a frame without a time"},
		"pcapng, year 500000": {append(oneInterface, ngPacket(little, 0, 1<<63, "x")...), "a frame with an impossible time, in the year"},
		"pcapng, interface":   {append(oneInterface, ngPacket(little, 7, 1, "x")...), "record 1: Interface id 7"},
		"frame too long":      {append(pcapHeader(little, micro, linkEthernet), pcapRecord(little, 1, 1, strings.Repeat("x", maxRecord+1))...), "record 1: "},
		"pcapng, too long":    {append(oneInterface, ngPacket(little, 0, 1, strings.Repeat("x", maxRecord+1))...), "record 1: a frame of 262145 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := open(test.content)
			if err == nil {
				_, err = drain(f)
			}
			if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has several lines", err)
			}
		})
	}
	for _, path := range []string{"/nowhere/x.pcap", "testdata"} {
		if _, err := OpenFile(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one that names it", path, err)
		}
	}
}

// A file cut anywhere gives the records before the cut, and then says that it
// is cut, unless the cut is between two records.
func TestFileTruncated(t *testing.T) {
	files := map[string]struct {
		content []byte
		want    []captured
	}{
		"pcap":   {pcapFile(little, micro), pcapRecords(".123456", ".999999")},
		"pcapng": {ngFile(big), ngRecords},
	}
	for name, file := range files {
		whole := 0 // cuts between records
		for n := 1; n < len(file.content); n++ {
			f, err := open(file.content[:n])
			if err != nil {
				continue // within the header
			}
			got, err := drain(f)
			switch {
			case errors.Is(err, io.EOF):
				whole++
			case !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "it ends at byte"):
				t.Fatalf("%s, first %d bytes: error %v", name, n, err)
			}
			if diff := cmp.Diff(file.want[:len(got)], got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s, first %d bytes: records (-want +got):\n%s", name, n, diff)
			}
		}
		// pcap: after the header and two records; pcapng: between its blocks,
		// of which the first one is the header.
		if want := map[string]int{"pcap": 3, "pcapng": 10}[name]; whole != want {
			t.Errorf("%s: %d cuts are no fault, want %d", name, whole, want)
		}
	}
}

// endless is a reader of zeros that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Lengths that a file's author made up must not claim memory, even when there
// are bytes without end to fill it.
func TestFileHostileLengths(t *testing.T) {
	oneInterface := slices.Clip(append(section(little), ngInterface(little, linkEthernet, "eth0", 0)...))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := map[string][]byte{
		"pcap record":                join(pcapHeader(little, micro, linkEthernet), bytesOf(little, 1, 1, -1, -1)),
		"pcap record of 2 GB":        join(pcapHeader(little, micro, linkEthernet), bytesOf(little, 1, 1, 1<<31-1, 1<<31-1)),
		"pcapng packet":              join(oneInterface, bytesOf(little, 6, -4, 0, 0, 1, -1, -1)),
		"pcapng packet of 2 GB":      join(oneInterface, bytesOf(little, 6, uint32(1<<31), 0, 0, 1, 1<<31-1, 1<<31-1)),
		"pcapng unknown block":       join(oneInterface, bytesOf(little, 0x0bad, -4)),
		"pcapng block of no length":  join(oneInterface, bytesOf(little, 0x0bad, 0)),
		"pcapng options without end": join(oneInterface, bytesOf(little, 6, uint32(1<<31), 0, 0, 1, 0, 0), bytes.Repeat(bytesOf(little, uint16(1), uint16(4), "note"), 4)),
		"pcapng secrets":             join(oneInterface, bytesOf(little, 10, uint32(1<<31), 0, 1<<31-1)),
		"pcapng names":               join(oneInterface, bytesOf(little, 4, uint32(1<<31), uint16(1), uint16(0xffff))),
		"pcapng section":             bytesOf(little, 0x0a0d0d0a, uint32(1<<31), 0x1a2b3c4d, uint16(1), uint16(0), -1, -1, uint16(1), uint16(0xffff)),
		"zeros":                      oneInterface,
	}
	for name, content := range tests {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f, err := newFile("test", io.MultiReader(bytes.NewReader(content), endless{}), io.NopCloser(nil), true)
			if err == nil {
				_, err = drain(f)
			}
			runtime.ReadMemStats(&after)
			if err == nil || errors.Is(err, io.EOF) {
				t.Errorf("error %v, want one", err)
			}
			const most = 96 << 20 // a buffer that doubles up to maxStep, and copies of it
			if got := after.TotalAlloc - before.TotalAlloc; got > most {
				t.Errorf("allocated %d MiB in all: %v", got>>20, err)
			}
		})
	}
}

func FuzzFile(f *testing.F) {
	for _, order := range []binary.AppendByteOrder{little, big} {
		f.Add(pcapFile(order, micro))
		f.Add(pcapFile(order, nano))
		f.Add(ngFile(order))
	}
	f.Add(zipped(pcapFile(little, micro)))
	f.Add(zstandard(f, pcapFile(little, micro)))
	f.Add(append(section(little), block(little, 4, uint16(1), uint16(8), "\x7f\x00\x00\x01me\x00", 0)...))
	f.Add(append(section(little), block(little, 10, 0x544c534b, 4, "key.")...))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := open(content)
		if err != nil {
			return
		}
		for {
			r, err := file.Next()
			if err != nil {
				return
			}
			if len(r.Raw) > maxRecord || r.Interface == "" || len(r.Interface) > maxInterfaceName {
				t.Fatalf("record of %d bytes on %q", len(r.Raw), r.Interface)
			}
			if _, err := r.At.MarshalText(); err != nil {
				t.Fatalf("time: %v", err)
			}
			_, _ = r.Frame()
		}
	})
}

func BenchmarkFile(b *testing.B) {
	frame := strings.Repeat("x", 400)
	for name, content := range map[string][]byte{
		"pcap":   append(pcapHeader(little, micro, linkEthernet), bytes.Repeat(pcapRecord(little, seconds, 1, frame), 10_000)...),
		"pcapng": append(append(section(little), ngInterface(little, linkEthernet, "eth0", 0)...), bytes.Repeat(ngPacket(little, 0, seconds*1e6, frame), 10_000)...),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				f, err := open(content)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = f.Next()
				}
			}
		})
	}
}
