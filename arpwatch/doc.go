// Package arpwatch hears and asks by ARP (RFC 826, RFC 5227).
//
// A Watcher owns one interface. Every ARP frame that another machine sends
// there becomes a sighting. It sends probes, which are ARP requests to one
// device, and sweeps, which are paced requests to all addresses of the
// interface's subnets. It sends on a packet socket, and leaves the kernel's own
// neighbour table alone.
package arpwatch
