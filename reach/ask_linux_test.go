package reach

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

// site is a home and another segment behind a router.
type site struct {
	t           *testing.T
	routers     routers
	home        *labtest.Lab
	us          *lab.Host // at home, with a default route by the router
	router      *lab.Host // its interface at home
	host        *lab.Host // in the other segment
	known, none netip.Addr
}

// newSite raises the two segments. The host in the other one listens on TCP
// port 22 and answers pings; the router says of 10.98.0.0/16 that its hosts, and
// of nothing that its network, cannot be reached.
func newSite(t *testing.T) *site {
	s := &site{t: t, routers: routers{ping: ping}, home: labtest.StartWith(t, lab.Options{NoGateway: true, IPv6: true})}
	other := labtest.StartWith(t, lab.Options{NoGateway: true, IPv6: true, Prefix: netip.MustParsePrefix("10.78.0.0/24")})
	s.us = s.home.Observer("lan0", lab.WithAddr(s.home.Static(0))).Host
	s.router = s.home.Observer("r0", lab.WithAddr(s.home.Static(1))).Host
	inside := other.Attach(s.router, "r1", lab.WithAddr(other.Static(0)))
	s.host = other.Observer("lan0", lab.WithAddr(other.Static(1))).Host
	s.known, s.none = other.Static(1), other.Static(9)
	s.home.Must(s.router.Do(func() error {
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0),
			os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0),
		)
	}))
	s.ip(s.us, "route", "add", "default", "via", s.home.Static(1).String())
	s.ip(s.host, "route", "add", "default", "via", other.Static(0).String())
	s.ip(s.router, "route", "add", "unreachable", "10.98.0.0/16")
	for _, a := range []struct {
		h             *lab.Host
		addr, ifname  string
		toNet, router string
	}{
		{s.us, "fd00:77::2/64", "lan0", "fd00:78::/64", "fd00:77::1"},
		{s.router, "fd00:77::1/64", "r0", "", ""},
		{s.router, "fd00:78::1/64", "r1", "", ""},
		{s.host, "fd00:78::2/64", "lan0", "fd00:77::/64", "fd00:78::1"},
	} {
		s.ip(a.h, "addr", "add", a.addr, "dev", a.ifname, "nodad")
		if a.toNet != "" {
			s.ip(a.h, "route", "add", a.toNet, "via", a.router)
		}
	}
	for _, h := range []*lab.Host{s.us, s.router, inside, s.host} {
		s.awaitIPv6(h)
	}
	s.home.Must(s.host.Do(func() error {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":22")
		if err == nil {
			t.Cleanup(func() { _ = l.Close() }) // the kernel accepts
		}
		return err
	}))
	return s
}

// awaitIPv6 waits until h's kernel has checked its address, and speaks IPv6.
func (s *site) awaitIPv6(h *lab.Host) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		a, err := h.LinkLocal()
		s.home.Must(err)
		if a.IsValid() {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s has no IPv6 address", h.Interface())
		}
	}
}

func (s *site) ip(h *lab.Host, args ...string) {
	s.t.Helper()
	if out, err := h.Command(s.t.Context(), "ip", args...).CombinedOutput(); err != nil {
		s.t.Fatalf("ip %q: %v: %s", args, err, out)
	}
}

// ask asks once from home.
func (s *site) ask(t *testing.T, text string) (answered bool, err error) {
	t.Helper()
	r, ok := presence.ParseReach(text)
	if !ok {
		t.Fatalf("%q is no reach", text)
	}
	doErr := s.us.Do(func() error {
		if answered, err = s.routers.ask(t.Context(), r); answered {
			s.routers.learn(t.Context(), r.Addr)
		}
		return nil
	})
	if doErr != nil {
		t.Fatal(doErr)
	}
	return answered, err
}

// TestAsk asks through a router.
func TestAsk(t *testing.T) {
	s := newSite(t)
	known, none := s.known.String(), s.none.String()
	t.Run("while the way is open", func(t *testing.T) {
		for name, c := range map[string]struct {
			reach    string
			answered bool
			fault    string
		}{
			"ping":                       {"ping " + known, true, ""},
			"ping, nobody":               {"ping " + none, false, ""},
			"ping, unreachable":          {"ping 10.98.0.1", false, ""},
			"ping on the same segment":   {"ping " + s.router.Addr().String(), true, ""},
			"ping nobody on the segment": {"ping " + s.home.Static(9).String(), false, ""},
			"TCP":                        {"tcp " + known + ":22", true, ""},
			"TCP, refused":               {"tcp " + known + ":23", true, ""},
			"TCP, nobody":                {"tcp " + none + ":22", false, ""},
			"TCP, unreachable":           {"tcp 10.98.0.1:22", false, ""},
			"ping by IPv6":               {"ping fd00:78::2", true, ""},
			"ping by IPv6, nobody":       {"ping fd00:78::9", false, ""},
			"TCP by IPv6":                {"tcp [fd00:78::2]:22", true, ""},
			"TCP by IPv6, refused":       {"tcp [fd00:78::2]:23", true, ""},
			"no route by IPv6":           {"ping fd00:99::1", false, errNoRoute.Error()},
			"no route by IPv6, TCP":      {"tcp [fd00:99::1]:22", false, errNoRoute.Error()},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				answered, err := s.ask(t, c.reach)
				if answered != c.answered || (err != nil || c.fault != "") && (err == nil || err.Error() != c.fault) {
					t.Errorf("%s: answered %t, %v", c.reach, answered, err)
				}
			})
		}
	})
	// The router is off, which the kernel does not know so soon.
	s.home.Must(s.router.Unplug())
	t.Run("without the router", func(t *testing.T) {
		for _, way := range []string{"ping " + known, "tcp " + known + ":22", "ping fd00:78::2"} {
			t.Run(way, func(t *testing.T) {
				t.Parallel()
				answered, err := s.ask(t, way)
				if answered || err == nil {
					t.Errorf("answered %t, %v", answered, err)
				}
			})
		}
	})
	// One that never answered a ping is gone when the kernel has given it up.
	s.routers.known = nil
	s.ip(s.us, "neigh", "flush", "dev", "lan0")
	if answered, err := s.ask(t, "ping "+known); answered || err == nil {
		t.Errorf("the kernel cannot find the router: answered %t, %v", answered, err)
	}
	s.ip(s.us, "route", "del", "default")
	for _, way := range []string{"ping " + known, "tcp " + known + ":22"} {
		if answered, err := s.ask(t, way); answered || !errors.Is(err, errNoRoute) {
			t.Errorf("%s without a route: answered %t, %v", way, answered, err)
		}
	}
}

// TestRefusedByFirewall: that a port is unreachable, as a firewall on the way says
// by ICMP, is no answer of the host, though the kernel calls it refused, too. That
// a network is unreachable says that the way is cut.
func TestRefusedByFirewall(t *testing.T) {
	home := labtest.StartWith(t, lab.Options{NoGateway: true})
	us := home.Observer("lan0", lab.WithAddr(home.Static(0))).Host
	wall := home.Observer("wall0", lab.WithAddr(home.Static(1))).Host
	s := &site{t: t, routers: routers{ping: ping}, home: home, us: us}
	s.ip(us, "route", "add", "10.99.0.0/16", "via", home.Static(1).String())

	const netUnreachable, portUnreachable = 0, 3
	codes := map[byte]byte{1: portUnreachable, 2: netUnreachable} // by the last byte of the address
	var hears, says int
	home.Must(wall.Do(func() (err error) {
		if hears, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, int(binary.NativeEndian.Uint16([]byte{0x08, 0x00}))); err != nil {
			return err
		}
		says, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
		return err
	}))
	defer unix.Close(says)
	if err := unix.SetsockoptTimeval(hears, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer unix.Close(hears)
		buf := make([]byte, 2048)
		for ctx.Err() == nil {
			n, _, err := unix.Recvfrom(hears, buf, 0)
			if err != nil || n < 28 || buf[16] != 10 || buf[17] != 99 {
				continue
			}
			m := append([]byte{3, codes[buf[19]], 0, 0, 0, 0, 0, 0}, buf[:28]...)
			binary.BigEndian.PutUint16(m[2:], checksum(m))
			_ = unix.Sendto(says, m, 0, &unix.SockaddrInet4{Addr: [4]byte(buf[12:16])})
		}
	}()
	defer func() { cancel(); <-done }()

	for way, want := range map[string]error{
		"tcp 10.99.0.1:22": nil, "ping 10.99.0.1": nil, "tcp 10.99.0.2:22": errNoRoute, "ping 10.99.0.2": errNoRoute,
	} {
		refused := func() (bool, string) {
			began := time.Now()
			answered, err := s.ask(t, way)
			took := time.Since(began)
			right := !answered && errors.Is(err, want) && (want != nil || err == nil) && took < patience/2
			return right, fmt.Sprintf("answered %t, %v, want %v, after %s", answered, err, want, took)
		}
		right, what := refused()
		for tries := 0; !right && tries < 5; tries++ { // the firewall may have had no time
			t.Log(way, what)
			right, what = refused()
		}
		if !right {
			t.Errorf("%s: %s", way, what)
		}
	}
}

// checksum is RFC 1071's, of a whole number of words.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func FuzzAnsweredBy(f *testing.F) {
	q := newEcho(false)
	b, err := q.marshal()
	if err != nil {
		f.Fatal(err)
	}
	reply := append([]byte{0}, b[1:]...)
	f.Add(reply, false)
	f.Add(b, true)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		q := &echo{v6: v6, id: q.id, token: q.token}
		if q.answeredBy(b) && (len(b) != 8+tokenLen || string(b[8:]) != string(q.token[:])) {
			t.Errorf("% x is an answer", b)
		}
	})
}

func TestAnsweredBy(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		q, other := newEcho(v6), newEcho(v6)
		b, err := q.marshal()
		if err != nil {
			t.Fatal(err)
		}
		kind := byte(0)
		if v6 {
			kind = 129
		}
		reply := append([]byte{kind}, b[1:]...)
		if !q.answeredBy(reply) || q.answeredBy(b) || other.answeredBy(reply) || q.answeredBy(reply[:20]) || q.answeredBy(nil) {
			t.Errorf("IPv6 %t: % x", v6, reply)
		}
	}
}
