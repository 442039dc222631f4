package capture

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"porchlight/capture/capturetest"
	"porchlight/presence"
)

// message is what the kernel says about a link.
func message(typ uint16, family uint8, index int, name string, flags uint32) netlink.LinkUpdate {
	return netlink.LinkUpdate{
		IfInfomsg: nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Family: family, Index: int32(index)}},
		Header:    unix.NlMsghdr{Type: typ},
		Link: &netlink.Device{LinkAttrs: netlink.LinkAttrs{
			Index: index, Name: name, HardwareAddr: station[:], RawFlags: flags, EncapType: "ether",
		}},
	}
}

func TestLinkNext(t *testing.T) {
	const up, carrier = unix.IFF_UP, unix.IFF_UP | unix.IFF_LOWER_UP
	prefixes := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}
	at := func(index int) Link { return Link{Index: index, MAC: station, Prefixes: prefixes} }
	well := linkState{Link: at(2), up: true, carrier: true, encap: "ether"}
	tests := []struct {
		name string
		from linkState
		msg  netlink.LinkUpdate
		want linkState
		why  string
	}{
		{
			name: "appears", msg: message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 2, "eth0", 0),
			want: linkState{Link: Link{Index: 2, MAC: station}, encap: "ether"}, why: "eth0 is down",
		}, {
			name: "set up without carrier", from: well, msg: message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 2, "eth0", up),
			want: linkState{Link: at(2), up: true, encap: "ether"}, why: "no carrier on eth0",
		}, {
			name: "carrier comes", from: linkState{Link: at(2), up: true},
			msg: message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 2, "eth0", carrier), want: well,
		}, {
			name: "deleted", from: well, msg: message(unix.RTM_DELLINK, unix.AF_UNSPEC, 2, "eth0", 0),
			why: "eth0 does not exist",
		}, {
			name: "renamed", from: well, msg: message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 2, "lan0", carrier),
			why: "eth0 does not exist",
		}, {
			name: "another takes the name", from: well, msg: message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 7, "eth0", carrier),
			want: linkState{Link: Link{Index: 7, MAC: station}, up: true, carrier: true, encap: "ether"},
		},
		{name: "the old one is deleted after that", from: well, msg: message(unix.RTM_DELLINK, unix.AF_UNSPEC, 1, "eth0", 0), want: well},
		{name: "another link", from: well, msg: message(unix.RTM_NEWLINK, unix.AF_UNSPEC, 3, "eth1", 0), want: well},
		{name: "taken out of a bridge", from: well, msg: message(unix.RTM_DELLINK, unix.AF_BRIDGE, 2, "eth0", up), want: well},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.from.next("eth0", tt.msg)
			opts := cmp.Options{cmp.AllowUnexported(linkState{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
			if d := cmp.Diff(tt.want, got, opts); d != "" {
				t.Errorf("state (-want +got):\n%s", d)
			}
			if why := got.blind("eth0"); why != tt.why {
				t.Errorf("blind because %q, want %q", why, tt.why)
			}
		})
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
	if err := s.follow(); err != ErrNotEthernet || !permanent(err) {
		t.Errorf("error %v, want ErrNotEthernet", err)
	}
}
