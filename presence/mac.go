package presence

import (
	"encoding/hex"
	"fmt"
	"net"
)

// MAC is a 48-bit hardware address. Unlike net.HardwareAddr it is comparable
// and needs no allocation.
type MAC [6]byte

// ParseMAC reads the forms that net.ParseMAC reads, and the bare twelve hex
// digits of a device's topic id. Anything but 48 bits is an error.
func ParseMAC(s string) (MAC, error) {
	if len(s) == 12 {
		if b, err := hex.DecodeString(s); err == nil {
			return MAC(b), nil
		}
	}
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return MAC{}, fmt.Errorf("%q is not a MAC address such as 02:00:5e:10:00:01", s)
	}
	return MAC(hw), nil
}

// MACFrom converts hw. ok is false when it is not 48 bits long.
func MACFrom(hw net.HardwareAddr) (m MAC, ok bool) {
	if len(hw) != len(m) {
		return MAC{}, false
	}
	return MAC(hw), true
}

// String returns the lower-case form with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// ID returns the device id that a device with this first MAC has: lower case,
// no colons. It is safe as a topic level.
func (m MAC) ID() ID { return ID(hex.EncodeToString(m[:])) }

// MarshalText implements encoding.TextMarshaler; the zero MAC is empty.
func (m MAC) MarshalText() ([]byte, error) {
	if m == (MAC{}) {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*m = MAC{}
		return nil
	}
	*m, err = ParseMAC(string(b))
	return err
}

// Private reports whether the locally administered bit is set (IEEE 802c):
// phones make such addresses up per network, so the vendor prefix says nothing.
func (m MAC) Private() bool { return m[0]&0x02 != 0 }

// Station reports whether m can be the address of one station: neither zero
// nor a group address (which includes broadcast).
func (m MAC) Station() bool { return m != MAC{} && m[0]&0x01 == 0 }
