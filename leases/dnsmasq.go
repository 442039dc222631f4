package leases

import (
	"slices"
	"strconv"
	"strings"

	"porchlight/presence"
)

// dnsmasq reads dnsmasq's lease file, as lease.c writes it. A line is, for IPv4
// and for IPv6,
//
//	1795190400 00:16:3e:00:00:01 192.168.1.50 kettle 01:00:16:3e:00:00:01
//	1795190400 3145728 fd00::1234 kettle 00:01:00:01:2c:5f:aa:bb:00:16:3e:00:00:01
//
// the end of the lease (0: never), the hardware address or the IAID, the
// address, the name or *, the client id or DUID or *. Between the two parts is
// the server's own DUID, at the end what it has noted of relays and vendors.
type dnsmasq struct{ book }

func newDnsmasq() *dnsmasq { return &dnsmasq{newBook()} }

var dnsmasqNotes = []string{"duid", "agent-info", "agent-id", "vendorclass"}

func isDnsmasq(line string) bool {
	f := strings.Fields(line)
	if len(f) == 2 && f[0] == "duid" {
		return strings.Contains(f[1], ":")
	}
	if len(f) < 4 || len(f) > 5 {
		return false
	}
	_, err := strconv.ParseUint(f[0], 10, 64)
	_, ok := hostAddr(f[2])
	return err == nil && ok
}

func (d *dnsmasq) line(text string) bool {
	f := strings.Fields(text)
	if len(f) > 0 && slices.Contains(dnsmasqNotes, f[0]) {
		return true
	}
	if !isDnsmasq(text) {
		return false
	}
	t := presence.Told{Name: hostName(f[3])}
	t.Addr, _ = hostAddr(f[2])
	if t.Addr.Is6() {
		if len(f) == 5 {
			t.MAC = duidMAC(f[4])
		}
		return d.put(t)
	}
	var ok bool
	// Before the address may be its type, if that is not Ethernet.
	if t.MAC, ok = stationMAC(f[1]); !ok {
		return strings.Contains(f[1], "-")
	}
	return d.put(t)
}
