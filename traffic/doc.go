// Package traffic counts what passes this machine's interfaces, round by round:
// packets and bytes by protocol, direction and interface, the busiest hosts and
// devices, and which ports were listened on. It sees the first bytes of each
// packet only, and keeps none.
package traffic
