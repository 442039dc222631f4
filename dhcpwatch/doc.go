// Package dhcpwatch hears DHCPv4 (RFC 2131) on a link and makes sightings of
// it: a client's own messages say that it is there and what it calls itself, a
// server's answers say which address and name it was given.
//
// Every byte comes from strangers. What is decoded is bounded and cleaned;
// what cannot be decoded costs microseconds and a counter.
package dhcpwatch
