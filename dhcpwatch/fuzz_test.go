package dhcpwatch

import (
	"strings"
	"testing"

	"porchlight/capture"
	"porchlight/presence"
)

func FuzzDecode(f *testing.F) {
	for _, raw := range recorded(f, "testdata/udhcpc-dnsmasq.pcap") {
		f.Add(raw)
	}
	for _, raw := range devices {
		f.Add(raw)
	}
	for _, raw := range hostile() {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		frame, err := capture.Parse(heardAt, "eth0", raw)
		if err != nil {
			return
		}
		s, ok, err := Decode(frame)
		switch {
		case !ok || err != nil:
			if ok != (err == nil) && ok {
				t.Fatalf("ok with error %v", err)
			}
			return
		case !s.MAC.Station():
			t.Errorf("MAC %v is not a station's", s.MAC)
		case s.Addr.IsValid() && (!s.Addr.Is4() || s.Addr.IsMulticast() || s.Addr.IsUnspecified()):
			t.Errorf("address %v is not a station's", s.Addr)
		case s.Peer.IsValid() && (!s.Peer.Is4() || s.Peer.IsMulticast() || s.Peer.IsUnspecified()):
			t.Errorf("the server %v cannot be a station", s.Peer)
		case s.Via == s.MAC:
			t.Errorf("%v sends for itself", s.Via)
		case s.DHCP == nil:
			t.Fatal("no DHCP details")
		}
		for text, limit := range map[string]int{
			s.DHCP.HostName:    presence.MaxName,
			s.DHCP.VendorClass: maxVendorClass,
			s.DHCP.ClientID:    2 * maxClientID,
			s.DHCP.Fingerprint: 4 * maxParameters,
		} {
			if text != presence.CleanText(text, limit) {
				t.Errorf("%q is not clean or longer than %d", text, limit)
			}
		}
		if strings.Trim(s.DHCP.Fingerprint, "0123456789,") != "" {
			t.Errorf("fingerprint %q", s.DHCP.Fingerprint)
		}
		if again, _, _ := Decode(frame); again.MAC != s.MAC || *again.DHCP != *s.DHCP {
			t.Error("decoding changed the frame")
		}
	})
}
