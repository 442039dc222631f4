package capture

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"porchlight/capture/capturetest"
)

// What passes a port of a bridge, or a VLAN, passes another interface too.
func TestDescribeAll(t *testing.T) {
	attrs := func(index int, name string, change func(*netlink.LinkAttrs)) netlink.LinkAttrs {
		a := netlink.LinkAttrs{Index: index, Name: name, NetNsID: -1}
		if change != nil {
			change(&a)
		}
		return a
	}
	master := func(m int) func(*netlink.LinkAttrs) { return func(a *netlink.LinkAttrs) { a.MasterIndex = m } }
	parent := func(p int) func(*netlink.LinkAttrs) { return func(a *netlink.LinkAttrs) { a.ParentIndex = p } }
	links := []netlink.Link{
		&netlink.Device{LinkAttrs: attrs(1, "lo", func(a *netlink.LinkAttrs) { a.RawFlags |= unix.IFF_LOOPBACK })},
		&netlink.Device{LinkAttrs: attrs(2, "eth0", master(4))},
		&netlink.Device{LinkAttrs: attrs(3, "eth1", nil)},
		&netlink.Bridge{LinkAttrs: attrs(4, "br0", nil)},
		&netlink.Vlan{LinkAttrs: attrs(5, "eth1.7", parent(3))},
		&netlink.Vlan{LinkAttrs: attrs(6, "vlan9", func(a *netlink.LinkAttrs) { a.ParentIndex, a.NetNsID = 3, 0 })}, // on one of another namespace
		&netlink.Veth{LinkAttrs: attrs(7, "veth7", parent(3))},
		&netlink.Bond{LinkAttrs: attrs(8, "bond0", nil)},
		&netlink.Device{LinkAttrs: attrs(9, "eth2", master(8))},
		&netlink.GenericLink{LinkAttrs: attrs(10, "ovs-system", nil), LinkType: "openvswitch"},
		&netlink.Device{LinkAttrs: attrs(11, "eth3", master(10))},
		&netlink.Device{LinkAttrs: attrs(12, "eth4", master(99))}, // it has just gone
		&netlink.Vrf{LinkAttrs: attrs(13, "vrf0", nil)},
		&netlink.Device{LinkAttrs: attrs(14, "eth5", master(13))},
		&netlink.Vlan{LinkAttrs: attrs(15, "eth0.8", parent(2))},
		&netlink.Vlan{LinkAttrs: attrs(16, "eth0.9", func(a *netlink.LinkAttrs) { a.ParentIndex, a.MasterIndex = 2, 4 })},
		&netlink.Vlan{LinkAttrs: attrs(17, "eth1.7.8", parent(5))},
		&netlink.Vlan{LinkAttrs: attrs(18, "eth0.8.9", parent(15))},
	}
	want := []Interface{
		{Index: 1, Name: "lo", Loopback: true},
		{Index: 2, Name: "eth0", Twice: "a port of br0"},
		{Index: 3, Name: "eth1"},
		{Index: 4, Name: "br0"},
		{Index: 5, Name: "eth1.7", Twice: "a VLAN on eth1"},
		{Index: 6, Name: "vlan9"},
		{Index: 7, Name: "veth7"},
		{Index: 8, Name: "bond0"},
		{Index: 9, Name: "eth2", Twice: "a port of bond0"},
		{Index: 10, Name: "ovs-system"},
		{Index: 11, Name: "eth3"},
		{Index: 12, Name: "eth4"},
		{Index: 13, Name: "vrf0", Twice: "a VRF, above its ports"},
		{Index: 14, Name: "eth5"},
		{Index: 15, Name: "eth0.8"}, // the bridge gets the other frames only
		{Index: 16, Name: "eth0.9", Twice: "a port of br0"},
		{Index: 17, Name: "eth1.7.8", Twice: "a VLAN on eth1.7"},
		{Index: 18, Name: "eth0.8.9", Twice: "a VLAN on eth0.8"},
	}
	if diff := cmp.Diff(want, describeAll(links)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Changes are told, and the list is of now.
func TestInterfaces(t *testing.T) {
	w := capturetest.NewWire(t)
	var all *Interfaces
	w.Do(func() {
		var err error
		if all, err = WatchInterfaces(); err != nil {
			t.Error(err)
		}
	})
	if all == nil {
		t.FailNow()
	}
	defer all.Close()
	names := func() (names []string) {
		list, err := all.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			names = append(names, i.Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"lo", capturetest.Far, capturetest.Near}, names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.Do(func() {
		if err := netlink.LinkDel(w.Link(capturetest.Near)); err != nil {
			t.Error(err)
		}
	})
	select {
	case _, ok := <-all.Changed():
		if !ok {
			t.Error("the watch has ended")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no change is told")
	}
	if diff := cmp.Diff([]string{"lo"}, names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
