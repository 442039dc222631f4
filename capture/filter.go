package capture

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// Snap is how many bytes of a frame a filter lets through: more than any ARP
// or DHCP message needs, so that a jumbo frame costs no more than a short one.
const Snap = 2048

// Match assembles a filter that passes frames of one EtherType, untagged or
// with up to two tags in the data. (A tag that the network card or the kernel
// stripped is not in the data that a filter sees.)
//
// With body, the frame must also pass body. It runs with register X set to the
// number of bytes that the tags take, so LoadIndirect{Off: 14} is the first
// byte of the payload. Its last instruction is a RetConstant; 0 rejects, Snap
// accepts.
func Match(etherType uint16, body ...bpf.Instruction) ([]bpf.RawInstruction, error) {
	if len(body) == 0 {
		body = []bpf.Instruction{bpf.RetConstant{Val: Snap}}
	}
	prog := []bpf.Instruction{
		bpf.LoadConstant{Dst: bpf.RegX, Val: 0},
		bpf.LoadAbsolute{Off: 12, Size: 2},
	}
	for off := uint32(tagLen); off <= maxTags*tagLen; off += tagLen {
		prog = append(
			prog,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherTypeVLAN, SkipTrue: 1},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherTypeServiceVLAN, SkipTrue: 2},
			bpf.LoadConstant{Dst: bpf.RegX, Val: off},
			bpf.LoadAbsolute{Off: 12 + off, Size: 2},
		)
	}
	prog = append(
		prog,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(etherType), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	)
	raw, err := bpf.Assemble(append(prog, body...))
	if err != nil {
		return nil, fmt.Errorf("assembling the filter for EtherType %#04x: %w", etherType, err)
	}
	return raw, nil
}
