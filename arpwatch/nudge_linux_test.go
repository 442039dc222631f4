package arpwatch

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"porchlight/capture/capturetest"
	"porchlight/presence"
)

// TestNudgeOnTheWire holds everything that a nudge puts on the wire: one small
// datagram to port 5353 by unicast, and the question that goes along with every
// probe. Nobody is asked by broadcast where the device is, and the kernel's
// neighbour table does not change.
func TestNudgeOnTheWire(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.9")
	l := newRealLAN(t, map[netip.Addr]bool{a: true}, "192.0.2.1/24")
	all := l.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer unix.Close(all)
	p := presence.Probe{Interface: capturetest.Near, MAC: macOf(a), Addr: a, Nudge: true}
	if err := l.w.Probe(p); err != nil {
		t.Fatal(err)
	}
	if s := l.wantSighting(); s.MAC != p.MAC || s.Kind != presence.ARPReply {
		t.Errorf("answer %+v", s)
	}
	last := presence.Probe{Interface: capturetest.Near, MAC: macOf(a), Addr: a}
	if err := l.w.Probe(last); err != nil { // a plain one: nothing comes late
		t.Fatal(err)
	}
	l.wantSighting()

	mac := macOf(a)
	var sent []string
	for _, frame := range received(t, all) {
		if !bytes.Equal(frame[:6], mac[:]) {
			t.Errorf("to another: % x", frame)
			continue
		}
		sent = append(sent, hex.EncodeToString(frame[12:]))
	}
	if len(sent) != 3 {
		t.Fatalf("%d frames, want the nudge and a question, then a question: %q", len(sent), sent)
	}
	nudge, _ := hex.DecodeString(sent[0])
	const ipHead = "0800" + "45000028" + "00004000" + "0111"
	if want := "c0000201" + "c0000209" + "c000" + "14e9" + "0014"; sent[0][:len(ipHead)] != ipHead || hex.EncodeToString(nudge[14:28]) != want {
		t.Errorf("the nudge: %s", sent[0])
	}
	if len(nudge)+12 != 60 || !bytes.Equal(nudge[30:], make([]byte, 60-12-30)) {
		t.Errorf("the nudge says something: %s", sent[0])
	}
	for _, question := range sent[1:] {
		if question[:16] != "0806000108000604" {
			t.Errorf("a question: %s", question)
		}
	}
	if s := l.w.Stats(); s.Nudges != 1 || s.Sent != 2 {
		t.Errorf("stats %+v", s)
	}
	l.Do(func() {
		ns, err := netlink.NeighList(l.Link(capturetest.Near).Attrs().Index, netlink.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range ns {
			if n.IP.String() == a.String() && n.State&netlink.NUD_NOARP == 0 {
				t.Errorf("the kernel knows %v", n)
			}
		}
	})
}

// received returns the IPv4 and ARP frames that wait in a socket of the far end,
// without those that it has sent itself.
func received(t *testing.T, fd int) (frames [][]byte) {
	t.Helper()
	for {
		buf := make([]byte, 2048)
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err != nil {
			return frames
		}
		outgoing := from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING
		if kind := binary.BigEndian.Uint16(buf[12:]); outgoing || kind != unix.ETH_P_ARP && kind != unix.ETH_P_IP {
			continue
		}
		frames = append(frames, buf[:n])
	}
}

// TestNoNudge: where there is no address to send it from, or none of the subnet,
// the question goes out alone; so it does on a VLAN, whose addresses are not known.
func TestNoNudge(t *testing.T) {
	for _, c := range []struct{ own, ifname, addr string }{
		{"", "eth0", "192.0.2.9"},
		{"10.0.0.1/8", "eth0", "192.0.2.9"},
		{"192.0.2.1/24", "eth0.10", "192.0.2.9"},
	} {
		var own []string
		if c.own != "" {
			own = append(own, c.own)
		}
		l := newFakeLAN(t, own...)
		p := presence.Probe{Interface: c.ifname, MAC: plug, Addr: netip.MustParseAddr(c.addr), Nudge: true}
		if err := l.w.Probe(p); err != nil || len(l.sent) != 1 {
			t.Errorf("%+v: %d frames, %v", c, len(l.sent), err)
		}
		if s := l.w.Stats(); s.Nudges != 0 || s.Sent != 1 {
			t.Errorf("%+v: stats %+v", c, s)
		}
	}
	l := newFakeLAN(t, "192.0.2.1/24")
	own := presence.Probe{Interface: "eth0", MAC: plug, Addr: netip.MustParseAddr("192.0.2.1"), Nudge: true}
	if err := l.w.Probe(own); err == nil || len(l.sent) > 0 {
		t.Errorf("its own address: %d frames, %v", len(l.sent), err)
	}
}
