package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Identity is who a device of a population is.
type Identity struct {
	MAC         MAC        // zero: a private one is made up from the host name and the address
	Addr        netip.Addr // IPv4, or the link-local address of one that has IPv6 only
	HostName    string     // DHCP option 12
	VendorClass string     // DHCP option 60
	Params      []byte     // DHCP option 55
}

// Behaviour is how a device of a population answers; the zero value answers
// everything at once.
type Behaviour struct {
	Drop float64 // probability that it does not hear a request, 0 to 1
	// The answer comes after a time evenly distributed between these.
	DelayMin, DelayMax time.Duration
	// Asleep devices neither hear nor answer, like absent ones; they still
	// say what they are told to. Sleep and Wake change it.
	Asleep bool
}

// Device is one device of a population. By itself it only answers who asks for
// its address. Its methods are safe for concurrent use.
type Device struct {
	Identity
	pop *Population

	// Owned by pop.mu.
	behaviour Behaviour
	asleep    bool
	requests  int
}

// Add adds a device. Its address must be free in the population.
func (p *Population) Add(id Identity, b Behaviour) (*Device, error) {
	switch {
	case id.Addr.Is6():
		if err := p.listenIPv6(); err != nil {
			return nil, err
		}
	case !id.Addr.Is4():
		return nil, errors.New("a device of a population needs an address")
	}
	if id.MAC == (MAC{}) {
		id.MAC = privateMAC(id.HostName + id.Addr.String())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byAddr[id.Addr] != nil {
		return nil, fmt.Errorf("adding a device with address %v: another has it", id.Addr)
	}
	d := &Device{Identity: id, pop: p, behaviour: b, asleep: b.Asleep}
	p.byAddr[id.Addr] = d
	p.devices = append(p.devices, d)
	return d, nil
}

// AddMany adds n devices with consecutive addresses from first on, which may be
// an IPv6 address (see Identity). Their names are device-1, device-2, …; every second one has a private MAC.
func (p *Population) AddMany(n int, first netip.Addr, b Behaviour) ([]*Device, error) {
	devices := make([]*Device, n)
	a := first
	for i := range devices {
		id := Identity{Addr: a, HostName: fmt.Sprintf("device-%d", i+1)}
		if i%2 == 0 {
			id.MAC = vendorMAC(id.HostName)
			// 24 hashed bits are too few for thousands; the address is unique.
			b := a.AsSlice()
			copy(id.MAC[3:], b[len(b)-3:])
		}
		var err error
		if devices[i], err = p.Add(id, b); err != nil {
			return nil, err
		}
		a = a.Next()
	}
	return devices, nil
}

// Sleep makes the device silent: asleep or gone, which looks the same.
func (d *Device) Sleep() { d.setAsleep(true) }

// Wake ends Sleep. It says nothing by itself.
func (d *Device) Wake() { d.setAsleep(false) }

func (d *Device) setAsleep(asleep bool) {
	d.pop.mu.Lock()
	defer d.pop.mu.Unlock()
	d.asleep = asleep
}

// SetBehaviour replaces the behaviour, Asleep included.
func (d *Device) SetBehaviour(b Behaviour) {
	d.pop.mu.Lock()
	defer d.pop.mu.Unlock()
	d.behaviour, d.asleep = b, b.Asleep
}

// hears reports whether the device hears a question sent to dst.
func (d *Device) hears(dst MAC) bool {
	return dst == d.MAC || dst == Broadcast || d.Addr.Is6() && dst == groupMAC(d.Addr)
}

// reply is the device's answer to q.
func (d *Device) reply(q question) []byte {
	if d.Addr.Is6() && q.sender.IsUnspecified() {
		return NeighbourAdvertisement(d.MAC, d.Addr) // to one who wants the address
	}
	if d.Addr.Is6() {
		return neighbour(q.src, d.MAC, d.Addr, q.sender, icmpAdvertise, advertiseAnswers|advertiseOverride, d.Addr, optionTargetMAC)
	}
	return ARP{
		Dst: q.src, Src: d.MAC, Reply: true,
		SenderMAC: d.MAC, SenderAddr: d.Addr,
		TargetMAC: q.senderMAC, TargetAddr: q.sender,
	}.Frame()
}

// Requests returns how many questions for the device were on the wire,
// those that it slept through or lost included.
func (d *Device) Requests() int {
	d.pop.mu.Lock()
	defer d.pop.mu.Unlock()
	return d.requests
}

// Announce sends an ARP announcement (RFC 5227, section 2.3), or a neighbour
// advertisement that nobody asked for. Like all of the device's messages it
// returns the time just before the send.
func (d *Device) Announce() (sent time.Time, err error) {
	if d.Addr.Is6() {
		return d.pop.Say(NeighbourAdvertisement(d.MAC, d.Addr))
	}
	return d.pop.Say(Announcement(d.MAC, d.Addr).Frame())
}

// Probe sends an ARP probe, sender 0.0.0.0 (RFC 5227, section 2.1.1), or asks
// whether anybody has its IPv6 address.
func (d *Device) Probe() (sent time.Time, err error) {
	if d.Addr.Is6() {
		return d.pop.Say(DuplicateAddress(d.MAC, d.Addr))
	}
	return d.pop.Say(AddressProbe(d.MAC, d.Addr).Frame())
}

// Ask asks for another's address.
func (d *Device) Ask(target netip.Addr) (sent time.Time, err error) {
	if d.Addr.Is6() {
		return d.pop.Say(NeighbourSolicitation(d.MAC, d.Addr, target))
	}
	return d.pop.Say(Request(d.MAC, d.Addr, target).Frame())
}

// SolicitRouter asks for IPv6 routers.
func (d *Device) SolicitRouter() (sent time.Time, err error) {
	return d.pop.Say(RouterSolicitation(d.MAC, d.Addr))
}

// Report says which multicast group it listens to: the first word of one that
// has IPv6 and joins.
func (d *Device) Report() (sent time.Time, err error) {
	return d.pop.Say(ListenerReport(d.MAC, d.Addr))
}

// Discover broadcasts a DHCP DISCOVER. The server's answer is not heard.
func (d *Device) Discover() (sent time.Time, err error) {
	return d.dhcp(DHCP{Type: dhcpv4.MessageTypeDiscover})
}

// Request broadcasts a DHCP REQUEST for its address, without a DISCOVER before
// it, as a returning phone does (INIT-REBOOT, RFC 2131, section 4.3.2).
func (d *Device) Request() (sent time.Time, err error) {
	return d.dhcp(DHCP{Type: dhcpv4.MessageTypeRequest, Requested: d.Addr})
}

func (d *Device) dhcp(m DHCP) (sent time.Time, err error) {
	m.MAC, m.HostName, m.VendorClass, m.Params = d.MAC, d.HostName, d.VendorClass, d.Params
	frame, err := m.Frame()
	if err != nil {
		return time.Time{}, err
	}
	return d.pop.Say(frame)
}

// Say sends any frame.
func (d *Device) Say(frame []byte) (sent time.Time, err error) { return d.pop.Say(frame) }
