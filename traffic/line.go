package traffic

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Line is a round as programs get it. Bytes are on the wire, with the link's
// header.
type Line struct {
	Start   time.Time    `json:"start"`
	Length  float64      `json:"length_s"`
	Counted float64      `json:"counted_s"` // less than length_s: it was off or paused for a part
	Dropped uint64       `json:"dropped"`   // packets that there was no time to count
	Counts  []CountLine  `json:"counts"`    // by interface, protocol and direction
	Hosts   []TalkerLine `json:"hosts"`     // the busiest, most bytes first
	Devices []TalkerLine `json:"devices"`   // the busiest devices of the LAN
	Ports   []PortLine   `json:"ports"`     // that were listened on
}

// CountLine is what passed of one kind.
type CountLine struct {
	Interface string `json:"interface"`
	Protocol  string `json:"protocol"`
	Direction string `json:"direction"` // in or out
	Packets   uint64 `json:"packets"`
	Bytes     uint64 `json:"bytes"`
}

// TalkerLine is a host or a device.
type TalkerLine struct {
	Host       netip.Addr `json:"host,omitzero"`
	Device     string     `json:"device,omitempty"`
	InPackets  uint64     `json:"in_packets"`
	InBytes    uint64     `json:"in_bytes"`
	OutPackets uint64     `json:"out_packets"`
	OutBytes   uint64     `json:"out_bytes"`
}

// PortLine is a port that was listened on.
type PortLine struct {
	Protocol string  `json:"protocol"` // tcp or udp
	Port     uint16  `json:"port"`
	Program  string  `json:"program,omitempty"`
	Held     float64 `json:"held_s"`
}

// NewLine returns r for programs.
func NewLine(r *Round) Line {
	l := Line{
		Start: r.Start, Length: r.Length.Seconds(), Counted: r.Counted.Seconds(), Dropped: r.Dropped,
		Counts: []CountLine{}, Hosts: talkerLines(r.Hosts), Devices: talkerLines(r.Devices), Ports: []PortLine{},
	}
	for _, k := range slices.SortedFunc(maps.Keys(r.Counts), compareKeys) {
		c := r.Counts[k]
		l.Counts = append(l.Counts, CountLine{k.Interface, k.Protocol.String(), k.Direction.String(), c.Packets, c.Bytes})
	}
	for _, p := range r.Ports {
		l.Ports = append(l.Ports, PortLine{p.Protocol, p.Port, p.Program, p.Held.Seconds()})
	}
	return l
}

func compareKeys(x, y Key) int {
	return cmp.Or(cmp.Compare(x.Interface, y.Interface), cmp.Compare(x.Protocol, y.Protocol), cmp.Compare(x.Direction, y.Direction))
}

func talkerLines(list []Talker) []TalkerLine {
	lines := make([]TalkerLine, len(list))
	for i, t := range list {
		lines[i] = TalkerLine{t.Addr, t.Device, t.In.Packets, t.In.Bytes, t.Out.Packets, t.Out.Bytes}
	}
	return lines
}
