package connections

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const aStat = "812 (my (odd) name) S 1 812 812 0 -1 4194560 1 0 0 0 2 3 0 0 20 0 1 0 4321 1000 100 18446744073709551615\n"

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		in, name string
		ticks    uint64
		bad      bool
	}{
		{in: aStat, name: "my (odd) name", ticks: 4321},
		{in: strings.ReplaceAll(aStat, "odd", "\x1b[31m"), name: "my ( [31m) name", ticks: 4321},
		{in: "7 () S" + strings.SplitN(aStat, ") S", 2)[1], name: "(no name)", ticks: 4321},
		{in: "7 (\x1b\n \xff) S" + strings.SplitN(aStat, ") S", 2)[1], name: "(no name)", ticks: 4321},
		{in: "", bad: true},
		{in: "1 (sh", bad: true},
		{in: "1 )sh( S", bad: true},
		{in: "1 (sh) S 1 1 1", bad: true},
		{in: strings.Replace(aStat, "4321", "-1", 1), bad: true},
	} {
		name, ticks, err := parseStat([]byte(test.in))
		if name != test.name || ticks != test.ticks || (err != nil) != test.bad {
			t.Errorf("%q: %q, %d, %v", test.in, name, ticks, err)
		}
	}
}

func TestParseUID(t *testing.T) {
	for in, want := range map[string]int{
		"Name:\tsh\nUid:\t1000\t1001\t1000\t1000\nGid:\t5\t6\t7\t8\n": 1001,
		"Uid:\t0\t0\t0\t0\n": 0,
		"Name:\tsh\n":        -1,
		"Uid:\tx\ty\n":       -1,
		"Uid:\t5":            -1,
	} {
		uid, ok := parseUID([]byte(in))
		if !ok && want != -1 || ok && int(uid) != want {
			t.Errorf("%q: %d, %t", in, uid, ok)
		}
	}
}

func TestContainerOf(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for in, want := range map[string]string{
		"0::/system.slice/docker-" + id + ".scope\n":                                     "docker:0123456789ab",
		"12:pids:/docker/" + id + "\n11:cpu:/docker/" + id + "\n":                        "docker:0123456789ab",
		"0::/machine.slice/libpod-" + id + ".scope/container\n":                          "podman:0123456789ab",
		"0::/system.slice/pihole.service/libpod-payload-" + id + "\n":                    "podman:0123456789ab", // a Quadlet
		"0::/system.slice/nerdctl-" + id + ".scope\n":                                    "containerd:0123456789ab",
		"0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-" + id + ".scope\n": "containerd:0123456789ab",
		"0::/kubepods/burstable/pod1/" + id + "\n":                                       "kubernetes:0123456789ab",
		"0::/lxc.payload.nas/system.slice/cron.service\n":                                "lxc:nas",
		"0::/lxc/101/ns\n": "lxc:101",
		"0::/machine.slice/systemd-nspawn@web.service/payload\n": "machine:web",
		"0::/system.slice/docker.service\n":                      "",
		"0::/user.slice/user-1000.slice/session-1.scope\n":       "",
		"": "",
	} {
		if got := containerOf([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

const aNet = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uuid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 20555 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0200007F:C001 01 00000010:00000000 00:00000000 00000000     0        0 20556 1 0000000000000000 20 4 30 10 -1
   2: nonsense
`

const aNet6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uuid  timeout inode ref pointer drops
  14: 00000000000000000000000001000000:14E9 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   108        0 17  2 0000000000000000 0
  15: 0000000000000000FFFF00000100007F:14E9 0000000000000000FFFF00000200007F:0035 01 00000000:00000000 00:00000000 00000000   108        0 18  2 0000000000000000 0
`

func TestParseNet(t *testing.T) {
	end := netip.MustParseAddrPort
	same := cmpopts.EquateComparable(netip.AddrPort{})
	for _, test := range []struct {
		in, protocol string
		bad          int
		want         []Connection
	}{
		{aNet, TCP, 1, []Connection{
			{Protocol: TCP, State: Listen, Local: end("127.0.0.1:8080"), UID: 1000, Inode: 20555, Counters: Counters{ReceiveQueue: 3}},
			{Protocol: TCP, State: Established, Local: end("127.0.0.1:8080"), Remote: end("127.0.0.2:49153"), Inode: 20556, Counters: Counters{SendQueue: 16}},
		}},
		{aNet6, UDP, 0, []Connection{
			{Protocol: UDP, State: Unconnected, Local: end("[::1]:5353"), UID: 108, Inode: 17},
			{Protocol: UDP, State: Connected, Local: end("127.0.0.1:5353"), Remote: end("127.0.0.2:53"), UID: 108, Inode: 18},
		}},
		{"", TCP, 0, nil},
	} {
		got, bad, err := parseNet(strings.NewReader(test.in), test.protocol)
		if diff := cmp.Diff(test.want, got, same); diff != "" || bad != test.bad || err != nil {
			t.Errorf("%d bad, %v: %s", bad, err, diff)
		}
	}
}

func FuzzProc(f *testing.F) {
	f.Add([]byte(aStat))
	f.Add([]byte(aNet))
	f.Add([]byte(aNet6))
	f.Add([]byte("Uid:\t1000\t1001\n"))
	f.Add([]byte("0::/lxc.payload.nas/x\n"))
	f.Add([]byte("32768\t60999\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if name, _, err := parseStat(b); err == nil && len(name) > 64 {
			t.Errorf("a name of %d bytes", len(name))
		}
		if line := commandLine(b); len(line) > maxCommand || strings.ContainsAny(line, "\x00\n\x1b") {
			t.Errorf("a command line %q", line)
		}
		parseUID(b)
		if first, last := parseRange(b); first > last {
			t.Errorf("ports from %d to %d", first, last)
		}
		if c := containerOf(b); c != "" && (len(c) > 80 || strings.ContainsAny(c, "\x00\n\x1b")) {
			t.Errorf("a container %q", c)
		}
		all, _, err := parseNet(strings.NewReader(string(b)), TCP)
		for i := range all {
			if err == nil && (!all[i].Local.Addr().IsValid() || all[i].State == "") {
				t.Errorf("a connection %+v", all[i])
			}
		}
	})
}
