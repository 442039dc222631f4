// Package leases reads who has which name and address from files that others
// keep: the lease files of DHCP servers (dnsmasq and with it Pi-hole, Kea, ISC
// and OpenBSD dhcpd) and hosts files. It watches them for change.
//
// A lease says nothing about presence: it lasts for hours after its device has
// left. What is read here gives devices that were heard a name, and those that
// were heard without an address one to be asked at.
//
// The files are the machine's own, but the names in them were chosen by
// strangers: everything is bounded and cleaned, and a line that makes no sense
// costs that line only.
package leases
