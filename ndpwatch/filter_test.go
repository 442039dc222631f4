package ndpwatch

import (
	"testing"

	"golang.org/x/net/bpf"
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
	report := func(kind uint8) []byte {
		return frame{src: local, dst: mldv2, hops: 1, alert: true}.icmp(t, kind, 0, make([]byte, 20))
	}
	icmp := func(kind uint8) []byte { return frame{src: local, dst: routerLL}.icmp(t, kind, 0, make([]byte, 20)) }
	dhcp := func(port uint16) []byte {
		b := windows(t)
		b[54+2], b[54+3] = byte(port>>8), byte(port)
		return b
	}
	other := func(protocol byte) []byte {
		b := dad(t, local)
		b[14+6] = protocol
		return b
	}
	v4 := dad(t, local)
	v4[12], v4[13] = 8, 0

	tests := map[string]struct {
		frame []byte
		want  bool
	}{
		"router solicitation":      {icmp(133), true},
		"router advertisement":     {icmp(134), true},
		"solicitation":             {icmp(135), true},
		"advertisement":            {icmp(136), true},
		"redirect":                 {icmp(137), false},
		"report without an alert":  {icmp(132), false},
		"echo request":             {icmp(128), false},
		"unreachable":              {icmp(1), false},
		"listener report, MLDv1":   {report(131), true},
		"listener done":            {report(132), true},
		"listener report, MLDv2":   {report(143), true},
		"listener query":           {report(130), false},
		"DAD with an alert":        {report(135), false},
		"to a DHCPv6 server":       {dhcp(547), true},
		"to a DHCPv6 client":       {dhcp(546), false},
		"mDNS":                     {dhcp(5353), false},
		"TCP":                      {other(6), false},
		"a fragment":               {other(44), false},
		"IPv4":                     {v4, false},
		"VLAN, DAD":                {tagged(dad(t, local), 5), true},
		"VLAN in a VLAN, DAD":      {tagged(tagged(dad(t, local), 5), 7), true},
		"VLAN, listener report":    {tagged(report(143), 5), true},
		"VLAN, DHCPv6":             {tagged(windows(t), 5), true},
		"VLAN, echo request":       {tagged(icmp(128), 5), false},
		"VLAN, mDNS":               {tagged(dhcp(5353), 5), false},
		"cut before the ICMP type": {dad(t, local)[:54], false},
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
	// What the filter keeps out, Decode makes nothing of, or nonsense.
	for name, test := range tests {
		if f := parse(t, test.frame); !test.want && name != "DAD with an alert" {
			if _, ok, _ := Decode(f); ok {
				t.Errorf("%s is kept out, though it says something", name)
			}
		}
	}
}
