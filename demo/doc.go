// Package demo shows Porchlight at work to somebody who has only a terminal: it
// raises a virtual LAN in network namespaces, lets a household live in it at an
// accelerated pace, runs Porchlight there as a child, and shows beside each
// other what Porchlight says and what is true.
//
//	story ──beat──► stage (lab: real DHCP, real frames) ~~► Porchlight (child)
//	  │                                                          │ MQTT
//	  └────truth────► view ◄──────────what it says───────────────┘
//	                   └──► screen, or lines in a log
//
// The story, the past that Porchlight is given, and the view are pure; the
// stage and the child are the real thing.
package demo
