package dhcpwatch

import (
	"testing"

	"golang.org/x/net/bpf"

	"porchlight/capture"
)

func TestFilter(t *testing.T) {
	raw, err := assembleFilter()
	if err != nil {
		t.Fatal(err)
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter does not disassemble")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	payload := client(nil)
	later := udp(68, 67, payload)
	later[7] = 185
	icmp := udp(68, 67, payload)
	icmp[9] = 1
	ip := func(p []byte) []byte { return ethernet(broadcast, phone, capture.EtherTypeIPv4, p) }

	tests := map[string]struct {
		frame []byte
		want  bool
	}{
		"to a server":          {ip(udp(68, 67, payload)), true},
		"to a client":          {ip(udp(67, 68, payload)), true},
		"with IPv4 options":    {ip(withIPOptions(udp(68, 67, payload))), true},
		"VLAN":                 {tagged(ip(udp(68, 67, payload)), 5), true},
		"VLAN in a VLAN":       {tagged(tagged(ip(udp(68, 67, payload)), 5), 7), true},
		"VLAN, IPv4 options":   {tagged(ip(withIPOptions(udp(68, 67, payload))), 5), true},
		"DNS":                  {ip(udp(68, 53, payload)), false},
		"VLAN, DNS":            {tagged(ip(udp(67, 53, payload)), 5), false},
		"ICMP":                 {ip(icmp), false},
		"a later fragment":     {ip(later), false},
		"ARP":                  {ethernet(broadcast, phone, capture.EtherTypeARP, make([]byte, 46)), false},
		"VLAN, ARP":            {tagged(ethernet(broadcast, phone, capture.EtherTypeARP, make([]byte, 46)), 5), false},
		"IPv6":                 {ethernet(broadcast, phone, capture.EtherTypeIPv6, make([]byte, 46)), false},
		"cut within the ports": {ip(udp(68, 67, payload))[:36], false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n, err := vm.Run(test.frame)
			if err != nil {
				t.Fatal(err)
			}
			if got := n > 0; got != test.want {
				t.Errorf("passes: %v, want %v", got, test.want)
			}
			if test.want && n < len(test.frame) {
				t.Errorf("passes only %d of %d bytes", n, len(test.frame))
			}
		})
	}
}
