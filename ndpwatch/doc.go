// Package ndpwatch hears and asks by IPv6.
//
// A Watcher owns one interface. What other machines send there to find each
// other becomes sightings: neighbour discovery (RFC 4861, RFC 4862), reports of
// multicast listeners (RFC 3810) and the messages of DHCPv6 clients (RFC 8415).
// It sends probes, which are neighbour solicitations to one device. Nothing is
// swept: a subnet has 2^64 addresses.
//
// The device is always the Ethernet source of the frame. An address counts as
// its own unless the frame says that it belongs to another MAC, as the answers
// of a proxy do.
//
// Every byte comes from strangers. What is decoded is bounded and cleaned, in
// time that grows with the length of the frame and no faster; nothing of it is
// kept.
package ndpwatch
