package presence

import (
	"net/netip"
	"time"
)

// trouble names one odd thing about a network: what, and of whom. It is told
// once, and again only when it comes back after it had been over for long.
type trouble struct {
	kind EventType
	mac  MAC        // the zero MAC where it is about an address
	addr netip.Addr // invalid where it is about a device
}

const (
	// overAfter is how long a trouble must not have been noticed to be over. A
	// phone that scans the network every evening is told of once.
	overAfter = 36 * time.Hour
	// overSeldom is the same for servers and routers, which are heard seldom.
	overSeldom = 30 * 24 * time.Hour
	// maxTroubles bounds how many of a kind can be told until one is over: who
	// makes up MACs and addresses makes no flood of events.
	maxTroubles = 32
)

// TroubleTypes lists the types of events that tell of a trouble.
func TroubleTypes() []EventType {
	return []EventType{AddressConflict, VendorChanged, ProxyFound, NetworkScan, SecondDHCP, SecondRouter}
}

func (t trouble) over() time.Duration {
	if t.kind == SecondDHCP || t.kind == SecondRouter {
		return overSeldom
	}
	return overAfter
}

// troubleOf returns the trouble that ev told of; ok is false for other events.
func troubleOf(ev Event) (t trouble, ok bool) {
	switch ev.Type {
	case ProxyFound, NetworkScan:
		return trouble{kind: ev.Type, mac: ev.MAC}, true
	case VendorChanged:
		return trouble{kind: ev.Type, mac: ev.MAC, addr: ev.Addr}, true
	case AddressConflict, SecondDHCP, SecondRouter:
		return trouble{kind: ev.Type, addr: ev.Addr}, true
	}
	return trouble{}, false
}

// troubles are those that were told, and when each was last noticed.
type troubles map[trouble]time.Time

// notice reports whether t is to be told now.
func (ts troubles) notice(t trouble, now time.Time) bool {
	if last, ok := ts[t]; ok && now.Sub(last) < t.over() {
		ts[t] = now
		return false
	}
	same := 0
	for o, last := range ts {
		switch {
		case o.kind != t.kind:
		case now.Sub(last) >= o.over():
			delete(ts, o)
		default:
			same++
		}
	}
	if same >= maxTroubles {
		return false
	}
	ts[t] = now
	return true
}

// remember takes what was told before a restart. It may have gone on until then.
func (ts troubles) remember(events []Event, now time.Time) {
	for _, ev := range events {
		if t, ok := troubleOf(ev); ok {
			ts[t] = now
		}
	}
}

// tellTrouble emits t once; why is asked for only then. d may be nil.
func (e *Engine) tellTrouble(t trouble, d *device, ifname string, why func() string, sides ...Found) {
	if !e.troubles.notice(t, e.now) {
		return
	}
	ev := Event{Type: t.kind, Time: e.now.Round(0).UTC(), MAC: t.mac, Addr: t.addr, Interface: ifname, Why: why(), Devices: sides}
	if d != nil {
		ev.ID, ev.Name, ev.HostName, ev.Vendor = d.ID, d.DisplayName(), d.HostName, d.Vendor
		if ev.MAC == (MAC{}) {
			ev.MAC = d.MAC
		}
		if !ev.Addr.IsValid() {
			ev.Addr = d.Address()
		}
	}
	ev.PrivateMAC = ev.MAC.Private()
	e.out.Events = append(e.out.Events, ev)
}

// side is the part of m, which has the address a, in a trouble.
func (e *Engine) side(m MAC, a netip.Addr) Found {
	f := Found{MAC: m, Addr: a}
	if d := e.byMAC[m]; d != nil {
		f.ID, f.Name = d.ID, d.DisplayName()
	}
	return f
}

// words names a side: "Printer (3c:22:fb:00:00:12, Apple)".
func (e *Engine) words(f Found) string {
	if f.MAC == (MAC{}) {
		return "a machine that has not been heard otherwise"
	}
	about := f.MAC.String()
	switch vendor := e.vendorOf(f.MAC); {
	case f.MAC.Private():
		about += ", private MAC"
	case vendor != "":
		about += ", " + vendor
	}
	if f.Name == "" {
		return about
	}
	return f.Name + " (" + about + ")"
}

func (e *Engine) vendorOf(m MAC) string {
	if m.Private() {
		return ""
	}
	return e.cfg.Vendor(m)
}
