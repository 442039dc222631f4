package scenario

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

// beyond is the prefix of the segment behind the router.
var beyond = netip.MustParsePrefix("10.78.0.0/26")

// far is a second segment behind a router: nothing of it is heard at home.
type far struct {
	h      *house
	other  *labtest.Lab
	router *lab.Host // its interface at home
	server *lab.Host
	nas    *lab.Host
}

func newFar(h *house) *far {
	f := &far{h: h, other: labtest.StartWith(h.t, lab.Options{NoGateway: true, Prefix: beyond})}
	f.router = h.lab.Observer("r0", lab.WithAddr(h.lab.Static(29))).Host
	f.other.Attach(f.router, "r1", lab.WithAddr(f.other.Static(0)))
	h.lab.Must(f.router.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }))
	f.server = f.other.Observer("server", lab.WithAddr(f.other.Static(1))).Host
	f.nas = f.other.Observer("nas", lab.WithAddr(f.other.Static(2))).Host
	f.route(h.obs.Host, "add", beyond.String(), h.lab.Static(29).String())
	for _, host := range []*lab.Host{f.server, f.nas} {
		f.route(host, "add", "default", f.other.Static(0).String())
	}
	return f
}

func (f *far) route(h *lab.Host, verb, to, via string) {
	f.h.t.Helper()
	if out, err := h.Command(f.h.t.Context(), "ip", "route", verb, to, "via", via).CombinedOutput(); err != nil {
		f.h.t.Fatalf("ip route %s %s via %s: %v: %s", verb, to, via, err, out)
	}
}

// Devices behind a router come and go by what they answer there, and stay when
// the way to them is cut.
func TestBehindARouter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	f := newFar(h)
	file := filepath.Join(t.TempDir(), "devices.yaml")
	h.env["DEVICES_FILE"] = file
	server, nas := presence.MAC(f.server.MAC()), presence.ReachMAC(f.nas.Addr())
	h.lab.Must(os.WriteFile(file, fmt.Appendf(nil,
		"devices:\n  - mac: %s\n    name: Server\n    reach: ping %s\n  - name: NAS\n    reach: ['tcp %s:445']\n",
		server, f.server.Addr(), f.nas.Addr()), 0o644))
	p := h.begin()
	for _, m := range []presence.MAC{server, nas} {
		h.sub.awaitTopic(topics.State(m.ID()), "home")
	}
	h.sub.await("where it is, and how that is known", func() bool {
		a := h.sub.latest[topics.Attributes(nas.ID())]
		return containsAll(a, []string{f.nas.Addr().String(), "(no segment hears it)"})
	})

	// One is switched off, and on again.
	h.lab.Must(f.server.Unplug())
	h.sub.awaitEvent(presence.Left, server)
	h.lab.Must(f.server.Plug(t.Context()))
	h.sub.awaitEvent(presence.Arrived, server)

	// The router is off for longer than the timeout: nobody leaves, and why is told.
	h.lab.Must(f.router.Unplug())
	said := func() bool {
		return strings.Contains(h.sub.latest[topics.Summary()], f.router.Addr().String()+" does not answer")
	}
	h.sub.await("the problem in the summary", said)
	time.Sleep(2 * realTimeout) // it is the real timeout that would have them leave
	h.lab.Must(f.router.Plug(t.Context()))
	h.sub.await("no problem any more", func() bool { return !said() })
	p.stop()
	left := func(e presence.Event) bool { return e.Type == presence.Left && (e.MAC == server || e.MAC == nas) }
	if n := len(slices.DeleteFunc(h.sub.told(), func(e presence.Event) bool { return !left(e) })); n != 1 {
		t.Errorf("%d departures, want that of the server alone", n)
	}
}
