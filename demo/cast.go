package demo

import "porchlight/presence"

// body is how a thing is on the LAN.
type body uint8

const (
	client body = iota // a real host with a real DHCP client
	static             // a real host with a fixed address
	played             // answers ARP from the population
	router             // the lab's gateway
)

// habit is how a thing has behaved in the week before the demo.
type habit uint8

const (
	stays    habit = iota // always there, always answers
	goes                  // leaves the house daily
	sleeps                // the same, and is silent for some time dozens of times a day
	drops                 // the same, but drops the link in its sleep and rejoins by DHCP
	stranger              // was never here
)

// thing is one device of the household.
type thing struct {
	key   string // in the story
	name  string // its owner has given it in Porchlight; empty for a stranger
	host  string // what it calls itself in DHCP
	mac   presence.MAC
	body  body
	habit habit
	wired bool   // not through the access point
	away  bool   // when the demo begins
	gone  string // the word for its absence, if not "out"
}

// household returns everything that is on the LAN. gateway is the MAC of the
// lab's. Phones have private MACs, the rest have those of real vendors.
func household(gateway presence.MAC) []thing {
	return []thing{
		{key: "ann", name: "Ann's phone", host: "Anns-iPhone", mac: presence.MAC{0x92, 0x41, 0x0c, 0x5e, 0x21, 0x7a}, habit: goes, away: true},
		{key: "ben", name: "Ben's phone", host: "Pixel-9-Ben", mac: presence.MAC{0xde, 0x30, 0x77, 0x18, 0xa4, 0x02}, habit: goes, away: true},
		{key: "cleo", name: "Cleo's phone", host: "Galaxy-Cleo", mac: presence.MAC{0x6a, 0xf2, 0x91, 0x03, 0xbb, 0x5d}, body: played, habit: sleeps},
		{key: "dan", name: "Dan's old phone", host: "Moto-Dan", mac: presence.MAC{0x5e, 0x08, 0xd3, 0x62, 0x19, 0xc8}, habit: drops},
		{key: "guest", host: "Ginas-Phone", mac: presence.MAC{0xb6, 0x7d, 0x24, 0xe9, 0x50, 0x13}, habit: stranger, away: true},
		{key: "laptop", name: "Laptop", host: "Anns-MacBook", mac: presence.MAC{0x00, 0x03, 0x93, 0x4a, 0x90, 0x3e}, habit: goes, gone: "shut"},
		{key: "tv", name: "Television", host: "BRAVIA", mac: presence.MAC{0x00, 0x0e, 0x07, 0x2c, 0x71, 0xb5}, wired: true},
		{key: "plug", name: "Coffee plug", host: "plug-coffee", mac: presence.MAC{0x00, 0x4b, 0x12, 0x8f, 0x33, 0xd6}, body: played},
		{key: "camera", name: "Door camera", host: "door-camera", mac: presence.MAC{0xec, 0x71, 0xdb, 0x5a, 0x06, 0x44}, body: played},
		{key: "speaker", name: "Kitchen speaker", host: "SonosZP", mac: presence.MAC{0x00, 0x0e, 0x58, 0xd1, 0x2e, 0x99}, body: played},
		{key: "lamps", name: "Lamp bridge", host: "hue-bridge", mac: presence.MAC{0xec, 0xb5, 0xfa, 0x17, 0xc0, 0x68}, body: played},
		{key: "printer", name: "Printer", mac: presence.MAC{0x00, 0x80, 0x77, 0x65, 0x1d, 0xf0}, body: static, wired: true},
		{key: "router", name: "Router", mac: gateway, body: router, wired: true},
	}
}
