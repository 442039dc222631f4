package replay

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"porchlight/capture"
	"porchlight/lab"
	"porchlight/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	observer = presence.MAC{0x02, 0, 0, 0, 0, 0x99}
	plug     = presence.MAC{0x00, 0x16, 0x3e, 0, 0, 1}
	start    = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)
)

// tape is a capture that is being written: classic pcap, microseconds.
type tape struct{ bytes.Buffer }

func newTape() *tape {
	t := &tape{}
	for _, v := range []uint32{0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1} {
		_ = binary.Write(t, binary.LittleEndian, v)
	}
	return t
}

func (t *tape) frame(at time.Duration, raw []byte) {
	when := start.Add(at)
	for _, v := range []uint32{uint32(when.Unix()), uint32(when.Nanosecond() / 1000), uint32(len(raw)), uint32(len(raw))} {
		_ = binary.Write(t, binary.LittleEndian, v)
	}
	t.Write(raw)
}

func (t *tape) arp(at time.Duration, op uint16, src, dst presence.MAC, from, to string) {
	f := append(append([]byte{}, dst[:]...), src[:]...)
	f = append(f, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4)
	f = binary.BigEndian.AppendUint16(f, op)
	f = append(append(f, src[:]...), netip.MustParseAddr(from).AsSlice()...)
	f = append(append(f, dst[:]...), netip.MustParseAddr(to).AsSlice()...)
	t.frame(at, f)
}

// week is a plug that the observer asks every 30 s, and that is out for two
// hours on the third day.
func week() *tape {
	t := newTape()
	out := [2]time.Duration{50 * time.Hour, 52 * time.Hour}
	for at := time.Duration(0); at < 3*24*time.Hour; at += 30 * time.Second {
		t.arp(at, 1, observer, plug, "10.0.0.9", "10.0.0.1")
		if at < out[0] || at >= out[1] {
			t.arp(at+3*time.Millisecond, 2, plug, observer, "10.0.0.1", "10.0.0.9")
		} else if at%(10*time.Minute) == 0 {
			t.arp(at+time.Second, 1, observer, presence.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "10.0.0.9", "10.0.0.1")
		}
	}
	return t
}

func play(t *testing.T, raw []byte, cfg presence.Config, self presence.MAC) (events []presence.Event, out string, stats Stats, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.pcap")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := capture.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var b bytes.Buffer
	stats, err = Run(context.Background(), f, &b, cfg, self)
	for dec := json.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		var e presence.Event
		if dec.Decode(&e) != nil {
			break
		}
		events = append(events, e)
	}
	return events, b.String(), stats, err
}

func TestReplay(t *testing.T) {
	raw := week().Bytes()
	events, first, stats, err := play(t, raw, presence.Config{}, observer)
	if err != nil {
		t.Fatal(err)
	}
	var got []presence.EventType
	for i, e := range events {
		got = append(got, e.Type)
		if e.Seq != int64(i+1) || e.ID != plug.ID() {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	want := []presence.EventType{presence.NewDevice, presence.Arrived, presence.Left, presence.Arrived}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	// After two days it is known that the plug always answers.
	if known := events[2].Time.Sub(start.Add(50 * time.Hour)); known < 0 || known > 45*time.Second {
		t.Errorf("the departure was known after %s", known)
	}
	if stats.Asked < 8640 || stats.Malformed != 0 || stats.To.Sub(stats.From) < 71*time.Hour {
		t.Errorf("stats %+v", stats)
	}
	if _, second, _, _ := play(t, raw, presence.Config{}, observer); second != first {
		t.Error("the same capture gave other events the second time")
	}
}

// A device that has IPv6 only comes, is asked, is asked again by everyone's
// address, and leaves.
func TestReplayIPv6(t *testing.T) {
	self, own := netip.MustParseAddr("fe80::99"), netip.MustParseAddr("fe80::1:1")
	tp := newTape()
	tp.frame(0, lab.ListenerReport(plug, own))
	tp.frame(time.Second, lab.DuplicateAddress(plug, own))
	for at := 30 * time.Second; at <= 10*time.Minute; at += 30 * time.Second {
		tp.frame(at, lab.NeighbourSolicitation(observer, self, own))
		if at <= 5*time.Minute {
			tp.frame(at+2*time.Millisecond, lab.NeighbourAdvertisement(plug, own))
		}
	}
	broken := lab.DuplicateAddress(plug, own)
	broken[60] ^= 1
	tp.frame(10*time.Minute, broken)
	events, _, stats, err := play(t, tp.Bytes(), presence.Config{AwayAfter: 2 * time.Minute}, observer)
	if err != nil || stats.Asked != 20 || stats.Sightings != 12 || stats.Malformed != 1 {
		t.Errorf("stats %+v, error %v", stats, err)
	}
	var got []string
	for _, e := range events {
		got = append(got, string(e.Type)+": "+e.Why)
	}
	want := []string{
		"new_device: IPv6 multicast listener report heard from it for the first time",
		"arrived: IPv6 multicast listener report heard from it for the first time",
		"left: no answer to 4 probes in 90 s, nothing heard for 2 min; the timeout for all devices is set to 2 min",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Without an observer nobody was asked, and the words say so.
func TestReplayWithoutObserver(t *testing.T) {
	events, _, stats, err := play(t, week().Bytes(), presence.Config{AwayAfter: 5 * time.Minute}, presence.MAC{})
	if err != nil || stats.Asked != 0 {
		t.Fatalf("stats %+v, %v", stats, err)
	}
	for _, e := range events {
		if e.Type == presence.Left && e.Why != "nobody asked it, nothing heard for 5 min; the timeout for all devices is set to 5 min" {
			t.Errorf("why %q", e.Why)
		}
	}
}

func TestReplayOfATornCapture(t *testing.T) {
	raw := week().Bytes()
	events, _, _, err := play(t, raw[:len(raw)/4+5], presence.Config{}, observer)
	if err == nil || len(events) != 2 {
		t.Errorf("%d events, error %v", len(events), err)
	}
}

func TestReplayOfNonsense(t *testing.T) {
	tp := newTape()
	tp.frame(0, []byte{1, 2, 3})
	tp.frame(-time.Hour, bytes.Repeat([]byte{0xff}, 9000)) // and the clock goes back
	tp.arp(time.Second, 9, plug, observer, "10.0.0.1", "10.0.0.9")
	tp.arp(2*time.Second, 2, plug, observer, "10.0.0.1", "10.0.0.9")
	events, _, stats, err := play(t, tp.Bytes(), presence.Config{}, presence.MAC{})
	if err != nil || len(events) != 2 || stats.Malformed < 2 {
		t.Errorf("%d events, stats %+v, error %v", len(events), stats, err)
	}
}

func BenchmarkReplay(b *testing.B) {
	path := filepath.Join(b.TempDir(), "c.pcap")
	raw := week().Bytes()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		f, err := capture.OpenFile(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Run(context.Background(), f, io.Discard, presence.Config{}, observer); err != nil {
			b.Fatal(err)
		}
		_ = f.Close()
	}
}
