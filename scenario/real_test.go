package scenario

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"porchlight/discovery"
	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

// reality is a world in a virtual LAN: everything in it is real but the wire.
type reality struct {
	*house
	clients map[string]*lab.Client
	cellar  *labtest.Lab    // nil: there is one segment
	second  *lab.Host       // the observer in the cellar
	below   map[string]bool // who is there
	running *process
}

// raise makes the world; who is there before the start has joined.
func raise(t *testing.T, s story) *reality {
	people := s.people
	ipv6 := slices.ContainsFunc(people, func(p person) bool { return p.ipv6 })
	w := &reality{house: houseOn(t, lab.Options{Prefix: lan, IPv6: ipv6}), clients: map[string]*lab.Client{}}
	w.withBroker("")
	w.sub.connect()
	if s.cellar {
		w.cellar, w.second = w.addCellar()
		w.below = map[string]bool{}
	}
	for i, p := range people {
		if p.name == gateway.name {
			people[i].mac = presence.MAC(w.lab.Gateway().MAC())
			continue
		}
		opts := []lab.HostOption{lab.WithMAC(p.mac)}
		if p.static > 0 {
			opts = append(opts, lab.WithAddr(w.lab.Static(p.static)))
		}
		if p.ipv6 {
			opts = append(opts, lab.IPv6Only)
		}
		w.clients[p.name] = w.lab.Client(p.name, opts...)
		if p.here {
			w.house.join(w.clients[p.name])
		}
	}
	return w
}

func (w *reality) client(p person) *lab.Client { return w.clients[p.name] }

func (w *reality) timeout() time.Duration { return realTimeout }

func (w *reality) start() { w.running = w.house.start() }
func (w *reality) kill()  { w.running.cmd.Kill() }

func (w *reality) stop() {
	w.running.stop()
	w.sub.awaitTopic(topics.Status(), "offline")
}

func (w *reality) breakBroker() { w.broker.Kill() }

func (w *reality) mendBroker() {
	w.within(func(ctx context.Context) error { return w.broker.Start(ctx) })
	w.sub.mu.Lock()
	clear(w.sub.latest) // a killed broker has forgotten what it kept
	w.sub.mu.Unlock()
	w.sub.connect()
}

// cable is the observer's on one of its interfaces.
func (w *reality) cable(ifname string) *lab.Host {
	if ifname == "lan1" {
		return w.second
	}
	return w.obs.Host
}

func (w *reality) unplug(ifname string) { w.lab.Must(w.cable(ifname).Unplug()) }

func (w *reality) plug(ifname string) {
	w.within(func(ctx context.Context) error { return w.cable(ifname).Plug(ctx) })
}

func (w *reality) roam(p person) {
	to := w.cellar
	if w.below[p.name] {
		to = w.lab
	}
	w.below[p.name] = !w.below[p.name]
	w.lab.Must(w.client(p).Move(to.Lab))
	// Nobody is there and here at once: what is heard in two segments within a
	// quarter of a second came through both interfaces.
	time.Sleep(time.Second / 2)
	w.house.join(w.client(p))
}

func (w *reality) within(f func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w.lab.Must(f(ctx))
}

func (w *reality) join(p person) {
	w.house.join(w.client(p))
	if p.static > 0 {
		w.announce(p)
	}
}

func (w *reality) rotate(p person, m presence.MAC) { w.lab.Must(w.client(p).Rotate(lab.MAC(m))) }

func (w *reality) set(p person, payload string) {
	w.sub.publish(topics.Set(p.mac.ID()), payload, false)
}

func (w *reality) leave(p person) { w.lab.Must(w.client(p).Leave()) }
func (w *reality) sleep(p person) { w.lab.Must(w.client(p).Sleep()) }
func (w *reality) wake(p person)  { w.lab.Must(w.client(p).Wake()) }

func (w *reality) announce(p person) {
	_, err := w.client(p).Announce()
	w.lab.Must(err)
}

func (w *reality) renew(p person) { w.within(w.client(p).Renew) }

// release sends the RELEASE of one who stays to everyone, so that it is heard.
func (w *reality) release(p person, stays bool) {
	if !stays {
		w.within(w.client(p).Release)
		return
	}
	w.say(p, lab.DHCP{
		Type: dhcpv4.MessageTypeRelease, MAC: p.mac, From: w.addr(p), To: w.lab.Gateway().Addr(),
		ClientAddr: w.addr(p), Server: w.lab.Gateway().Addr(),
	})
}

func (w *reality) say(p person, m lab.DHCP) {
	frame, err := m.Frame()
	w.lab.Must(err)
	_, err = w.client(p).Say(frame)
	w.lab.Must(err)
}

func (w *reality) claim(p person, second bool) {
	was, a := w.addr(p), another(w.addr(p))
	w.ip(p, "addr", "add", a.String()+"/26", "dev", "lan0")
	if !second {
		w.say(p, lab.DHCP{Type: dhcpv4.MessageTypeRequest, MAC: p.mac, Requested: a})
		w.ip(p, "addr", "del", was.String()+"/26", "dev", "lan0")
		w.ip(p, "addr", "replace", a.String()+"/26", "dev", "lan0") // the kernel took it away with the first
	}
	_, err := w.client(p).Say(lab.Announcement(p.mac, a).Frame())
	w.lab.Must(err)
}

// another is an address that nobody has.
func another(a netip.Addr) netip.Addr {
	b := a.As4()
	b[3] += 10
	return netip.AddrFrom4(b)
}

func (w *reality) ip(p person, args ...string) {
	out, err := w.client(p).Command(context.Background(), "ip", args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

func (w *reality) offered(by, to person) {
	a := w.addr(to)
	if !a.IsValid() {
		a = netip.MustParseAddr("10.77.0.60")
	}
	from, say := w.lab.Gateway().Addr(), w.lab.Gateway().Say
	if by.name != gateway.name {
		from, say = w.addr(by), w.client(by).Say
	}
	for _, kind := range []dhcpv4.MessageType{dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck} {
		m, err := dhcpv4.New(dhcpv4.WithMessageType(kind), dhcpv4.WithHwAddr(net.HardwareAddr(to.mac[:])), dhcpv4.WithYourIP(a.AsSlice()))
		w.lab.Must(err)
		m.OpCode = dhcpv4.OpcodeBootReply
		m.UpdateOption(dhcpv4.OptServerIdentifier(from.AsSlice()))
		eth := &layers.Ethernet{SrcMAC: by.mac[:], DstMAC: lab.Broadcast[:], EthernetType: layers.EthernetTypeIPv4}
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: from.AsSlice(), DstIP: a.AsSlice()}
		udp := &layers.UDP{SrcPort: 67, DstPort: 68}
		w.lab.Must(udp.SetNetworkLayerForChecksum(ip))
		buf := gopacket.NewSerializeBuffer()
		w.lab.Must(gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
			eth, ip, udp, gopacket.Payload(m.ToBytes())))
		_, err = say(buf.Bytes())
		w.lab.Must(err)
	}
}

// proxy makes the kernel answer for whom it could reach through the interface
// that it is asked on (RFC 3069), which is everyone.
func (w *reality) proxy(p person) {
	for _, setting := range []string{"ip_forward=1", "neigh/lan0/proxy_delay=0", "conf/lan0/proxy_arp_pvlan=1"} {
		name, value, _ := strings.Cut(setting, "=")
		write := "echo " + value + " > /proc/sys/net/ipv4/" + name
		if out, err := w.client(p).Command(context.Background(), "sh", "-c", write).CombinedOutput(); err != nil {
			w.t.Fatalf("%s: %v: %s", write, err, out)
		}
	}
}

func (w *reality) ask(p person) {
	for a := lan.Addr().Next(); lan.Contains(a); a = a.Next() {
		_, err := w.client(p).Say(lab.Request(p.mac, w.addr(p), a).Frame())
		w.lab.Must(err)
	}
}

func (w *reality) usurp(p, of person) {
	_, err := w.client(p).Say(lab.Announcement(p.mac, w.addr(of)).Frame())
	w.lab.Must(err)
}

func (w *reality) scan() { w.sub.publish(topics.Scan(), "", false) }

func (w *reality) next(within time.Duration) (presence.Event, bool) { return w.sub.next(within) }
func (w *reality) await(time.Duration) (presence.Event, bool)       { return w.sub.next(patience) }
func (w *reality) slack() time.Duration                             { return 2 * time.Second }

func (w *reality) state(p person) presence.State {
	return presence.State(w.sub.get(topics.State(p.mac.ID())))
}

func (w *reality) attributes(p person) (a discovery.Attributes) {
	if s := w.sub.get(topics.Attributes(p.mac.ID())); s != "" {
		if err := json.Unmarshal([]byte(s), &a); err != nil {
			w.t.Errorf("attributes %q: %v", s, err)
		}
	}
	return a
}

func (w *reality) status() string { return w.sub.get(topics.Status()) }

func (w *reality) summary() (s summary) {
	if text := w.sub.get(topics.Summary()); text != "" {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			w.t.Errorf("summary %q: %v", text, err)
		}
	}
	return s
}

func (w *reality) addr(p person) netip.Addr {
	if p.ipv6 {
		a, err := w.client(p).LinkLocal()
		w.lab.Must(err)
		return a
	}
	return w.client(p).Addr()
}

func (w *reality) settle(until func() bool) {
	if until == nil {
		return
	}
	// The condition reads through the subscriber's lock, so it is looked at outside of it.
	deadline := time.Now().Add(3 * patience) // the pauses between tries to connect grow
	for !until() && time.Now().Before(deadline) {
		w.sub.mu.Lock()
		changed := w.sub.changed
		w.sub.mu.Unlock()
		if until() {
			return
		}
		select {
		case <-changed:
		case <-time.After(time.Until(deadline)):
		}
	}
}
