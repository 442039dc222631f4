package ndpwatch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"porchlight/capture"
	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

// live is a Watcher on an observer in a lab whose kernels speak IPv6.
type live struct {
	*labtest.Lab
	t         *testing.T
	ctx       context.Context
	obs       *lab.Observer
	w         *Watcher
	sightings chan presence.Sighting
	kept      []presence.Sighting // passed over by hears so far
	since     time.Time           // what was said before does not count
}

func watch(t *testing.T) *live { return watchOn(t, lab.Options{NoGateway: true, IPv6: true}) }

func watchOn(t *testing.T, o lab.Options) *live {
	t.Helper()
	t.Parallel()
	l := &live{
		Lab: labtest.StartWith(t, o),
		t:   t, sightings: make(chan presence.Sighting, 1024),
	}
	l.obs = l.Observer("lan0")
	var err error
	l.w, err = New(Config{Interface: "lan0", Sight: func(s presence.Sighting) { l.sightings <- s }})
	l.Must(err)
	var cancel context.CancelFunc
	l.ctx, cancel = context.WithTimeout(t.Context(), 2*time.Minute)
	done := make(chan error, 1)
	go func() { done <- l.obs.Do(func() error { return l.w.Run(l.ctx) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	l.until("an address to ask from", func() bool {
		link, ok := l.w.wire.Link()
		return ok && link.LinkLocal.IsValid()
	})
	return l
}

// until polls what belongs to the kernel.
func (l *live) until(what string, is func() bool) {
	l.t.Helper()
	for !is() {
		select {
		case <-l.ctx.Done():
			l.t.Fatalf("waited for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// hears waits for a sighting of mac. Kernels say things twice, and not always in
// the same order.
func (l *live) hears(mac presence.MAC, kind presence.Kind) presence.Sighting {
	l.t.Helper()
	for i := 0; ; i++ {
		if i == len(l.kept) {
			select {
			case s := <-l.sightings:
				l.kept = append(l.kept, s)
			case <-l.ctx.Done():
				l.t.Fatalf("no %v of %v heard", kind, mac)
			}
		}
		if s := l.kept[i]; s.MAC == mac && s.Kind == kind && !s.At.Before(l.since) {
			l.kept = slices.Delete(l.kept, i, i+1)
			return s
		}
	}
}

// TestLive: what a real kernel says when it joins, and what it answers.
func TestLive(t *testing.T) {
	l := watch(t)
	c := l.Client("phone", lab.IPv6Only)
	mac := presence.MAC(c.MAC())
	for range 2 {
		go func() { _ = c.Join(l.ctx) }()
		s := l.hears(mac, presence.MLDReport)
		if s.Addr.IsValid() || s.Evidence() != presence.Join || s.Unicast || s.Interface != "lan0" {
			t.Errorf("first word: %+v", s)
		}
		dad := l.hears(mac, presence.NDPDad)
		if !dad.Addr.IsLinkLocalUnicast() || dad.Evidence() != presence.Join {
			t.Errorf("%+v", dad)
		}
		if s := l.hears(mac, presence.NDPRouterSolicitation); s.Addr != dad.Addr {
			t.Errorf("asks for routers from %v, its address is %v", s.Addr, dad.Addr)
		}
		for _, everyone := range []bool{false, true} {
			probe := presence.Probe{Interface: "lan0", MAC: mac, Addr: dad.Addr, Broadcast: everyone}
			asked := time.Now()
			l.Must(l.w.Probe(probe))
			s := l.hears(mac, presence.NDPAdvertisement)
			if s.Addr != dad.Addr || !s.Unicast || s.At.Before(asked.Add(-time.Millisecond)) {
				t.Errorf("answer %+v", s)
			}
		}
		l.Must(c.Leave())
		l.since = time.Now()
	}
	if s := l.w.Stats(); s.Malformed != 0 || s.Foreign != 0 || s.Sent != 4 || s.Unsent != 0 || s.Capture.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

// TestLiveGlobal: a kernel that gets another address says so, and answers for
// it when it is asked from a link-local address.
func TestLiveGlobal(t *testing.T) {
	l := watch(t)
	c := l.Client("phone", lab.IPv6Only)
	mac := presence.MAC(c.MAC())
	l.Must(c.Join(l.ctx))
	out, err := c.Command(l.ctx, "ip", "addr", "add", "2001:db8::7/64", "dev", "lan0").CombinedOutput()
	if err != nil {
		t.Fatalf("ip addr: %v: %s", err, out)
	}
	want := netip.MustParseAddr("2001:db8::7")
	var s presence.Sighting
	for s.Addr != want {
		s = l.hears(mac, presence.NDPDad)
	}
	if s.Evidence() != presence.Alive {
		t.Errorf("a further address counts as %d", s.Evidence())
	}
	l.until("an answer", func() bool { // while the address is being checked, there is none
		l.Must(l.w.Probe(presence.Probe{Interface: "lan0", MAC: mac, Addr: want}))
		select {
		case s := <-l.sightings:
			return s.Kind == presence.NDPAdvertisement && s.Addr == want
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
}

// TestLiveHostile: what cannot be believed is counted; a VLAN's frames are told
// by their interface; a jumbo frame costs no more than a short one.
func TestLiveHostile(t *testing.T) {
	l := watch(t)
	c := l.Client("phone", lab.IPv6Only)
	l.Must(c.Join(l.ctx))
	say := func(raw []byte) {
		_, err := c.Say(raw)
		l.Must(err)
	}
	before := l.w.Stats()
	for _, name := range []string{"wrong checksum", "routed", "option of length 0", "DHCPv6 option past the end"} {
		say(hostile(t)[name].raw)
	}
	say(frame{src: local, dst: routerLL}.icmp(t, 128, 0, with(0))) // the filter takes it
	say(tagged(windows(t), 30))
	s := l.hears(phone, presence.DHCPv6Solicit)
	if s.Interface != "lan0.30" || s.DHCP.HostName != "DESKTOP-7QK2" {
		t.Errorf("%+v", s)
	}
	// Frames change their order when two processors forward them.
	l.until("all to be heard", func() bool { return l.w.Stats().Malformed-before.Malformed >= 4 })
	after := l.w.Stats()
	if after.Malformed-before.Malformed != 4 || after.Ignored != before.Ignored {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// TestLiveWithoutIPv6: without IPv6 it hears, and says that it cannot ask.
func TestLiveWithoutIPv6(t *testing.T) {
	l := watch(t)
	c := l.Client("phone", lab.IPv6Only)
	l.Must(l.obs.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/lan0/disable_ipv6", []byte("1"), 0)
	}))
	l.until("the end of the address", func() bool {
		link, ok := l.w.wire.Link()
		return ok && !link.LinkLocal.IsValid()
	})
	go func() { _ = c.Join(l.ctx) }()
	s := l.hears(presence.MAC(c.MAC()), presence.NDPDad)
	err := l.w.Probe(presence.Probe{Interface: "lan0", MAC: s.MAC, Addr: s.Addr})
	if !errors.Is(err, ErrNoAddress) || l.w.Stats().Sent > 0 {
		t.Errorf("asked, error %v", err)
	}
	if p := l.w.Problem(); p != "" {
		t.Errorf("it hears, and told is %q", p)
	}
}

// TestLiveSnooping: a switch that forwards groups to their members only keeps
// back most of what a joining device says, but not its question for routers:
// the Watcher is in that group. A bystander who is in none hears nothing.
func TestLiveSnooping(t *testing.T) {
	l := watchOn(t, lab.Options{NoGateway: true, IPv6: true, Snooping: true})
	join(t, l.Observer("lan0", lab.WithMAC(lab.MAC{0x02, 0, 0, 0, 0, 8})), "ff02::2") // as a router does
	bystander := make(chan presence.Sighting, 1024)
	overhear(t, l.Observer("lan0", lab.WithMAC(lab.MAC{0x02, 0, 0, 0, 0, 9})), bystander)

	stranger := l.Observer("lan0", lab.WithMAC(lab.MAC{0x02, 0, 0, 0, 0, 10}))
	say := func(raw []byte) {
		_, err := stranger.Say(raw)
		l.Must(err)
	}
	// What is for all nodes gets to everyone.
	l.until("the bystander to listen", func() bool {
		say(lab.NeighbourAdvertisement(phone, local))
		return len(bystander) > 0
	})
	// At first the switch does not know the members, and forwards to everyone.
	// What the bystander has not heard before what was said after it, it does not
	// hear; but now and then frames change their order, when two processors
	// forward them.
	last, kept := local, 0
	l.until("the switch to know the members", func() bool {
		last = last.Next()
		say(lab.RouterSolicitation(phone, last))
		say(lab.NeighbourAdvertisement(phone, last))
		l.hears(phone, presence.NDPRouterSolicitation)
		for {
			select {
			case s := <-bystander:
				if s.Addr != last {
					continue
				}
				if kept++; s.Kind != presence.NDPAdvertisement {
					kept = 0
				}
				return kept == 20
			case <-l.ctx.Done():
				t.Fatal("the bystander hears nothing")
			}
		}
	})

	c := l.Client("phone", lab.IPv6Only)
	mac := presence.MAC(c.MAC())
	go func() { _ = c.Join(l.ctx) }()
	// Linux as a switch forwards listener reports of version 2 to everyone; the
	// first may come before the port forwards at all.
	told := func(s presence.Sighting) bool { return s.MAC == mac && s.Kind != presence.MLDReport }
	for first := true; first; {
		select {
		case s := <-l.sightings:
			if first = !told(s); !first && s.Kind != presence.NDPRouterSolicitation {
				t.Errorf("heard %v, which the switch should have kept back", s.Kind)
			}
		case <-l.ctx.Done():
			t.Fatal("its question for routers was not heard")
		}
	}
	for len(bystander) > 0 {
		if s := <-bystander; told(s) {
			t.Errorf("the bystander heard %v", s.Kind)
		}
	}
}

// join makes h a member of a group until the test ends.
func join(t *testing.T, h *lab.Observer, group string) {
	t.Helper()
	err := h.Do(func() error {
		iface, err := net.InterfaceByName(h.Interface())
		if err != nil {
			return err
		}
		conn, err := net.ListenMulticastUDP("udp6", iface, &net.UDPAddr{IP: net.ParseIP(group), Port: 9})
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// overhear listens on h without being in any group.
func overhear(t *testing.T, h *lab.Observer, to chan<- presence.Sighting) {
	t.Helper()
	filter, err := assembleFilter()
	if err != nil {
		t.Fatal(err)
	}
	w := newWatcher(Config{Interface: h.Interface(), Sight: func(s presence.Sighting) { to <- s }})
	w.wire = capture.NewListener(capture.Config{Interface: h.Interface(), Filter: filter, Handle: w.hear})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Do(func() error { return w.Run(ctx) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
