package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"

	"porchlight/presence"
)

var (
	station   = presence.MAC{0x02, 0, 0x5e, 0x10, 0, 1}
	broadcast = presence.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	someTime  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// ethernet builds a frame from station to everyone: tags are pairs of TPID and
// tag control information.
func ethernet(etherType uint16, payload []byte, tags ...uint16) []byte {
	b := append(broadcast[:], station[:]...)
	for _, t := range append(tags, etherType) {
		b = binary.BigEndian.AppendUint16(b, t)
	}
	return append(b, payload...)
}

var frameTests = []struct {
	name   string
	outer  tag // that the kernel took out
	raw    []byte
	ifname string // empty: an error
	err    error
}{
	{name: "untagged", raw: ethernet(EtherTypeARP, []byte("payload")), ifname: "eth0"},
	{name: "without payload", raw: ethernet(EtherTypeARP, nil), ifname: "eth0"},
	{name: "9,000 bytes", raw: ethernet(EtherTypeIPv4, make([]byte, 9000)), ifname: "eth0"},
	{name: "tagged", raw: ethernet(EtherTypeARP, []byte("payload"), 0x8100, 10), ifname: "eth0.10"},
	{name: "tagged with priority and drop bit", raw: ethernet(EtherTypeARP, nil, 0x8100, 0xf00a), ifname: "eth0.10"},
	{name: "priority only", raw: ethernet(EtherTypeARP, nil, 0x8100, 0xe000), ifname: "eth0"},
	{name: "VLAN 4094", raw: ethernet(EtherTypeARP, nil, 0x8100, 4094), ifname: "eth0.4094"},
	{name: "802.1ad", raw: ethernet(EtherTypeARP, nil, 0x88a8, 100, 0x8100, 10), ifname: "eth0.100.10"},
	{name: "802.1Q twice", raw: ethernet(EtherTypeARP, nil, 0x8100, 100, 0x8100, 10), ifname: "eth0.100.10"},
	{name: "priority only within a service tag", raw: ethernet(EtherTypeARP, nil, 0x88a8, 100, 0x8100, 0xe000), ifname: "eth0.100"},
	{name: "tag stripped", outer: tag{10, true}, raw: ethernet(EtherTypeARP, nil), ifname: "eth0.10"},
	{name: "outer tag stripped", outer: tag{100, true}, raw: ethernet(EtherTypeARP, nil, 0x8100, 10), ifname: "eth0.100.10"},
	{name: "priority tag stripped", outer: tag{0xe000, true}, raw: ethernet(EtherTypeARP, nil), ifname: "eth0"},

	{name: "empty", raw: nil, err: errShort},
	{name: "shorter than a header", raw: make([]byte, 13), err: errShort},
	{name: "cut within the tag", raw: ethernet(0x8100, []byte{0, 10, 8}), err: errShort},
	{name: "cut within the inner tag", raw: ethernet(0x8100, []byte{0, 10, 8, 0}, 0x88a8, 1), ifname: "eth0.1.10"},
	{name: "three tags", raw: ethernet(EtherTypeARP, nil, 0x88a8, 1, 0x8100, 2, 0x8100, 3), err: errTags},
	{name: "two tags and a stripped one", outer: tag{1, true}, raw: ethernet(EtherTypeARP, nil, 0x8100, 2, 0x8100, 3), err: errTags},
	{name: "VLAN 4095", raw: ethernet(EtherTypeARP, nil, 0x8100, 4095), err: errReserved},
	{name: "VLAN 4095 stripped", outer: tag{4095, true}, raw: ethernet(EtherTypeARP, nil), err: errReserved},
	{name: "IEEE 802.3 length", raw: ethernet(38, []byte{0x42, 0x42, 3}), err: errLength},
}

func TestParse(t *testing.T) {
	for _, tt := range frameTests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := parse(someTime, "eth0", tt.outer, tt.raw)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if tt.err != nil {
				return
			}
			if f.Interface != tt.ifname || f.Dst != broadcast || f.Src != station || f.At != someTime {
				t.Errorf("frame %+v, want it on %s", f, tt.ifname)
			}
			if !bytes.HasSuffix(tt.raw, f.Payload) {
				t.Error("the payload is not the end of the frame")
			}
		})
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, tt := range frameTests {
		got := testing.AllocsPerRun(100, func() { _, _ = parse(someTime, "eth0", tt.outer, tt.raw) })
		if got != 0 {
			t.Errorf("%s: %v allocations", tt.name, got)
		}
	}
}

// TestVLANNamesAreBounded: a stranger can make 16 million names with two tags.
func TestVLANNamesAreBounded(t *testing.T) {
	for i := range uint16(3) {
		for vid := range uint16(4095) {
			f, err := Parse(someTime, "eth9", ethernet(EtherTypeARP, nil, 0x88a8, i+1, 0x8100, vid))
			want := fmt.Sprintf("eth9.%d", i+1)
			if vid > 0 {
				want += fmt.Sprintf(".%d", vid)
			}
			if err != nil || f.Interface != want {
				t.Fatalf("interface %q, %v; want %q", f.Interface, err, want)
			}
		}
	}
	vlanNames.mu.RLock()
	defer vlanNames.mu.RUnlock()
	if n := len(vlanNames.names); n > maxVLANNames {
		t.Errorf("%d names kept", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range frameTests {
		f.Add(tt.raw, tt.outer.tci, tt.outer.set)
	}
	f.Fuzz(func(t *testing.T, raw []byte, tci uint16, set bool) {
		frame, err := parse(someTime, "eth0", tag{tci, set}, raw)
		if err != nil {
			return
		}
		if frame.EtherType < minEtherType || frame.EtherType == etherTypeVLAN || frame.EtherType == etherTypeServiceVLAN {
			t.Errorf("EtherType %#04x", frame.EtherType)
		}
		if !strings.HasPrefix(frame.Interface, "eth0") || len(frame.Interface) > len("eth0.4094.4094") {
			t.Errorf("interface %q", frame.Interface)
		}
		if n := len(raw) - len(frame.Payload); n < headerLen || n > headerLen+maxTags*tagLen {
			t.Errorf("a header of %d bytes", n)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	raw := ethernet(EtherTypeARP, make([]byte, 46), 0x88a8, 100, 0x8100, 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(someTime, "eth0", raw); err != nil {
			b.Fatal(err)
		}
	}
}

// filterVM runs a filter as the kernel does.
func filterVM(t *testing.T, raw []bpf.RawInstruction) *bpf.VM {
	t.Helper()
	prog, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter does not disassemble")
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func TestMatch(t *testing.T) {
	plain, err := Match(EtherTypeARP)
	if err != nil {
		t.Fatal(err)
	}
	// Passes payloads that begin with "R".
	body, err := Match(EtherTypeARP,
		bpf.LoadIndirect{Off: headerLen, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 'R', SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 100},
	)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name        string
		raw         []byte
		plain, body int // bytes that pass
	}{
		{"untagged", ethernet(EtherTypeARP, []byte("R")), Snap, 100},
		{"tagged", ethernet(EtherTypeARP, []byte("R"), 0x8100, 10), Snap, 100},
		{"service tag", ethernet(EtherTypeARP, []byte("R"), 0x88a8, 10), Snap, 100},
		{"tagged twice", ethernet(EtherTypeARP, []byte("R"), 0x88a8, 1, 0x8100, 10), Snap, 100},
		{"another payload, tagged twice", ethernet(EtherTypeARP, []byte("Q"), 0x8100, 1, 0x8100, 10), Snap, 0},
		{"without payload", ethernet(EtherTypeARP, nil), Snap, 0},
		{"tagged three times", ethernet(EtherTypeARP, []byte("R"), 0x8100, 1, 0x8100, 10, 0x8100, 3), 0, 0},
		{"another protocol", ethernet(EtherTypeIPv4, []byte("R")), 0, 0},
		{"another protocol, tagged", ethernet(EtherTypeIPv4, []byte("R"), 0x8100, 10), 0, 0},
		{"the EtherType of ARP where the second tag would be", ethernet(EtherTypeIPv4, []byte{0, 0, 8, 6, 8, 6}), 0, 0},
		{"cut within the tag", ethernet(0x8100, []byte{0}), 0, 0},
		{"cut within the header", make([]byte, 13), 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got [2]int
			for i, f := range [][]bpf.RawInstruction{plain, body} {
				if got[i], err = filterVM(t, f).Run(tt.raw); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff([2]int{tt.plain, tt.body}, got); d != "" {
				t.Errorf("bytes that pass (-want +got):\n%s", d)
			}
		})
	}
}
