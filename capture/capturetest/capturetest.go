// Package capturetest gives tests a wire of their own: a veth pair in an
// anonymous network namespace, so that no frame leaves the test.
package capturetest

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The two ends of the wire.
const (
	Near = "near" // what is under test listens here
	Far  = "far"  // the test plays the LAN here
)

// Wire is a veth pair in a network namespace.
type Wire struct {
	t  testing.TB
	ns netns.NsHandle
}

// NewWire makes a wire whose ends are up and have no addresses. It skips the
// test when not root. The wire goes when the test ends.
func NewWire(t testing.TB) *Wire {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes a network namespace")
	}
	w := &Wire{t: t, ns: netns.None()}
	fresh := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		var err error
		w.ns, err = netns.New()
		if err == nil {
			// Kernels speak IPv6 on a new link at random times.
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
		}
		fresh <- err
	}()
	if err := <-fresh; err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
	t.Cleanup(func() { _ = w.ns.Close() })
	w.Do(w.Connect)
	return w
}

// Do runs f in the namespace and waits for it.
func (w *Wire) Do(f func()) {
	done := make(chan struct{})
	w.Go(func() {
		defer close(done)
		f()
	})
	<-done
}

// Go runs f in the namespace on a goroutine of its own.
func (w *Wire) Go(f func()) {
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(w.ns); err != nil {
			w.t.Errorf("entering the network namespace: %v", err)
		}
		f()
	}()
}

// Connect makes the pair, sets both ends up, and waits until frames pass: until
// the kernel, in its own time, has told its queues of the carrier, they drop them
// in silence. Call it within Do.
func (w *Wire) Connect() {
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: Near, MTU: 9000}, PeerName: Far}
	if err := netlink.LinkAdd(veth); err != nil {
		w.t.Errorf("adding the veth pair: %v", err)
		return
	}
	w.SetUp(Near, true)
	w.SetUp(Far, true)
	for _, end := range []string{Near, Far} {
		for deadline := time.Now().Add(time.Minute); w.Link(end).Attrs().OperState != netlink.OperUp; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				w.t.Errorf("%s does not come up", end)
				return
			}
		}
	}
}

// SetUp sets one end up or down. Call it within Do.
func (w *Wire) SetUp(end string, up bool) {
	l := w.Link(end)
	set := netlink.LinkSetDown
	if up {
		set = netlink.LinkSetUp
	}
	if err := set(l); err != nil {
		w.t.Errorf("setting %s up=%t: %v", end, up, err)
	}
}

// Link looks one end up. Call it within Do.
func (w *Wire) Link(end string) netlink.Link {
	l, err := netlink.LinkByName(end)
	if err != nil {
		w.t.Fatalf("looking up %s: %v", end, err)
	}
	return l
}

// Address gives an end an address such as "192.0.2.1/24", or takes it away.
// Call it within Do.
func (w *Wire) Address(end, cidr string, add bool) {
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	set := netlink.AddrDel
	if add {
		set = netlink.AddrAdd
	}
	if err := set(w.Link(end), a); err != nil {
		w.t.Errorf("address %s on %s, add=%t: %v", cidr, end, add, err)
	}
}

// Socket opens a raw packet socket on an end for one EtherType (unix.ETH_P_ALL
// for all), which the caller closes. Its reads end after a tenth of a
// second without a frame.
func (w *Wire) Socket(end string, etherType uint16) int {
	var fd int
	w.Do(func() {
		var err error
		proto := etherType<<8 | etherType>>8
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			w.t.Fatalf("opening a packet socket: %v", err)
		}
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
		_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: w.Link(end).Attrs().Index})
		if err != nil {
			w.t.Fatalf("binding to %s: %v", end, err)
		}
	})
	return fd
}
