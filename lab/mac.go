package lab

import (
	"hash/fnv"
	"net"
)

// MAC is a hardware address. presence.MAC values can be given for it and
// compared with it without a conversion.
type MAC = [6]byte

// Broadcast is the address of everyone.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func hw(m MAC) net.HardwareAddr { return net.HardwareAddr(m[:]) }

// vendors are real prefixes, so that a vendor's name can be shown: Raspberry
// Pi, Espressif, Apple, Philips Lighting, Sonos.
var vendors = [][3]byte{
	{0xb8, 0x27, 0xeb}, {0x24, 0x0a, 0xc4}, {0x3c, 0x22, 0xfb}, {0x00, 0x17, 0x88}, {0x5c, 0xaa, 0xfd},
}

// privateMAC makes an address with the locally administered bit set, always
// the same for the same name.
func privateMAC(name string) MAC {
	h := hash(name)
	return MAC{byte(h>>40)&^0x01 | 0x02, byte(h >> 32), byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}
}

// vendorMAC makes an address with a vendor's prefix, always the same for the
// same name.
func vendorMAC(name string) MAC {
	h := hash(name)
	v := vendors[h>>32%uint64(len(vendors))]
	return MAC{v[0], v[1], v[2], byte(h >> 16), byte(h >> 8), byte(h)}
}

func hash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}
