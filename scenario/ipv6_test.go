package scenario

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"porchlight/discovery"
	"porchlight/lab"
	"porchlight/presence"
)

// How a device that has IPv6 only shows: to Home Assistant, and in the tables.
// Further addresses are no events.
func TestIPv6Shows(t *testing.T) {
	t.Parallel()
	h := houseOn(t, lab.Options{Prefix: lan, IPv6: true})
	h.withBroker("")
	own, temporary := netip.MustParseAddr("fe80::1:1"), netip.MustParseAddr("2001:db8::aaaa")
	pop := h.lab.Population(0, lab.Behaviour{})
	sensor, err := pop.Add(lab.Identity{Addr: own, HostName: "sensor"}, lab.Behaviour{})
	h.lab.Must(err)
	h.begin()

	for _, say := range []func() (time.Time, error){sensor.Report, sensor.Probe, sensor.SolicitRouter} {
		_, err := say()
		h.lab.Must(err)
	}
	h.sub.awaitEvent(presence.Arrived, presence.MAC(sensor.MAC))
	_, err = sensor.Say(solicit(t, sensor.MAC, own, "sensor.home.example"))
	h.lab.Must(err)
	_, err = sensor.Say(lab.NeighbourSolicitation(sensor.MAC, temporary, own.Next()))
	h.lab.Must(err)
	same := cmpopts.EquateComparable(netip.Addr{})
	h.shows(sensor, "its name and addresses", func(a discovery.Attributes) bool {
		return a.HostName == "sensor" && a.IP == "" && cmp.Equal(a.IPv6, []netip.Addr{temporary, own}, same)
	})
	if e, ok := h.sub.next(realTimeout); ok {
		t.Errorf("told of %+v", e)
	}
	if sensor.Requests() < probesPerTimeout/2 {
		t.Errorf("asked %d times in %s", sensor.Requests(), realTimeout)
	}

	type line struct {
		MAC      presence.MAC
		IP       string
		IPv6     []netip.Addr
		HostName string `json:"host_name"`
	}
	var got line
	for _, l := range jsonLines[line](t, h.must("devices", "--json")) {
		if l.MAC == presence.MAC(sensor.MAC) {
			got = l
		}
	}
	want := line{MAC: presence.MAC(sensor.MAC), IPv6: []netip.Addr{temporary, own}, HostName: "sensor"}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("devices --json (-want +got):\n%s", diff)
	}
	shown := false
	table := h.must("devices")
	for line := range strings.Lines(table) {
		shown = shown || containsAll(line, []string{" sensor ", " " + own.String() + " "})
	}
	if !shown {
		t.Errorf("devices:\n%s", table)
	}

	sensor.Sleep()
	left := h.sub.awaitEvent(presence.Left, presence.MAC(sensor.MAC))
	if left.Addr != own || left.Name != "sensor" || !strings.HasPrefix(left.Why, "no answer to ") {
		t.Errorf("%+v", left)
	}
}

// solicit is the DHCPv6 SOLICIT of a client with that name.
func solicit(t *testing.T, mac lab.MAC, from netip.Addr, name string) []byte {
	t.Helper()
	m, err := dhcpv6.NewSolicit(mac[:], dhcpv6.WithFQDN(0, name))
	if err != nil {
		t.Fatal(err)
	}
	ip := &layers.IPv6{
		Version: 6, HopLimit: 1, NextHeader: layers.IPProtocolUDP,
		SrcIP: from.AsSlice(), DstIP: net.ParseIP("ff02::1:2"),
	}
	udp := &layers.UDP{SrcPort: 546, DstPort: 547}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	err = gopacket.SerializeLayers(
		buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: mac[:], DstMAC: net.HardwareAddr{0x33, 0x33, 0, 1, 0, 2}, EthernetType: layers.EthernetTypeIPv6},
		ip, udp, gopacket.Payload(m.ToBytes()),
	)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
