package dhcpwatch

import (
	"golang.org/x/net/bpf"

	"porchlight/capture"
)

// assembleFilter makes the filter that lets through IPv4 UDP to the DHCP
// ports, with and without VLAN tags. It runs in the kernel, so that the rest
// of the LAN's traffic costs nothing here.
func assembleFilter() ([]bpf.RawInstruction, error) {
	const ip = 14 // where the IPv4 header begins, from X on
	return capture.Match(
		capture.EtherTypeIPv4,
		bpf.LoadIndirect{Off: ip + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolUDP, SkipTrue: 11},
		bpf.LoadIndirect{Off: ip + 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: fragmentOffset, SkipTrue: 9},
		// X becomes the tags' length and the IPv4 header's.
		bpf.LoadIndirect{Off: ip, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0f},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
		bpf.LoadIndirect{Off: ip + 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: serverPort, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: clientPort, SkipTrue: 1},
		bpf.RetConstant{Val: capture.Snap},
		bpf.RetConstant{Val: 0},
	)
}
