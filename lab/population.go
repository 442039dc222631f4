package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/socket"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Population plays devices, up to thousands, from one veth: it answers who asks
// for the MACs of their addresses, by ARP or by neighbour solicitation, and says
// what it is told to. The kernel of its namespace is silent. Its methods are
// safe for concurrent use.
type Population struct {
	ns    *namespace
	iface int
	conn  *socket.Conn
	reads sync.WaitGroup

	mu        sync.Mutex
	conn6     *socket.Conn // hears solicitations; nil until a device has IPv6
	byAddr    map[netip.Addr]*Device
	devices   []*Device
	recording bool
	requests  []ARPRequest
	rand      *rand.Rand
}

// question is an ARP request or a neighbour solicitation.
type question struct {
	dst, src       MAC // of the Ethernet header
	senderMAC      MAC // of ARP
	sender, target netip.Addr
}

// ARPRequest is one ARP request, or neighbour solicitation, that a population
// heard, whether for one of its devices or not.
type ARPRequest struct {
	At     time.Time // when the kernel took the frame
	From   MAC
	Addr   netip.Addr // whose MAC is asked for
	To     MAC        // of the Ethernet header: Broadcast or one station
	Device *Device    // the device with that address; nil: nobody's
}

// Population connects a population without devices.
func (l *Lab) Population() (*Population, error) {
	ns, _, iface, err := l.silentPort("people")
	if err != nil {
		return nil, err
	}
	pop := &Population{
		ns:     ns,
		iface:  iface,
		byAddr: make(map[netip.Addr]*Device),
		rand:   rand.New(rand.NewPCG(1, 2)),
	}
	if err := pop.listen(); err != nil {
		_ = pop.Close()
		return nil, err
	}
	if err := l.adopt(pop); err != nil {
		_ = pop.Close()
		return nil, err
	}
	return pop, nil
}

// silentPort makes a namespace whose kernel says nothing, and connects it. It
// returns the interface's index.
func (l *Lab) silentPort(iface string) (*namespace, *port, int, error) {
	ns, err := newNamespace(false)
	if err != nil {
		return nil, nil, 0, err
	}
	p, err := l.sw.connect(ns, iface, privateMAC(iface))
	index := 0
	if err == nil {
		err = ns.linked(iface, func(h *netlink.Handle, link netlink.Link) error {
			index = link.Attrs().Index
			return h.LinkSetARPOff(link)
		})
	}
	if err != nil {
		ns.close()
		return nil, nil, 0, fmt.Errorf("connecting %q: %w", iface, err)
	}
	return ns, p, index, nil
}

// listen opens the socket, which hears ARP requests only.
func (p *Population) listen() (err error) {
	p.conn, err = p.open(etherARP, []bpf.Instruction{
		// The made-up senders of a flood are dropped here, where it is cheap.
		bpf.LoadAbsolute{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(binary.BigEndian.Uint16(strangerPrivate[:])), SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(binary.BigEndian.Uint16(strangerVendor[:])), SkipTrue: 3},
		bpf.LoadAbsolute{Off: 20, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: arpRequest, SkipTrue: 1},
		bpf.RetConstant{Val: maxQuestion},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	p.reads.Go(func() { p.answer(p.conn) })
	return nil
}

// listenIPv6 opens the socket that hears neighbour solicitations, once.
func (p *Population) listenIPv6() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn6 != nil {
		return nil
	}
	conn, err := p.open(etherIPv6, []bpf.Instruction{
		bpf.LoadAbsolute{Off: 20, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 58, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 54, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: icmpSolicit, SkipTrue: 1},
		bpf.RetConstant{Val: maxQuestion},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	p.conn6 = conn
	p.reads.Go(func() { p.answer(conn) })
	return nil
}

// maxQuestion is how much of a frame is read.
const maxQuestion = 128

// open opens a packet socket for one EtherType that hears what passes the filter.
func (p *Population) open(etherType uint16, program []bpf.Instruction) (*socket.Conn, error) {
	conn, err := p.ns.rawSocket()
	if err != nil {
		return nil, err
	}
	if err := p.prepare(conn, etherType, program); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (p *Population) prepare(conn *socket.Conn, etherType uint16, program []bpf.Instruction) error {
	filter, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("assembling the filter: %w", err)
	}
	if err := conn.SetBPF(filter); err != nil {
		return fmt.Errorf("setting the filter: %w", err)
	}
	if err := conn.SetsockoptInt(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
		return fmt.Errorf("enlarging the receive buffer: %w", err)
	}
	if err := conn.SetsockoptInt(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("switching timestamps on: %w", err)
	}
	// Bound last, so that nothing gets in before the filter.
	if err := conn.Bind(&unix.SockaddrLinklayer{Protocol: etherType>>8 | etherType<<8, Ifindex: p.iface}); err != nil {
		return fmt.Errorf("binding the packet socket: %w", err)
	}
	return nil
}

// answer answers questions until the socket is closed.
func (p *Population) answer(conn *socket.Conn) {
	buf, oob := make([]byte, maxQuestion), make([]byte, 128)
	for {
		n, oobn, _, _, err := conn.Recvmsg(context.Background(), buf, oob, 0)
		if errors.Is(err, unix.ENETDOWN) {
			continue // comes once, when the link goes down
		}
		if err != nil {
			return
		}
		if q, ok := parseQuestion(buf[:n]); ok {
			p.asked(q, kernelTime(oob[:oobn]))
		}
	}
}

// kernelTime reads the SO_TIMESTAMPNS message.
func kernelTime(oob []byte) time.Time {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Now()
	}
	for _, m := range msgs {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Now()
}

// parseQuestion reads a frame that asks for a MAC.
func parseQuestion(b []byte) (question, bool) {
	if q, ok := parseSolicitation(b); ok {
		return q, true
	}
	req, ok := parseARP(b)
	return question{req.Dst, req.Src, req.SenderMAC, req.SenderAddr, req.TargetAddr}, ok && !req.Reply
}

// asked notes a question, and answers it as the device would.
func (p *Population) asked(q question, at time.Time) {
	p.mu.Lock()
	d := p.byAddr[q.target]
	if p.recording {
		p.requests = append(p.requests, ARPRequest{At: at, From: q.src, Addr: q.target, To: q.dst, Device: d})
	}
	if d == nil || !d.hears(q.dst) || q.src == d.MAC {
		p.mu.Unlock()
		return
	}
	d.requests++
	b := d.behaviour
	silent := d.asleep || (b.Drop > 0 && p.rand.Float64() < b.Drop)
	delay := b.DelayMin
	if b.DelayMax > b.DelayMin {
		delay += time.Duration(p.rand.Int64N(int64(b.DelayMax - b.DelayMin)))
	}
	p.mu.Unlock()
	if silent {
		return
	}
	reply := d.reply(q)
	if delay == 0 {
		_, _ = p.Say(reply)
		return
	}
	time.AfterFunc(delay, func() { _, _ = p.Say(reply) })
}

// Say sends a frame, Ethernet header included. It returns the time just before
// the send.
func (p *Population) Say(frame []byte) (sent time.Time, err error) {
	sent = time.Now()
	if err := p.conn.Sendto(context.Background(), frame, 0, &unix.SockaddrLinklayer{Ifindex: p.iface}); err != nil {
		return sent, fmt.Errorf("sending a frame for the population: %w", err)
	}
	return sent, nil
}

// Record switches the recording of requests on, with an empty record, or off.
func (p *Population) Record(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on {
		p.requests = nil
	}
	p.recording = on
}

// Requests returns what was recorded, in the order of hearing.
func (p *Population) Requests() []ARPRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]ARPRequest(nil), p.requests...)
}

// Devices returns the devices in the order in which they were added.
func (p *Population) Devices() []*Device {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Device(nil), p.devices...)
}

// arrears is how much of a pause a paced sender makes up for; the rest would
// be a burst.
const arrears = 20 * time.Millisecond

// Pace calls do for each device, rate times a second and evenly spaced, until
// one fails or ctx ends.
func Pace(ctx context.Context, devices []*Device, rate float64, do func(*Device) error) error {
	gap := time.Duration(float64(time.Second) / rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Now()
	for _, d := range devices {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if err := do(d); err != nil {
			return err
		}
		due = due.Add(gap)
		if earliest := time.Now().Add(-arrears); due.Before(earliest) {
			due = earliest
		}
		timer.Reset(time.Until(due))
	}
	return nil
}

// Close removes the population. Answers that were still due are not sent.
func (p *Population) Close() error {
	p.mu.Lock()
	conn6 := p.conn6
	p.mu.Unlock()
	for _, c := range []*socket.Conn{p.conn, conn6} {
		if c != nil {
			_ = c.Close()
		}
	}
	p.reads.Wait()
	p.ns.close()
	return nil
}
