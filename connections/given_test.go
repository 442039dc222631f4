package connections

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRange(t *testing.T) {
	for in, want := range map[string][2]uint16{
		"32768\t60999\n": {32768, 60999}, "1024\t65535\n": {1024, 65535},
		"": {firstGiven, lastGiven}, "5\t4\n": {firstGiven, lastGiven}, "1 2 3": {firstGiven, lastGiven}, "-1 5": {firstGiven, lastGiven}, "1 70000": {firstGiven, lastGiven},
	} {
		if first, last := parseRange([]byte(in)); first != want[0] || last != want[1] {
			t.Errorf("%q: %d to %d", in, first, last)
		}
	}
}

func TestMarkGiven(t *testing.T) {
	vpn, browser, dns := &Process{PID: 10, Name: "vpn"}, &Process{PID: 20, Name: "browser"}, &Process{PID: 30, Name: "dns"}
	udp := func(local string, inode uint64, p *Process) Connection {
		return Connection{Protocol: UDP, State: Unconnected, Local: netip.MustParseAddrPort(local), Inode: inode, Process: p}
	}
	all := []Connection{
		0: udp("0.0.0.0:53", 1, dns),
		1: udp("0.0.0.0:20000", 2, dns),
		2: udp("0.0.0.0:45000", 3, dns),                                                                               // a question
		3: udp("0.0.0.0:51820", 4, nil),                                                                               // WireGuard
		4: udp("0.0.0.0:41641", 5, vpn),                                                                               // for both
		5: udp("[::]:41641", 6, vpn),                                                                                  //
		6: udp("0.0.0.0:41641", 7, dns),                                                                               // another one's
		7: {Protocol: UDP, State: Connected, Local: netip.MustParseAddrPort("0.0.0.0:50000"), Inode: 8, Process: dns}, // not waiting
		8: {Protocol: TCP, State: Listen, Local: netip.MustParseAddrPort("0.0.0.0:50000"), Inode: 9, Process: dns},
		9: udp("0.0.0.0:61000", 10, dns),
	}
	for i := range uint16(mostPaired) { // and two of one number by chance
		all = append(all, udp(netip.AddrPortFrom(netip.IPv4Unspecified(), 40000+i).String(), uint64(100+i), browser))
	}
	all = append(all, udp("[::]:40000", 200, browser))
	markGiven(all, 32768, 60999, map[uint64]bool{4: true})
	var got, want []int
	for i := range all {
		if all[i].Given {
			got = append(got, i)
		}
		if i == 2 || i == 6 || i == 8 || i > 9 {
			want = append(want, i)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !all[8].Listening() || all[2].Listening() || !all[3].Listening() {
		t.Errorf("listening: %+v", all)
	}
}
