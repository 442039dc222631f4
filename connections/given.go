package connections

import (
	"bytes"
	"strconv"
)

// Ports that Linux gives to who asks for any, when nobody changed the range.
const (
	firstGiven = 32768
	lastGiven  = 60999
)

// parseRange reads net.ipv4.ip_local_port_range (ip(7)).
func parseRange(b []byte) (first, last uint16) {
	fields := bytes.Fields(b)
	if len(fields) != 2 {
		return firstGiven, lastGiven
	}
	low, err1 := strconv.ParseUint(string(fields[0]), 10, 16)
	high, err2 := strconv.ParseUint(string(fields[1]), 10, 16)
	if err1 != nil || err2 != nil || low > high {
		return firstGiven, lastGiven
	}
	return uint16(low), uint16(high)
}

// mostPaired is how many ports in the range an owner may have for two of one
// number to say something: of many, some have the same by chance.
const mostPaired = 16

// markGiven finds out whose port was given. A port in that range was chosen all
// the same when its owner has it more than once, for IPv4 and for IPv6 for
// instance, since the kernel gives each at random; and when the kernel itself
// has it, as those of WireGuard and VXLAN. kernels are the inodes of those.
func markGiven(all []Connection, first, last uint16, kernels map[uint64]bool) {
	type owner struct {
		protocol string
		uid      uint32
		pid      int
	}
	type held struct {
		owner
		port uint16
	}
	inRange := func(c *Connection) (h held, is bool) {
		h = held{owner{protocol: c.Protocol, uid: c.UID}, c.Local.Port()}
		if c.Process != nil {
			h.pid = c.Process.PID
		}
		return h, c.Waiting() && first <= h.port && h.port <= last && !kernels[c.Inode]
	}
	ports, times := map[owner]int{}, map[held]int{}
	for i := range all {
		if h, is := inRange(&all[i]); is {
			ports[h.owner]++
			times[h]++
		}
	}
	for i := range all {
		if h, is := inRange(&all[i]); is {
			all[i].Given = ports[h.owner] > mostPaired || times[h] == 1
		}
	}
}
