package nudge

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"porchlight/presence"
)

var (
	self  = presence.MAC{0xb8, 0x27, 0xeb, 0, 0, 1}
	phone = presence.MAC{0x02, 0, 0x5e, 0x10, 0, 1}
)

// seen is a frame as another implementation reads it.
type seen struct {
	To, From, Src, Dst string
	VLAN               uint16
	Hops               uint8
	Port               uint16
	Length             int // of the frame
}

// read takes a frame apart; it fails where a length or a checksum is wrong.
func read(t *testing.T, raw []byte) seen {
	t.Helper()
	p := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.Default)
	if fault := p.ErrorLayer(); fault != nil {
		t.Fatal(fault.Error())
	}
	s := seen{Length: len(raw)}
	var datagram []byte
	var check func() (error, gopacket.ChecksumVerificationResult)
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.Ethernet:
			s.To, s.From = l.DstMAC.String(), l.SrcMAC.String()
		case *layers.Dot1Q:
			s.VLAN = l.VLANIdentifier
		case *layers.IPv4:
			s.Src, s.Dst, s.Hops = l.SrcIP.String(), l.DstIP.String(), l.TTL
			if err, r := l.VerifyChecksum(); err != nil || !r.Valid {
				t.Errorf("the header's checksum: %+v, %v", r, err)
			}
		case *layers.IPv6:
			s.Src, s.Dst, s.Hops = l.SrcIP.String(), l.DstIP.String(), l.HopLimit
		case *layers.UDP:
			s.Port, datagram, check = uint16(l.DstPort), l.Payload, l.VerifyChecksum
			if l.SrcPort == l.DstPort {
				t.Error("an answer would be for everybody")
			}
			if err := l.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if check == nil {
		t.Fatal("no UDP")
	}
	if err, r := check(); err != nil || !r.Valid || r.Actual == 0 {
		t.Errorf("the datagram's checksum: %+v, %v", r, err)
	}
	var dns layers.DNS
	if err := dns.DecodeFromBytes(datagram, gopacket.NilDecodeFeedback); err != nil || len(datagram) != headerLen {
		t.Errorf("%d bytes, as DNS: %v", len(datagram), err)
	}
	if dns.QR || dns.ID != 0 || dns.QDCount+dns.ANCount+dns.NSCount+dns.ARCount != 0 {
		t.Errorf("it says something: %+v", dns)
	}
	return s
}

func TestFrame(t *testing.T) {
	from, to := self.String(), phone.String()
	for name, test := range map[string]struct {
		sender, target string
		vids           []uint16
		want           seen
	}{
		"IPv4":         {"192.168.1.2", "192.168.1.50", nil, seen{to, from, "192.168.1.2", "192.168.1.50", 0, 1, 5353, 60}},
		"IPv6":         {"fe80::1", "fe80::2%eth0", nil, seen{to, from, "fe80::1", "fe80::2", 0, 1, 5353, 74}},
		"IPv6, a VLAN": {"fe80::1", "2001:db8::2", []uint16{10}, seen{to, from, "fe80::1", "2001:db8::2", 10, 1, 5353, 78}},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := Frame(self, netip.MustParseAddr(test.sender), phone, netip.MustParseAddr(test.target), test.vids)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, read(t, raw)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestChecksumIsNeverNone tries addresses until the sum comes out as 0, which
// would say that there is no checksum; IPv6 forbids that.
func TestChecksumIsNeverNone(t *testing.T) {
	target, zero := netip.MustParseAddr("10.0.0.1"), false
	for sender := netip.MustParseAddr("10.0.0.0"); sender != netip.MustParseAddr("10.1.1.0"); sender = sender.Next() {
		b := datagram(sender, target)
		if b[6] == 0 && b[7] == 0 {
			t.Fatalf("no checksum from %s", sender)
		}
		zero = zero || b[6] == 0xff && b[7] == 0xff
	}
	if !zero {
		t.Error("no sum was 0: this test tries nothing")
	}
}

func TestFaults(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")
	for name, err := range map[string]error{
		"two families": second(Frame(self, v4, phone, v6, nil)),
		"no sender":    second(Frame(self, netip.Addr{}, phone, v4, nil)),
		"everybody":    second(Frame(self, v4, presence.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, v4, nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second(_ []byte, err error) error { return err }
