package presence

import (
	"net/netip"
	"time"
)

// Kind says what was heard. The kind alone decides what it proves.
type Kind uint8

// The kinds of sightings, by protocol.
const (
	// ARP (RFC 826, RFC 5227). The device is the sender.
	ARPProbe        Kind = iota + 1 // request with sender address 0.0.0.0
	ARPAnnouncement                 // request or reply with sender address = target address
	ARPRequest
	ARPReply

	// DHCPv4 from a client (RFC 2131). The device is chaddr.
	DHCPDiscover
	DHCPRequest
	DHCPInform
	DHCPDecline
	DHCPRelease

	// DHCPv4 from a server: says what address and name a device was given,
	// never that the device is there.
	DHCPOffer
	DHCPAck

	// IPv6 neighbour discovery (RFC 4861, RFC 4862). The device is the sender.
	NDPDad // neighbour solicitation from ::
	NDPRouterSolicitation
	NDPSolicitation
	NDPAdvertisement
	NDPRouterAdvertisement

	// A report of what groups it listens to (RFC 2710, RFC 3810).
	MLDReport

	// DHCPv6 from a client (RFC 8415). The device is the sender.
	DHCPv6Solicit
	DHCPv6Request
	DHCPv6Confirm
	DHCPv6Renew
	DHCPv6Rebind
	DHCPv6Information
	DHCPv6Decline
	DHCPv6Release

	// What an access point says of a station (IEEE 802.11-2020, 4.5.3), once it
	// has let it in for good.
	WiFiAssociation
	WiFiListed // it is associated, since the access point knows when
	WiFiDisassociation

	// Answers from where a device is reached (Reach), and not heard.
	PingReply
	TCPReply // a connection was accepted, or refused by the device itself
)

// Evidence is what a sighting proves about the device that it is of.
type Evidence uint8

const (
	// None proves nothing: it comes from a third party.
	None Evidence = iota
	// Hint proves nothing either, but is a reason to ask now.
	Hint
	// Alive proves that the device is there; it may have been there, silent, before.
	Alive
	// Join proves that the device is there and has just joined the link.
	Join
)

var kinds = [...]struct {
	name     string
	evidence Evidence
}{
	ARPProbe:               {"ARP probe", Join},
	ARPAnnouncement:        {"ARP announcement", Alive},
	ARPRequest:             {"ARP request", Alive},
	ARPReply:               {"ARP reply", Alive},
	DHCPDiscover:           {"DHCP DISCOVER", Join},
	DHCPRequest:            {"DHCP REQUEST", Join},
	DHCPInform:             {"DHCP INFORM", Alive},
	DHCPDecline:            {"DHCP DECLINE", Hint},
	DHCPRelease:            {"DHCP RELEASE", Hint},
	DHCPOffer:              {"DHCP OFFER", None},
	DHCPAck:                {"DHCP ACK", None},
	NDPDad:                 {"IPv6 duplicate address detection", Join},
	NDPRouterSolicitation:  {"IPv6 router solicitation", Join},
	NDPSolicitation:        {"IPv6 neighbour solicitation", Alive},
	NDPAdvertisement:       {"IPv6 neighbour advertisement", Alive},
	NDPRouterAdvertisement: {"IPv6 router advertisement", Alive},
	MLDReport:              {"IPv6 multicast listener report", Alive},
	DHCPv6Solicit:          {"DHCPv6 SOLICIT", Join},
	DHCPv6Request:          {"DHCPv6 REQUEST", Join},
	DHCPv6Confirm:          {"DHCPv6 CONFIRM", Join},
	DHCPv6Renew:            {"DHCPv6 RENEW", Alive},
	DHCPv6Rebind:           {"DHCPv6 REBIND", Alive},
	DHCPv6Information:      {"DHCPv6 INFORMATION-REQUEST", Join},
	DHCPv6Decline:          {"DHCPv6 DECLINE", Hint},
	DHCPv6Release:          {"DHCPv6 RELEASE", Hint},
	WiFiAssociation:        {"Wi-Fi association", Join},
	WiFiListed:             {"Wi-Fi association", Alive},
	WiFiDisassociation:     {"Wi-Fi disassociation", Hint},
	PingReply:              {"answer to a ping", Alive},
	TCPReply:               {"answer to a TCP connection", Alive},
}

// String returns the kind in the words that a person reads in an event.
func (k Kind) String() string {
	if int(k) < len(kinds) && kinds[k].name != "" {
		return kinds[k].name
	}
	return "unknown frame"
}

// Sighting is one thing heard on the LAN. Whoever makes one has checked that
// MAC is a station's address, and has cleaned the strings (CleanText).
type Sighting struct {
	At        time.Time  // when the kernel (or the capture) took the frame
	Interface string     // where it was heard
	MAC       MAC        // the device that it is of
	Addr      netip.Addr // the address that the device uses, asks for, or was given; may be invalid
	Kind      Kind
	Unicast   bool       // the frame was addressed to one station, so others may never hear its like
	Via       MAC        // the Ethernet source, where that is another than MAC; zero: MAC sent the frame itself
	Peer      netip.Addr // another address that the frame names: who an ARP request asks for, the server of a DHCP message, the default router of an advertisement; may be invalid
	DHCP      *DHCP      // what the DHCP or DHCPv6 message said; nil for other kinds
	AP        string     // of the Wi-Fi kinds: which access point says it
	Relayed   bool       // a DHCP relay handed it on: the device need not be on the segment of Interface
}

// Evidence returns what s proves. A DHCP REQUEST by unicast is a renewal
// (RFC 2131, section 4.4.5): it proves that the device is there, not that it
// joined. So does IPv6 duplicate address detection, unless it is for the
// link-local address: temporary ones are made anew each day (RFC 8981). A
// listener that has no address yet has just joined (RFC 3590).
func (s Sighting) Evidence() Evidence {
	switch {
	case s.Kind == MLDReport && !s.Addr.IsValid():
		return Join
	case s.Kind == DHCPRequest && s.Unicast, s.Kind == NDPDad && !s.Addr.IsLinkLocalUnicast():
		return Alive
	case int(s.Kind) < len(kinds):
		return kinds[s.Kind].evidence
	}
	return None
}

// again reports whether a device says k when it joins, and then again now and
// then: every hour where no router or server answers (RFC 7559; RFC 8415,
// section 18.2.1), to refresh what it was told (RFC 8415, section 21.23), or,
// as a switch does, for others (RFC 4541, section 2.1.1).
func (k Kind) again() bool {
	return k == NDPRouterSolicitation || k == DHCPv6Solicit || k == DHCPv6Information || k == MLDReport
}

func (k Kind) wifi() bool { return k >= WiFiAssociation && k <= WiFiDisassociation }

func (k Kind) dhcpv6() bool { return k >= DHCPv6Solicit && k <= DHCPv6Release }

// reached reports whether k comes from where a device is reached.
func (k Kind) reached() bool { return k == PingReply || k == TCPReply }

// answers reports whether s answers a question, so that a network card, an access
// point or a sleep proxy may have sent it for a device that sleeps or is away.
func (s Sighting) answers() bool {
	return s.Kind == ARPReply || s.Kind == NDPAdvertisement && s.Unicast
}

// DHCP is what a DHCP message told about its client; every field is cleaned,
// bounded, and empty where the message did not have it.
type DHCP struct {
	HostName    string // option 12, else option 81; of DHCPv6 option 39
	VendorClass string // option 60; of DHCPv6 option 16
	ClientID    string // option 61, hex; of DHCPv6 the DUID
	Fingerprint string // option 55, decimal codes joined by commas; of DHCPv6 option 6
}

// Sensing says whether an interface can hear. Away timers stand still while it
// cannot.
type Sensing struct {
	At        time.Time
	Interface string
	Blind     bool
	Why       string // in words: "no carrier on eth0"
}

// Probe is a question to one device, to be sent now: an ARP request for Addr,
// or a neighbour solicitation if that is an IPv6 address. With a Reach it is that
// instead; Addr is Reach.Addr then, and Interface is Routed.
type Probe struct {
	Interface string
	MAC       MAC
	Addr      netip.Addr
	Broadcast bool // to everyone who may have Addr instead of to MAC alone
	Nudge     bool // wake it first, with a datagram to MAC at Addr
	Reach     Reach
}
