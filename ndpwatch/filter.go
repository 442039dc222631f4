package ndpwatch

import (
	"golang.org/x/net/bpf"

	"porchlight/capture"
)

// assembleFilter makes the filter that lets through what Decode reads, with and
// without VLAN tags. It runs in the kernel, so that the rest of the LAN's
// traffic costs nothing here.
func assembleFilter() ([]bpf.RawInstruction, error) {
	const (
		ip      = 14 // where the IPv6 header begins, from X on
		payload = ip + ipv6HeaderLen
		options = payload + hopByHopLen // behind the shortest hop-by-hop options: a router alert
	)
	return capture.Match(
		capture.EtherTypeIPv6,
		bpf.LoadIndirect{Off: ip + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolUDP, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolHopByHop, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMPv6, SkipTrue: 13},
		bpf.LoadIndirect{Off: payload, Size: 1},
		bpf.Jump{Skip: 8},
		// UDP: only to a DHCPv6 server.
		bpf.LoadIndirect{Off: payload + 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: serverPort, SkipTrue: 8, SkipFalse: 9},
		// Hop-by-hop options: only with a report of a multicast listener.
		bpf.LoadIndirect{Off: payload, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMPv6 << 8, SkipTrue: 7},
		bpf.LoadIndirect{Off: options, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeListenerReport2, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeListenerReport1, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeListenerDone, SkipTrue: 2, SkipFalse: 3},
		// ICMPv6: only neighbour discovery.
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: typeRouterSolicit, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: typeAdvert, SkipTrue: 1},
		bpf.RetConstant{Val: capture.Snap},
		bpf.RetConstant{Val: 0},
	)
}
