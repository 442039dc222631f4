package history

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"porchlight/presence"
)

// How values stand in columns. The zero of each type is 0 or empty text.
// Reading back never fails: what is not understood is zero, so that one odd
// column does not lose a row.

func fromTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func toTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func fromMAC(m presence.MAC) string {
	if m == (presence.MAC{}) {
		return ""
	}
	return hex.EncodeToString(m[:])
}

func toMAC(s string) presence.MAC {
	if s == "" {
		return presence.MAC{}
	}
	m, _ := presence.ParseMAC(s)
	return m
}

func fromAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func toAddr(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}

func fromAddrs(addrs []netip.Addr) string {
	var b strings.Builder
	for i, a := range addrs {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a.String())
	}
	return b.String()
}

func toAddrs(s string) (addrs []netip.Addr) {
	for f := range strings.FieldsSeq(s) {
		if a, err := netip.ParseAddr(f); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
