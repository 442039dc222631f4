package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

// addCellar raises a second segment with a DHCP server of its own, on which the
// observer has lan1.
func (h *house) addCellar() (*labtest.Lab, *lab.Host) {
	h.t.Helper()
	cellar := labtest.StartWith(h.t, lab.Options{Prefix: netip.MustParsePrefix("10.78.0.0/26")})
	h.env["INTERFACES"] = "lan0,lan1"
	return cellar, cellar.Attach(h.obs.Host, "lan1", lab.WithAddr(cellar.Static(30)))
}

// sensing is what the summary says of an interface.
func (h *house) sensing(ifname string) (is struct {
	OK  bool
	Why string
}, known bool,
) {
	var s struct {
		Sensing map[string]struct {
			OK  bool
			Why string
		}
	}
	if text := h.sub.get(topics.Summary()); text != "" {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			h.t.Errorf("summary %q: %v", text, err)
		}
	}
	is, known = s.Sensing[ifname]
	return is, known
}

// problem waits until the summary has a problem with these words, or no problem
// at all when there are none.
func (h *house) problem(words ...string) {
	h.t.Helper()
	h.sub.await(fmt.Sprintf("the problem %q", words), func() bool {
		var s summary
		text := h.sub.latest[topics.Summary()]
		if text == "" || json.Unmarshal([]byte(text), &s) != nil {
			return false
		}
		all := strings.Join(s.Problems, "\n")
		return containsAll(all, words) && (len(words) > 0) == (len(s.Problems) > 0)
	})
}

// An interface that is missing at the start is heard on once it is there; the
// others work meanwhile.
func TestInterfaceThatComesLater(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.env["INTERFACES"] = "lan0,lan1"
	phone := h.lab.Client("phone")
	h.sub.connect()
	h.start()
	for missing := []presence.EventType{presence.SensingLost, presence.Baseline}; len(missing) > 0; {
		e, ok := h.sub.next(patience)
		i := slices.Index(missing, e.Type)
		if !ok || i < 0 {
			t.Fatalf("told of %+v, want %s", e, missing)
		}
		missing = slices.Delete(missing, i, i+1)
	}
	h.sub.await("lan1 to be missing", func() bool { return strings.Contains(h.sub.latest[topics.Summary()], "lan1 does not exist") })
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))

	cellar, second := h.addCellar()
	printer := cellar.Client("printer")
	eventually(t, "lan1 to hear", func() error {
		if is, _ := h.sensing("lan1"); !is.OK {
			return errors.New(is.Why)
		}
		return nil
	})
	h.join(printer)
	h.sub.awaitEvent(presence.Arrived, macOf(printer))
	// It goes with its interface, and is there again with it.
	cellar.Must(second.Delete())
	eventually(t, "lan1 to be missing again", func() error {
		if is, _ := h.sensing("lan1"); is.OK || is.Why != "lan1 does not exist" {
			return errors.New(is.Why)
		}
		return nil
	})
	h.lab.Must(phone.Leave())
	h.sub.awaitEvent(presence.Left, macOf(phone))
	if s := h.sub.get(topics.State(macOf(printer).ID())); s != string(home) {
		t.Errorf("the printer is %q", s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cellar.Must(second.Recreate(ctx))
	cellar.Must(printer.Leave())
	h.sub.awaitEvent(presence.Left, macOf(printer))
}

// Two interfaces on one segment hear everything twice, and each other: nobody
// flaps, this machine is no device, not even with an interface that comes later,
// and the warning goes when the kernel is set well.
func TestTwoInterfacesOnOneSegment(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.lab.Attach(h.obs.Host, "lan1", lab.WithAddr(h.lab.Static(31)))
	h.env["INTERFACES"] = "lan0,lan1"
	phone := h.lab.Client("phone")
	p := h.begin()
	h.problem("lan0 and lan1 are both on 10.77.0.0/26", "ARP flux", "arp_ignore=1")
	report := func() string {
		p, _ := h.run("doctor")
		return p.stdout.String()
	}
	if text := report(); !strings.Contains(text, "lan0 and lan1 are both on") || !strings.Contains(text, "arp_ignore=1") {
		t.Errorf("doctor says:\n%s", text)
	}
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))

	third := h.lab.Attach(h.obs.Host, "wlan0", lab.WithAddr(h.lab.Static(32)))
	p.says(`interfaces="[lan0 lan1 wlan0]"`)
	_, err := third.Announce()
	h.lab.Must(err)
	h.lab.Must(h.obs.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/all/arp_ignore", []byte("1"), 0) }))
	h.lab.Must(third.Close()) // a change is a reason to look again
	h.problem()
	if e, ok := h.sub.next(realTimeout * 3 / 2); ok {
		t.Errorf("told of %+v", e)
	}
	if text := report(); strings.Contains(text, "ARP flux") {
		t.Errorf("doctor says:\n%s", text)
	}
	h.lab.Must(phone.Leave())
	h.sub.awaitEvent(presence.Left, macOf(phone))
}

// Two interfaces with different subnets in one switch hear each other.
func TestTwoSubnetsOnOneSegment(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	second := h.lab.Attach(h.obs.Host, "lan1")
	h.env["INTERFACES"] = "lan0,lan1"
	h.begin()
	_, err := second.Say(lab.Announcement(second.MAC(), netip.MustParseAddr("10.99.0.1")).Frame())
	h.lab.Must(err)
	h.problem("lan0 and lan1 hear each other", "arp_ignore=1")
}

// A phone that goes over to a VLAN, which is heard as tagged frames on the trunk,
// stays home, and its departure from there is known.
func TestTaggedSegment(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	phone := h.lab.Client("phone")
	sender := h.lab.Observer("lan7") // says what the phone says in the VLAN
	h.begin()
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
	h.lab.Must(phone.Leave())
	if e, ok := h.sub.next(time.Second); ok { // nobody is on two segments at once
		t.Errorf("told of %+v", e)
	}

	a := netip.MustParseAddr("10.79.0.5")
	request, err := lab.DHCP{Type: dhcpv4.MessageTypeRequest, MAC: phone.MAC(), Requested: a}.Frame()
	h.lab.Must(err)
	_, err = sender.Say(vlan(10, request))
	h.lab.Must(err)
	_, err = sender.Say(vlan(10, lab.Announcement(phone.MAC(), a).Frame())) // heard before or after, by another socket
	h.lab.Must(err)
	if e := h.sub.awaitEvent(presence.AddressChanged, macOf(phone)); e.Addr != a {
		t.Errorf("%+v", e)
	}
	tick := time.NewTicker(realTimeout / probesPerTimeout)
	defer tick.Stop()
	for range 2 * probesPerTimeout {
		_, err = sender.Say(vlan(10, lab.Request(phone.MAC(), a, a.Prev()).Frame()))
		h.lab.Must(err)
		<-tick.C
	}
	if e, ok := h.sub.next(0); ok {
		t.Errorf("told of %+v", e)
	}
	if e := h.sub.awaitEvent(presence.Left, macOf(phone)); !strings.HasPrefix(e.Why, "no answer to ") {
		t.Errorf("%+v", e)
	}
}

// vlan puts an 802.1Q tag into a frame.
func vlan(id byte, frame []byte) []byte {
	return slices.Concat(frame[:12], []byte{0x81, 0, 0, id}, frame[12:])
}
