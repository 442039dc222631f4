package leases

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"porchlight/follow"
	"porchlight/presence"
)

// The files are as the servers write them.
const (
	dnsmasqText = `1795190400 00:16:3e:00:00:01 192.168.1.50 kettle 01:00:16:3e:00:00:01
0 02:16:3e:00:00:02 192.168.1.51 * *
1795190401 06-00:16:3e:00:00:03 192.168.1.52 tokenring *
1795190402 00:16:3e:00:00:04 192.168.1.53 nas.lan ff:00:16:3e:04
duid 00:01:00:01:2c:5f:aa:bb:00:16:3e:00:00:ff
1795190403 3145728 fd00::1234 kettle 00:01:00:01:2c:5f:aa:bb:00:16:3e:00:00:01
1795190404 T305419896 fd00::5678 * 00:03:00:01:00:16:3e:00:00:05
1795190405 12 fd00::9abc tablet 00:04:4c:4c:45:44:00:00
`
	kea4Text = `address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
192.168.1.50,00:16:3e:00:00:01,01:00:16:3e:00:00:01,4000,1795190400,1,0,0,old,0,,0
192.168.1.51,00:16:3e:00:00:02,,4000,1795190401,1,1,1,nas.example.org.,0,{ "comment": "rack&#x2c shelf" },0
192.168.1.50,00:16:3e:00:00:01,01:00:16:3e:00:00:01,4000,1795190402,1,0,0,ket&#x2ctle,0,,0
192.168.1.52,00:16:3e:00:00:03,,4000,1795190403,1,0,0,gone,0,,0
192.168.1.52,00:16:3e:00:00:03,,0,1795190404,1,0,0,gone,0,,0
192.168.1.53,,,4000,1795190405,1,0,0,,1,,0
192.168.1.54,00:16:3e:00:00:04,,4000,1795190406,1,0,0,expired,2,,0
192.168.1.55,,ff:01:02:03,4000,1795190406,1,0,0,infiniband,0,,0
`
	kea6Text = `address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id
fd00::50,00:01:00:01:2c:5f:aa:bb:00:16:3e:00:00:01,3600,1795190400,1,1800,0,7,128,0,0,kettle,,0,,,,0
fd00::51,00:04:4c:4c:45:44,3600,1795190401,1,1800,0,7,128,0,0,nas.example.org.,00:16:3e:00:00:02,0,,1,2,0
fd00:1::,00:03:00:01:00:16:3e:00:00:09,3600,1795190402,1,1800,2,7,56,0,0,router,,0,,,,0
`
	dhcpdText = `# The format of this file is documented in the dhcpd.leases(5) manual page.
# This lease file was written by isc-dhcp-4.4.3-P1

# authoring-byte-order entry is generated, DO NOT DELETE
authoring-byte-order little-endian;

lease 192.168.1.50 {
  starts 4 2026/11/19 10:00:00;
  ends 4 2026/11/19 22:00:00;
  cltt 4 2026/11/19 10:00:00;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 00:16:3e:00:00:01;
  uid "\001\000\026>\000\000\"}";
  set vendor-class-identifier = "MSFT 5.0 {";
  client-hostname "old";
}
lease 192.168.1.51 {
  starts 4 2026/11/19 10:00:00;
  ends never;
  binding state active;
  hardware ethernet 00:16:3e:00:00:02;
  on expiry or release {
    execute ("/bin/true", "hardware ethernet 00:16:3e:00:00:99;");
  }
  client-hostname "n\141s.lan";
}
lease 192.168.1.52 {
  binding state active;
  hardware ethernet 00:16:3e:00:00:03;
  client-hostname "gone";
}
lease 192.168.1.52 {
  binding state free;
  hardware ethernet 00:16:3e:00:00:03;
}
host printer {
  dynamic;
  hardware ethernet 00:16:3e:00:00:08;
  fixed-address 192.168.1.9;
}
server-duid "\000\001\000\001";

lease 192.168.1.50 {
  binding state active;
  hardware ethernet 00:16:3e:00:00:01;
  client-hostname "k\"ettle";
}
`
	openbsdText = `lease 192.168.1.50 {
	starts 4 2026/11/19 10:00:00 UTC;
	ends 4 2026/11/19 22:00:00 UTC;
	hardware ethernet 00:16:3e:00:00:01;
	uid 01:00:16:3e:00:00:01;
	client-hostname "kettle";
}
lease 192.168.1.51 {
	starts 4 2026/11/19 10:00:00 UTC;
	ends 4 2026/11/19 22:00:00 UTC;
	hardware ethernet 00:16:3e:00:00:02;
	abandoned;
}
`
	hostsText = "127.0.0.1\tlocalhost\n127.0.1.1\tporch.lan porch\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\n" +
		"fe80::1%lo0 localhost\n0.0.0.0 ads.example\n255.255.255.255 broadcasthost\n\n# the house\n" +
		"192.168.1.9   printer.lan printer  # in the hall\n192.168.1.9 second\nfd00::9 printer\n192.168.1.10 nas"
)

var told = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()}

func mac(n byte) presence.MAC { return presence.MAC{0, 0x16, 0x3e, 0, 0, n} }

func of(m presence.MAC, addr, name string) presence.Told {
	return presence.Told{MAC: m, Addr: netip.MustParseAddr(addr), Name: name}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFormats(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want File
	}{
		"dnsmasq": {dnsmasqText, File{Format: Dnsmasq, Whole: true, Told: []presence.Told{
			of(mac(1), "192.168.1.50", "kettle"), of(presence.MAC{2, 0x16, 0x3e, 0, 0, 2}, "192.168.1.51", ""), of(mac(4), "192.168.1.53", "nas"),
			of(mac(1), "fd00::1234", "kettle"), of(mac(5), "fd00::5678", ""), of(presence.MAC{}, "fd00::9abc", "tablet"),
		}}},
		"Kea IPv4": {kea4Text, File{Format: Kea, Whole: true, Told: []presence.Told{
			of(mac(2), "192.168.1.51", "nas"), of(mac(1), "192.168.1.50", "ket,tle"),
		}}},
		"Kea IPv6": {kea6Text, File{Format: Kea, Whole: true, Told: []presence.Told{
			of(mac(1), "fd00::50", "kettle"), of(mac(2), "fd00::51", "nas"),
		}}},
		"ISC dhcpd": {dhcpdText, File{Format: Dhcpd, Whole: true, Told: []presence.Told{
			of(mac(2), "192.168.1.51", "nas"), of(mac(1), "192.168.1.50", `k"ettle`),
		}}},
		"OpenBSD dhcpd": {openbsdText, File{Format: Dhcpd, Whole: true, Told: []presence.Told{of(mac(1), "192.168.1.50", "kettle")}}},
		"Windows' line ends": {strings.ReplaceAll(dnsmasqText[:70], "\n", "\r\n"), File{Format: Dnsmasq, Whole: true, Told: []presence.Told{
			of(mac(1), "192.168.1.50", "kettle"),
		}}},
		"empty":         {"", File{}},
		"only comments": {"# nothing yet\n\n", File{Whole: true}},
		"torn off": {dnsmasqText[:75], File{Format: Dnsmasq, Told: []presence.Told{
			of(mac(1), "192.168.1.50", "kettle"),
		}}},
		"ISC dhcpd, torn off, and written on": {dhcpdText[:strings.Index(dhcpdText, "  uid")] + "\n" + openbsdText, File{Format: Dhcpd, Whole: true, LeftOut: 1, Told: []presence.Told{
			of(mac(1), "192.168.1.50", "kettle"),
		}}},
		"noise within": {
			"1795190400 00:16:3e:00:00:01 192.168.1.50 kettle *\n\x00\xff nonsense\n" + strings.Repeat("x", 3*maxLine) + "\n1795190400 00:16:3e:00:00:02 192.168.1.51 nas *\n",
			File{Format: Dnsmasq, Whole: true, LeftOut: 2, Told: []presence.Told{of(mac(1), "192.168.1.50", "kettle"), of(mac(2), "192.168.1.51", "nas")}},
		},
		"hostile names": {
			"1 00:16:3e:00:00:01 192.168.1.50 \x1b[31m\xe2\x80\xaeE<v>e" + strings.Repeat("é", 500) + " *\n1 00:16:3e:00:00:02 192.168.1.51 \x01\x02 *\n",
			File{Format: Dnsmasq, Whole: true, Told: []presence.Told{of(mac(1), "192.168.1.50", "[31m E<v>e"+strings.Repeat("é", 26)), of(mac(2), "192.168.1.51", "")}},
		},
		"addresses of nobody": {
			"1 00:16:3e:00:00:01 192.168.1.50 a *\n1 01:16:3e:00:00:01 192.168.1.51 group *\n1 00:16:3e:00:00:02 224.0.0.1 multicast *\n1 00:00:00:00:00:00 192.168.1.52 zero *\n",
			File{Format: Dnsmasq, Whole: true, LeftOut: 3, Told: []presence.Told{of(mac(1), "192.168.1.50", "a")}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "leases")
			write(t, path, tc.text)
			got, err := ReadLeases(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, told); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	write(t, path, hostsText)
	got, err := ReadHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	want := File{Format: Hosts, Whole: true, Told: []presence.Told{
		of(presence.MAC{}, "192.168.1.9", "printer"), of(presence.MAC{}, "fd00::9", "printer"), of(presence.MAC{}, "192.168.1.10", "nas"),
	}}
	if diff := cmp.Diff(want, got, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Names() != 3 {
		t.Errorf("%d names", got.Names())
	}
}

// Kea's clean-up moves leases from file to file; they are read from all of them.
func TestKeaCleanUp(t *testing.T) {
	header, _, _ := strings.Cut(kea4Text, "\n")
	row := func(addr byte, name string) string {
		return fmt.Sprintf("192.168.1.%d,00:16:3e:00:00:%02x,,4000,1795190400,1,0,0,%s,0,,0\n", addr, addr, name)
	}
	for name, tc := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"before the first":   {map[string]string{"": row(1, "a")}, []string{"a"}},
		"under way":          {map[string]string{".1": row(1, "a") + row(2, "b"), "": row(2, "c")}, []string{"a", "c"}},
		"after it":           {map[string]string{".2": row(1, "a") + row(2, "b"), "": ""}, []string{"a", "b"}},
		"in the order":       {map[string]string{".2": row(1, "a"), ".1": row(1, "b") + row(2, "b"), "": row(2, "c")}, []string{"b", "c"}},
		"not in place yet":   {map[string]string{".completed": row(1, "a"), ".2": row(2, "old"), ".1": row(1, "old"), "": row(3, "c")}, []string{"a", "c"}},
		"not finished":       {map[string]string{".output": row(3, "half"), ".2": row(1, "a"), "": ""}, []string{"a"}},
		"a lease that ended": {map[string]string{".2": row(1, "a"), "": strings.Replace(row(1, "a"), "4000", "0", 1)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kea-leases4.csv")
			for end, text := range tc.files {
				write(t, path+end, header+"\n"+text)
			}
			f, err := ReadLeases(path)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range f.Told {
				got = append(got, e.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || f.Format != Kea || !f.Whole {
				t.Errorf("%+v (-want +got):\n%s", f, diff)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("text"), "Dear diary,\n")
	write(t, path("hosts"), hostsText)
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	huge, err := os.Create(path("huge"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(huge.Truncate(maxFile+1), huge.Close()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"missing": fs.ErrNotExist, "text": errFormat, "hosts": errFormat, "pipe": follow.ErrNotRegular, "huge": errTooLarge, ".": follow.ErrNotRegular,
	} {
		f, err := ReadLeases(path(name))
		if !errors.Is(err, want) || f.Told != nil || strings.Count(err.Error(), path(name)) != 1 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// More entries than there is room for are counted, and cost no memory.
func TestTooMany(t *testing.T) {
	var leases, hosts strings.Builder
	for i := range maxEntries + 10 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		fmt.Fprintf(&leases, "1 00:16:3e:00:%02x:%02x %v name%d *\n", byte(i>>8), byte(i), a, i)
		fmt.Fprintf(&hosts, "%v name%d\n", a, i)
	}
	path := filepath.Join(t.TempDir(), "file")
	for name, tc := range map[string]struct {
		text string
		read func(string) (File, error)
	}{"leases": {leases.String(), ReadLeases}, "hosts": {hosts.String(), ReadHosts}} {
		write(t, path, tc.text)
		f, err := tc.read(path)
		if err != nil || len(f.Told) > maxEntries || f.LeftOut < 9 || f.LeftOut > 11 {
			t.Errorf("%s: %d entries, %d left out, %v", name, len(f.Told), f.LeftOut, err)
		}
	}
}

// Files that real servers wrote.
func TestRecorded(t *testing.T) {
	first, second := presence.MAC{2, 0x16, 0x3e, 0, 0, 7}, presence.MAC{2, 0x16, 0x3e, 0, 0, 8}
	for name, want := range map[string]File{
		"isc-dhcp-4.4.3.leases": {Format: Dhcpd, Whole: true, Told: []presence.Told{of(first, "10.9.0.100", ""), of(first, "10.9.0.101", "phone")}},
		"kea-2.2.0.csv":         {Format: Kea, Whole: true, Told: []presence.Told{of(first, "10.9.0.100", "ket"), of(second, "10.9.0.101", "phone")}},
	} {
		got, err := ReadLeases(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, told); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
