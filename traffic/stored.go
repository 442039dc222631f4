package traffic

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"time"

	"porchlight/compact"
)

// The stored form of a round, without its start and length, is compressed
// (RFC 1951). Unpacked it is
//
//	form       byte, 1
//	counted    in milliseconds, dropped
//	interfaces how many, their names
//	counts     how many; of each the number of its interface, protocol, direction, packets, bytes
//	hosts      how many; of each address, device, in, out
//	devices    the same
//	ports      how many; of each protocol, port, program, for how long it was held
//
// Numbers are varints.
const form = 1

// maxMillis bounds times that are read, to what a time.Duration can hold.
const maxMillis = 1 << 42

func (r *Round) encode() ([]byte, error) {
	b := appendUints([]byte{form}, millis(r.Counted), r.Dropped)
	b = appendCounts(b, r.Counts)
	b = appendTalkers(appendTalkers(b, r.Hosts), r.Devices)
	b = appendUints(b, uint64(len(r.Ports)))
	for _, p := range r.Ports {
		b = appendUints(compact.AppendTexts(b, p.Protocol), uint64(p.Port))
		b = appendUints(compact.AppendTexts(b, p.Program), millis(p.Held))
	}
	return compact.Deflate(b)
}

func millis(d time.Duration) uint64 { return uint64(max(d, 0).Milliseconds()) }

func appendUints(b []byte, all ...uint64) []byte {
	for _, n := range all {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func appendCounts(b []byte, counts map[Key]Count) []byte {
	keys := slices.SortedFunc(maps.Keys(counts), compareKeys)
	var names []string
	for _, k := range keys {
		if len(names) == 0 || names[len(names)-1] != k.Interface {
			names = append(names, k.Interface)
		}
	}
	b = compact.AppendTexts(appendUints(b, uint64(len(names))), names...)
	b = appendUints(b, uint64(len(keys)))
	for _, k := range keys {
		name, _ := slices.BinarySearch(names, k.Interface)
		b = appendUints(b, uint64(name), uint64(k.Protocol), uint64(k.Direction), counts[k].Packets, counts[k].Bytes)
	}
	return b
}

func appendTalkers(b []byte, list []Talker) []byte {
	b = appendUints(b, uint64(len(list)))
	for _, t := range list {
		addr, _ := t.Addr.MarshalBinary() // never fails
		b = compact.AppendTexts(b, string(addr), t.Device)
		b = appendUints(b, t.In.Packets, t.In.Bytes, t.Out.Packets, t.Out.Bytes)
	}
	return b
}

// decode reads what encode made into r. The error is compact.ErrDamaged.
func (r *Round) decode(stored []byte) error {
	b, err := compact.Inflate(stored)
	if err != nil {
		return err
	}
	if len(b) == 0 || b[0] != form {
		return compact.ErrDamaged
	}
	s := storedReader{compact.Reader{B: b[1:]}}
	r.Counted, r.Dropped = s.duration(), s.Uint()
	r.Counts = s.counts()
	r.Hosts, r.Devices = s.talkers(), s.talkers()
	ports := s.Count()
	r.Ports = make([]Port, 0, min(ports, maxPorts))
	for range ports {
		r.Ports = append(r.Ports, Port{s.Text(), s.port(), s.Text(), s.duration()})
	}
	if !s.Done() {
		return compact.ErrDamaged
	}
	return nil
}

type storedReader struct{ compact.Reader }

// below takes a number that must be less than n.
func (s *storedReader) below(n uint64) uint64 {
	v := s.Uint()
	if v >= n {
		s.Fail()
		return 0
	}
	return v
}

func (s *storedReader) duration() time.Duration {
	return time.Duration(s.below(maxMillis)) * time.Millisecond
}

func (s *storedReader) port() uint16 { return uint16(s.below(1 << 16)) }

func (s *storedReader) count() Count { return Count{s.Uint(), s.Uint()} }

func (s *storedReader) counts() map[Key]Count {
	var names []string
	for range s.Count() {
		names = append(names, s.Text())
	}
	n := s.Count()
	counts := make(map[Key]Count, n)
	for range n {
		name := s.below(uint64(len(names)))
		k := Key{Protocol: Protocol(s.below(uint64(protocols))), Direction: Direction(s.below(uint64(directions)))}
		c := s.count()
		if s.Failed() {
			return nil
		}
		k.Interface = names[name]
		counts[k] = c
	}
	return counts
}

func (s *storedReader) talkers() (list []Talker) {
	n := s.Count()
	list = make([]Talker, 0, min(n, mergedTalkers))
	for range n {
		var addr netip.Addr
		if err := addr.UnmarshalBinary([]byte(s.Text())); err != nil {
			s.Fail()
			return nil
		}
		list = append(list, Talker{addr, s.Text(), s.count(), s.count()})
	}
	return list
}
