package scenario

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"porchlight/discovery"
	"porchlight/lab"
	"porchlight/presence"
)

// leased raises a house whose DHCP server has a lease file with these leases in
// it, which never end.
func leased(t *testing.T, dns bool, leases ...lab.Identity) (h *house, file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "dnsmasq.leases")
	text := ""
	for _, l := range leases {
		text += fmt.Sprintf("0 %v %v %s *\n", presence.MAC(l.MAC), l.Addr, l.HostName)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h = houseOn(t, lab.Options{Prefix: lan, LeaseFile: file, DNS: dns, IPv6: dns})
	h.withBroker("")
	return h, file
}

var (
	doorCam = lab.Identity{MAC: lab.MAC{0x00, 0x16, 0x3e, 1, 2, 3}, Addr: netip.MustParseAddr("10.77.0.5"), HostName: "door-camera"}
	ghost   = lab.Identity{MAC: lab.MAC{0x00, 0x16, 0x3e, 9, 9, 9}, Addr: netip.MustParseAddr("10.77.0.6"), HostName: "ghost"}
)

// nameless puts a device on the LAN that answers ARP and says nothing else.
func (h *house) nameless(id lab.Identity) *lab.Device {
	h.t.Helper()
	pop, err := h.lab.Lab.Population()
	h.lab.Must(err)
	d, err := pop.Add(id, lab.Behaviour{})
	h.lab.Must(err)
	return d
}

// namedBy waits until the database says where a device's host name is from.
func (h *house) namedBy(id presence.ID, want string) {
	h.t.Helper()
	got := h.source(id)
	for end := time.Now().Add(patience); got != want && time.Now().Before(end); {
		got = h.source(id) // a process: that is pause enough
	}
	if got != want {
		h.t.Errorf("the name of %s is from %q, want %q", id, got, want)
	}
}

func (h *house) source(id presence.ID) string {
	h.t.Helper()
	for _, d := range jsonLines[struct {
		ID     presence.ID
		Source string `json:"host_name_source"`
	}](h.t, h.must("devices", "--json")) {
		if d.ID == id {
			return d.Source
		}
	}
	return "not known"
}

func called(name string) func(discovery.Attributes) bool {
	return func(a discovery.Attributes) bool { return a.HostName == name }
}

// A lease file gives a name to who is heard by ARP only. It brings nobody home,
// keeps nobody there, and makes no device of who was never heard.
func TestLeaseFile(t *testing.T) {
	t.Parallel()
	h, file := leased(t, false, doorCam, ghost)
	d := h.nameless(doorCam)
	h.env["LEASE_FILES"] = file
	p := h.begin()
	h.shows(d, "its name", called("door-camera"))
	h.namedBy(idOf(d), "lease_file")
	if got := h.source(presence.MAC(ghost.MAC).ID()); got != "not known" {
		t.Errorf("the ghost is a device, with a name from %q", got)
	}
	if _, found := h.doctor(); found["names"].Level != "ok" {
		t.Errorf("doctor: %+v", found["names"])
	}
	d.Sleep()
	if e := h.sub.awaitEvent(presence.Left, presence.MAC(d.MAC)); e.Name != "door-camera" {
		t.Errorf("%+v", e)
	}

	// Somebody joins while nothing can be heard; the server writes it down.
	tablet := h.lab.Client("tablet")
	h.lab.Must(h.obs.Unplug())
	p.says("cannot hear")
	h.join(tablet)
	p.says("entries=3")
	h.lab.Must(h.obs.Plug(t.Context()))
	h.sub.awaitEvent(presence.SensingBack, presence.MAC{})
	h.sub.publish(topics.Scan(), "", false)
	if e := h.sub.awaitEvent(presence.NewDevice, macOf(tablet)); e.Name != "tablet" {
		t.Errorf("%+v", e)
	}
	h.namedBy(macOf(tablet).ID(), "lease_file")

	// A lease does not keep its device from being away, and a restart changes nothing.
	p.stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p = h.start()
	p.says("it is waited for")
	h.sub.awaitTopic(topics.State(idOf(d)), "not_home")
	h.shows(d, "its name, as before", called("door-camera"))
}

// A hosts file names who has the address.
func TestHostsFile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.nameless(doorCam)
	h.env["HOSTS_FILES"] = filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(h.env["HOSTS_FILES"], []byte("127.0.0.1 localhost\n10.77.0.5 camera.lan camera\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.begin()
	h.shows(d, "its name", called("camera"))
	h.namedBy(idOf(d), "hosts_file")
}

// The device itself is asked for its name by mDNS, and else the DNS server.
func TestNameLookup(t *testing.T) {
	t.Parallel()
	h, _ := leased(t, true, doorCam)
	d := h.nameless(doorCam)
	speaker := h.lab.Client("speaker", lab.WithAddr(h.lab.Static(9)), lab.WithHostName(""))
	h.join(speaker)
	questions := respond(t, speaker, "kitchen-speaker.local.")
	bulb := h.lab.Client("bulb", lab.IPv6Only) // as Matter's are
	h.join(bulb)
	respond(t, bulb, "bulb.local.")
	h.env["NAME_LOOKUP"] = "mdns,dns:" + h.lab.Gateway().Addr().String()
	h.begin()
	for c, name := range map[*lab.Client]string{speaker: "kitchen-speaker", bulb: "bulb"} {
		h.sub.await("the name "+name, func() bool {
			return containsAll(h.sub.latest[topics.Attributes(macOf(c).ID())], []string{`"host_name":"` + name + `"`})
		})
	}
	h.shows(d, "the camera's name", called("door-camera"))
	for id, want := range map[presence.ID]string{macOf(speaker).ID(): "mdns", macOf(bulb).ID(): "mdns", idOf(d): "dns"} {
		h.namedBy(id, want)
	}
	if n := len(questions); n == 0 || n > 2 { // the second time where the machine is slow
		t.Errorf("the speaker was asked %d times", n)
	}
}

// respond has a host answer questions for its name by mDNS. Each of them is in
// the channel that it returns.
func respond(t *testing.T, c *lab.Client, name string) <-chan string {
	t.Helper()
	var conn *net.UDPConn
	err := c.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", &net.UDPAddr{Port: 5353})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	asked, done := make(chan string, 100), make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				t.Errorf("asked %x", buf[:n])
				continue
			}
			asked <- m.Questions[0].Name.String()
			m.Response, m.Authoritative = true, true
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET, TTL: 10},
				Body:   &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(name)},
			}}
			if b, err := m.Pack(); err == nil {
				_, _ = conn.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	return asked
}
