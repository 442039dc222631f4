package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"porchlight/presence"
)

// EtherTypes (IEEE 802 numbers, IANA).
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeARP  = 0x0806
	EtherTypeIPv6 = 0x86dd

	etherTypeVLAN        = 0x8100 // 802.1Q
	etherTypeServiceVLAN = 0x88a8 // 802.1ad
)

const (
	headerLen = 14 // two addresses and an EtherType
	tagLen    = 4
	maxTags   = 2 // 802.1ad: a service tag and a customer tag

	// maxVID is the highest VLAN (IEEE 802.1Q, table 9-2).
	maxVID = 4094

	// minEtherType: smaller values are the length of an IEEE 802.3 frame.
	minEtherType = 0x0600
)

// What can be wrong with a frame. The values are fixed so that a flood of
// nonsense allocates nothing.
var (
	errShort    = errors.New("frame shorter than its header")
	errTags     = errors.New("frame with more than two VLAN tags")
	errReserved = errors.New("frame with the reserved VLAN 4095")
	errLength   = errors.New("IEEE 802.3 frame without an EtherType")
)

// Frame is one Ethernet frame; 802.1Q and 802.1ad tags are removed. One from a
// capture file may be of another link: it has no addresses then.
type Frame struct {
	At        time.Time // when the kernel took it; live frames carry a monotonic reading
	Interface string    // "eth0"; "eth0.10" when tagged with VLAN 10, "eth0.100.10" when tagged twice
	Dst, Src  presence.MAC
	EtherType uint16
	Payload   []byte // with the padding of short frames; valid until the handler returns
}

// Parse cuts an Ethernet frame, destination address first and without frame
// check sequence, as heard on the interface ifname. A tag with VLAN 0 only
// carries a priority (IEEE 802.1Q, 9.6): such a frame counts as untagged.
func Parse(at time.Time, ifname string, raw []byte) (Frame, error) {
	return parse(at, ifname, tag{}, raw)
}

// tag is a VLAN tag that the kernel took out of the frame.
type tag struct {
	tci uint16
	set bool
}

// parse is Parse for a frame whose outermost tag may be missing from raw.
func parse(at time.Time, ifname string, outer tag, raw []byte) (Frame, error) {
	if len(raw) < headerLen {
		return Frame{}, errShort
	}
	f := Frame{At: at, Interface: ifname, Dst: presence.MAC(raw[:6]), Src: presence.MAC(raw[6:12])}

	var vids vlanPath
	tags := 0
	if outer.set {
		tags++
		if err := vids.push(outer.tci); err != nil {
			return Frame{}, err
		}
	}
	f.EtherType = binary.BigEndian.Uint16(raw[12:])
	if err := f.untag(vids, tags, raw[headerLen:]); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// untag removes the tags from what follows the EtherType. So many tags were
// removed already, with these VLANs.
func (f *Frame) untag(vids vlanPath, tags int, rest []byte) error {
	for f.EtherType == etherTypeVLAN || f.EtherType == etherTypeServiceVLAN {
		if tags++; tags > maxTags {
			return errTags
		}
		if len(rest) < tagLen {
			return errShort
		}
		if err := vids.push(binary.BigEndian.Uint16(rest)); err != nil {
			return err
		}
		f.EtherType = binary.BigEndian.Uint16(rest[2:])
		rest = rest[tagLen:]
	}
	if f.EtherType < minEtherType {
		return errLength
	}
	f.Payload = rest
	if vids != (vlanPath{}) {
		f.Interface = vlanNames.name(f.Interface, vids)
	}
	return nil
}

// VLANs returns the VLANs in name, which is ifname itself or ifname with up to
// two VLANs, as in Frame.Interface: "eth0", "eth0.10", "eth0.100.10".
func VLANs(ifname, name string) ([]uint16, error) {
	if name == ifname {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(name, ifname+".")
	if !ok {
		return nil, fmt.Errorf("%q is not on interface %q", name, ifname)
	}
	var vids []uint16
	for part := range strings.SplitSeq(rest, ".") {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || n == 0 || n > maxVID || len(vids) == maxTags {
			return nil, fmt.Errorf("%q does not name a VLAN on interface %q", name, ifname)
		}
		vids = append(vids, uint16(n))
	}
	return vids, nil
}

// vlanPath is the VLANs that a frame was tagged with, outermost first; 0 is none.
type vlanPath [maxTags]uint16

// push appends the VLAN of a tag's control information.
func (p *vlanPath) push(tci uint16) error {
	vid := tci & 0x0fff
	switch {
	case vid == 0x0fff:
		return errReserved
	case p[0] == 0:
		p[0] = vid
	default:
		p[1] = vid
	}
	return nil
}

// vlanNames keeps the names of tagged interfaces, so that a tagged frame
// costs no allocation.
var vlanNames = nameTable{names: map[vlanKey]string{}}

// maxVLANNames bounds the table: with double tags a stranger could make 16
// million names.
const maxVLANNames = 8192

type vlanKey struct {
	ifname string
	vids   vlanPath
}

type nameTable struct {
	mu    sync.RWMutex
	names map[vlanKey]string
}

func (t *nameTable) name(ifname string, vids vlanPath) string {
	k := vlanKey{ifname, vids}
	t.mu.RLock()
	s, ok := t.names[k]
	t.mu.RUnlock()
	if ok {
		return s
	}
	s = ifname + "." + strconv.Itoa(int(vids[0]))
	if vids[1] != 0 {
		s += "." + strconv.Itoa(int(vids[1]))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.names) >= maxVLANNames {
		clear(t.names)
	}
	t.names[k] = s
	return s
}
