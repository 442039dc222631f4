package capture

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"porchlight/capture/capturetest"
	"porchlight/presence"
)

// message is what the kernel says about a link.
func message(typ uint16, family uint8, index int, name string) netlink.LinkUpdate {
	return netlink.LinkUpdate{
		IfInfomsg: nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Family: family, Index: int32(index)}},
		Header:    unix.NlMsghdr{Type: typ},
		Link:      &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index, Name: name}},
	}
}

func TestLinkConcerns(t *testing.T) {
	eth0 := linkState{Link: Link{Index: 2}}
	tests := []struct {
		name string
		from linkState
		msg  netlink.LinkUpdate
		want bool
	}{
		{"it appears", linkState{}, message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 2, "eth0"), true},
		{"it changes", eth0, message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 2, "eth0"), true},
		{"it is deleted", eth0, message(unix.RTM_DELLINK, unix.AF_UNSPEC, 2, "eth0"), true},
		{"it is renamed", eth0, message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 2, "lan0"), true},
		{"another takes the name", eth0, message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 7, "eth0"), true},
		{"another link", eth0, message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 3, "eth1"), false},
		{"it leaves a bridge", eth0, message(unix.RTM_DELLINK, unix.AF_BRIDGE, 2, "eth0"), false},
	}
	for _, tt := range tests {
		if got := tt.from.concerns("eth0", tt.msg); got != tt.want {
			t.Errorf("%s: concerns it: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestLinkBlind(t *testing.T) {
	attrs := func(index int, flags uint32) linkState {
		return describe(&netlink.LinkAttrs{Index: index, HardwareAddr: station[:], RawFlags: flags, EncapType: "ether"})
	}
	tests := []struct {
		state linkState
		why   string
	}{
		{linkState{}, "eth0 does not exist"},
		{attrs(2, 0), "eth0 is down"},
		{attrs(2, unix.IFF_LOWER_UP), "eth0 is down"},
		{attrs(2, unix.IFF_UP), "no carrier on eth0"},
		{attrs(2, unix.IFF_UP|unix.IFF_LOWER_UP), ""},
	}
	for _, tt := range tests {
		if why := tt.state.blind("eth0"); why != tt.why {
			t.Errorf("%+v: blind because %q, want %q", tt.state, why, tt.why)
		}
	}
}

// TestWatchAgain is what happens when the kernel had more to say than the
// netlink socket could hold: the state is asked for anew.
func TestWatchAgain(t *testing.T) {
	wire := capturetest.NewWire(t)
	wire.Do(func() {
		w, link, err := watchLink(capturetest.Near)
		if err != nil {
			t.Error(err)
			return
		}
		l := NewListener(Config{Interface: capturetest.Near, Handle: func(Frame) {}, Log: slog.New(slog.DiscardHandler)})
		s := &session{Listener: l, watch: w, link: link}
		defer s.end()
		if why := s.link.blind(capturetest.Near); why != "" {
			t.Errorf("blind because %q", why)
		}
		wire.SetUp(capturetest.Far, false) // nobody reads the message of this
		if err := s.linkChanged(netlink.LinkUpdate{}, false); err != nil {
			t.Error(err)
		}
		if why := s.link.blind(capturetest.Near); why != "no carrier on near" {
			t.Errorf("blind because %q", why)
		}
	})
}

// TestListenerNotEthernet: lo has Ethernet headers, a tunnel has none.
func TestListenerNotEthernet(t *testing.T) {
	l := NewListener(Config{Interface: "tun0", Handle: func(Frame) {}, State: func(presence.Sensing) {}})
	s := &session{Listener: l, link: linkState{Link: Link{Index: 9}, up: true, carrier: true, encap: "none"}}
	if err := s.follow(); !errors.Is(err, ErrNotEthernet) || !permanent(err) {
		t.Errorf("error %v, want ErrNotEthernet", err)
	}
}
