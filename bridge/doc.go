// Package bridge is the loop between the LAN and everyone who wants to know:
// the one goroutine that owns the presence.Engine. Sightings, the passing of
// time and commands go in; probes, events and changed devices come out.
//
//	sources ─► inbox ─► Engine ─► Log (written first) ─► Publisher
//	                        └───► Prober
package bridge
