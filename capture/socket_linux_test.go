package capture

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestMonotonic(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name string
		wall time.Time
		want time.Duration // before now
	}{
		{"taken 3 ms ago", now.Round(0).Add(-3 * time.Millisecond), 3 * time.Millisecond},
		{"taken now", now.Round(0), 0},
		{"the clock was set back since", now.Round(0).Add(time.Hour), 0},
		{"the clock was set forward since", now.Round(0).Add(-time.Hour), maxDelay},
		{"no time at all", time.Unix(0, 0), maxDelay},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := monotonic(now, tt.wall)
			if d := now.Sub(got); d != tt.want {
				t.Errorf("%v before now, want %v", d, tt.want)
			}
			if got == got.Round(0) {
				t.Error("no monotonic reading")
			}
		})
	}
}

// control builds one control message.
func control(level, typ int32, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func TestReadControl(t *testing.T) {
	now := time.Now()
	second := now.Add(-time.Second)
	stamp := binary.NativeEndian.AppendUint64(nil, uint64(second.Unix()))
	stamp = binary.NativeEndian.AppendUint64(stamp, uint64(second.Nanosecond()))
	aux := func(status uint32, tci uint16) []byte {
		b := make([]byte, 20)
		binary.NativeEndian.PutUint32(b, status)
		binary.NativeEndian.PutUint16(b[16:], tci)
		return b
	}
	timestamp := control(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, stamp)
	tagged := control(unix.SOL_PACKET, unix.PACKET_AUXDATA, aux(unix.TP_STATUS_VLAN_VALID, 10))
	tests := []struct {
		name  string
		raw   []byte
		delay time.Duration
		outer tag
	}{
		{"nothing", nil, 0, tag{}},
		{"a timestamp", timestamp, time.Second, tag{}},
		{"a timestamp and a tag", slices.Concat(timestamp, tagged), time.Second, tag{10, true}},
		{"a tag and a timestamp", slices.Concat(tagged, timestamp), time.Second, tag{10, true}},
		{"auxiliary data without a tag", control(unix.SOL_PACKET, unix.PACKET_AUXDATA, aux(0, 10)), 0, tag{}},
		{"auxiliary data cut short", control(unix.SOL_PACKET, unix.PACKET_AUXDATA, make([]byte, 8)), 0, tag{}},
		{"a timestamp cut short", timestamp[:len(timestamp)-1], 0, tag{}},
		{"something else", control(unix.SOL_SOCKET, unix.SCM_RIGHTS, make([]byte, 4)), 0, tag{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, outer := readControl(tt.raw, now)
			if d := now.Sub(at); d != tt.delay {
				t.Errorf("taken %v ago, want %v", d, tt.delay)
			}
			if d := cmp.Diff(tt.outer, outer, cmp.AllowUnexported(tag{})); d != "" {
				t.Errorf("tag (-want +got):\n%s", d)
			}
		})
	}
}
