package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// arp-scan, a program that others wrote, finds the whole population, each with
// its own MAC, and the gateway.
func TestArpScanFindsPopulation(t *testing.T) {
	l := labtest.Start(t)
	ctx := inTime(t)
	pop := l.Population(50, lab.Behaviour{DelayMax: 20 * time.Millisecond})
	asleep := pop.Devices()[49]
	asleep.Sleep()
	obs := l.Observer("lan0", lab.WithAddr(l.Static(100)))
	pop.Record(true)
	var out string
	eventually(t, ctx, func() error { // a busy machine may be too slow for arp-scan
		out = arpScan(t, ctx, obs, l.Prefix().String())
		for _, d := range pop.Devices() {
			line := d.Addr.String() + "\t" + net.HardwareAddr(d.MAC[:]).String()
			switch found := strings.Contains(out, line); {
			case found && d == asleep:
				t.Fatalf("found %q, who sleeps", line)
			case !found && d != asleep:
				return fmt.Errorf("%q is not found", line)
			}
		}
		if !strings.Contains(out, l.Gateway().Addr().String()) {
			return errors.New("the gateway is not found")
		}
		return nil
	})
	asked := make(map[*lab.Device]int)
	requests := pop.Requests()
	if len(requests) < 250 {
		t.Errorf("%d requests on record, arp-scan asked for 256 addresses", len(requests))
	}
	for i, r := range requests {
		asked[r.Device]++
		if r.From != obs.MAC() || r.To != lab.Broadcast || time.Since(r.At) > time.Minute || time.Since(r.At) < 0 {
			t.Fatalf("request %d: %+v", i, r)
		}
	}
	for _, d := range pop.Devices() {
		if n := asked[d]; n == 0 || d.Requests() != n || d == asleep && n == 1 { // who is silent is asked twice
			t.Errorf("%v heard %d requests, %d are on record", d.Addr, d.Requests(), n)
		}
	}
}

// A population's devices answer unicast requests, and only those to their MAC;
// lost and late requests are lost and late.
func TestPopulationBehaviour(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true})
	pop := l.Population(3, lab.Behaviour{})
	d := pop.Devices()
	d[1].SetBehaviour(lab.Behaviour{Drop: 1})
	d[2].SetBehaviour(lab.Behaviour{DelayMin: 50 * time.Millisecond, DelayMax: 60 * time.Millisecond})
	obs := l.Observer("lan0", lab.WithAddr(l.Static(100)))
	conn := packetConn(t, obs)
	ask := func(to lab.MAC, d *lab.Device, wait time.Duration) (time.Duration, bool) {
		t.Helper()
		r := lab.Request(obs.MAC(), obs.Addr(), d.Addr)
		r.Dst = to
		sent, err := obs.Say(r.Frame())
		l.Must(err)
		err = conn.SetReadDeadline(time.Now().Add(wait))
		l.Must(err)
		for buf := make([]byte, 100); ; {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return 0, false
			}
			if bytes.Equal(buf[6:12], d.MAC[:]) && n >= 42 {
				return time.Since(sent), true
			}
		}
	}
	const never = 150 * time.Millisecond // who does not answer in that time is silent
	if _, ok := ask(d[0].MAC, d[0], patience); !ok {
		t.Error("no answer to a unicast request")
	}
	if _, ok := ask(lab.Broadcast, d[0], patience); !ok {
		t.Error("no answer to a broadcast request")
	}
	if _, ok := ask(d[1].MAC, d[0], never); ok {
		t.Error("an answer to a request that was addressed to another")
	}
	if _, ok := ask(d[1].MAC, d[1], never); ok {
		t.Error("an answer from a device that hears nothing")
	}
	if late, ok := ask(d[2].MAC, d[2], patience); !ok || late < 50*time.Millisecond {
		t.Errorf("the late device answered %t after %v", ok, late)
	}
	if d[0].Requests() != 2 || d[1].Requests() != 1 || d[2].Requests() != 1 {
		t.Errorf("requests: %d %d %d, want 2 1 1", d[0].Requests(), d[1].Requests(), d[2].Requests())
	}
	if _, err := pop.Add(lab.Identity{Addr: d[0].Addr}, lab.Behaviour{}); err == nil {
		t.Error("two devices with one address")
	}
}

// What a device is told to say arrives as it should, with its own MAC.
func TestDeviceSays(t *testing.T) {
	l := labtest.Start(t)
	ctx := inTime(t)
	obs := l.Observer("lan0")
	w := listen(t, ctx, obs.Host)
	pop := l.Population(0, lab.Behaviour{})
	d, err := pop.Add(lab.Identity{
		MAC: lab.MAC{2, 0, 0, 0, 0, 9}, Addr: l.Static(9),
		HostName: "tablet", VendorClass: "MSFT 5.0", Params: []byte{1, 3, 6, 15},
	}, lab.Behaviour{})
	l.Must(err)
	const from = "02:00:00:00:00:09 > ff:ff:ff:ff:ff:ff"
	for _, c := range []struct {
		name string
		say  func() (time.Time, error)
		want [][]string
	}{
		{"announcement", d.Announce, [][]string{{from, "who-has 10.77.0.11", "tell 10.77.0.11"}}},
		{"probe", d.Probe, [][]string{{from, "who-has 10.77.0.11", "tell 0.0.0.0"}}},
		{
			"request", func() (time.Time, error) { return d.Ask(l.Gateway().Addr()) },
			[][]string{{from, "who-has 10.77.0.1 tell 10.77.0.11"}},
		},
		{"DISCOVER", d.Discover, [][]string{
			{from, "IPv4"},
			{"0.0.0.0.68 > 255.255.255.255.67", "[udp sum ok]"},
			{"Client-Ethernet-Address 02:00:00:00:00:09"},
			{`Hostname (12), length 6: "tablet"`},
			{"Discover"},
			{"Parameter-Request (55), length 4"},
			{`Vendor-Class (60), length 8: "MSFT 5.0"`},
		}},
		{"REQUEST", d.Request, [][]string{{from}, {"Requested-IP (50), length 4: 10.77.0.11"}, {"length 1: Request"}}},
	} {
		if _, err := c.say(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, words := range c.want {
			w.expect(ctx, words...)
		}
	}
}

func TestPace(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true, Prefix: netip.MustParsePrefix("10.77.0.0/16")})
	pop := l.Population(10_000, lab.Behaviour{})
	start, n := time.Now(), 0
	l.Must(lab.Pace(t.Context(), pop.Devices()[:100], 1000, func(d *lab.Device) error {
		n++
		_, err := d.Announce()
		return err
	}))
	if d := time.Since(start); n != 100 || d < 95*time.Millisecond {
		t.Errorf("%d announcements in %v, want 100 in 100ms", n, d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lab.Pace(ctx, pop.Devices(), 1000, func(*lab.Device) error { return nil }); err == nil {
		t.Error("Pace went on without its context")
	}
}

// Ten thousand devices on one port each answer for themselves.
func TestPopulationOf10000(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true, Prefix: netip.MustParsePrefix("10.77.0.0/16")})
	pop := l.Population(10_000, lab.Behaviour{})
	obs := l.Observer("lan0", lab.WithAddr(l.Static(20_000)))
	conn := packetConn(t, obs)
	var mu sync.Mutex
	answered := make(map[lab.MAC]bool)
	var reader sync.WaitGroup
	reader.Go(func() {
		for buf := make([]byte, 100); ; {
			if _, _, err := conn.ReadFrom(buf); err != nil {
				return
			}
			mu.Lock()
			if mac := lab.MAC(buf[6:12]); mac != obs.MAC() {
				answered[mac] = true
			}
			mu.Unlock()
		}
	})
	start := time.Now()
	// The kernel of a busy machine loses some: they are asked again.
	missing := pop.Devices()
	eventually(t, inTime(t), func() error {
		l.Must(lab.Pace(t.Context(), missing, 5000, func(d *lab.Device) error {
			r := lab.Request(obs.MAC(), obs.Addr(), d.Addr)
			r.Dst = d.MAC
			_, err := obs.Say(r.Frame())
			return err
		}))
		t.Logf("asked %d after %v", len(missing), time.Since(start))
		mu.Lock()
		defer mu.Unlock()
		missing = slices.DeleteFunc(missing, func(d *lab.Device) bool { return answered[d.MAC] })
		if len(missing) > 0 {
			return fmt.Errorf("%d of 10,000 devices did not answer", len(missing))
		}
		return nil
	})
	l.Must(conn.Close())
	reader.Wait()
	if len(answered) != 10_000 {
		t.Errorf("%d devices answered", len(answered))
	}
}

// A LAN on which nobody was told to speak is silent.
func TestSilence(t *testing.T) {
	l := labtest.Start(t)
	obs := l.Observer("lan0")
	conn := packetConn(t, obs)
	l.Population(100, lab.Behaviour{})
	l.Must(l.Client("tv", lab.WithAddr(l.Static(150))).Join(inTime(t)))
	l.Must(conn.SetReadDeadline(time.Now().Add(time.Second)))
	buf := make([]byte, 1500)
	if n, _, err := conn.ReadFrom(buf); err == nil {
		t.Errorf("heard % x", buf[:n])
	}
}

// A flood reaches the observer as it should be, and gets no lease.
func TestFlood(t *testing.T) {
	l := labtest.Start(t)
	ctx := inTime(t)
	conn := packetConn(t, l.Observer("lan0"))
	kinds := make(map[string]int)
	macs := make(map[lab.MAC]bool)
	var reader sync.WaitGroup
	reader.Go(func() {
		for buf := make([]byte, 1500); ; {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			kind := "ARP"
			if n > 60 {
				kind = "DHCP"
			}
			kinds[kind]++
			macs[lab.MAC(buf[6:12])] = true
		}
	})
	report, err := l.Flood(ctx, lab.Flood{Rate: 10_000, Duration: time.Second, DHCP: 0.25, Vendor: 0.5})
	l.Must(err)
	reached := 0
	// The kernel forwards in its own time, and that of a busy machine loses some.
	eventually(t, ctx, func() error {
		stats, err := conn.Stats() // since the last time
		if reached += int(stats.Packets); err == nil && reached < report.Sent*9/10 {
			err = fmt.Errorf("%d frames reached the observer of %d", reached, report.Sent)
		}
		return err
	})
	l.Must(conn.Close())
	reader.Wait()
	read := kinds["ARP"] + kinds["DHCP"]
	if share := float64(kinds["DHCP"]) / float64(read); share < 0.2 || share > 0.3 {
		t.Errorf("share of DHCP %.2f, want 0.25", share)
	}
	if len(macs) < read*99/100 {
		t.Errorf("%d MACs in %d frames", len(macs), read)
	}
	if leases, err := l.Gateway().Leases(); err != nil || len(leases) > 0 {
		t.Errorf("the flood got leases: %v, %v", leases, err)
	}
}

// The rate of 50,000 frames a second holds, and costs less than a core.
func TestFloodRate(t *testing.T) {
	l := labtest.Start(t)
	l.Population(50, lab.Behaviour{})
	l.Observer("lan0")
	var best float64
	for range 3 {
		before := labtest.CPU(t)
		report, err := l.Flood(t.Context(), lab.Flood{Rate: 50_000, Duration: 2 * time.Second, DHCP: 0.25})
		l.Must(err)
		t.Logf("%d frames in %v: %.0f a second at %.2f of a core", report.Sent,
			report.Elapsed.Round(time.Millisecond), report.Rate(), (labtest.CPU(t)-before).Seconds()/report.Elapsed.Seconds())
		// Others may have the machine for a while: then it is what a core would do.
		share := (labtest.CPU(t) - before).Seconds() / report.Elapsed.Seconds()
		if best = max(best, report.Rate(), report.Rate()/share); best > 49_000 {
			return
		}
	}
	t.Errorf("%.0f frames a second, want 50,000", best)
}

// Closing the lab ends a flood.
func TestFloodEnds(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true})
	result := make(chan error)
	started := packetConn(t, l.Observer("lan0"))
	go func() {
		_, err := l.Flood(t.Context(), lab.Flood{Rate: 1000})
		result <- err
	}()
	if _, _, err := started.ReadFrom(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	l.Must(l.Close())
	if err := <-result; err == nil {
		t.Error("the flood of a closed lab ended without an error")
	}
}

// packetConn listens to all that the observer's interface hears.
func packetConn(t *testing.T, obs *lab.Observer) (conn *packet.Conn) {
	t.Helper()
	err := obs.Do(func() error {
		ifi, err := net.InterfaceByName(obs.Interface())
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// Others may be busy on this machine while frames come in.
	err = raw.Control(func(fd uintptr) {
		err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20)
		if err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// A stream arrives whole, and in turns.
func TestStream(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true})
	sender, observer := l.Observer("wan0"), l.Observer("lan0")
	conn := packetConn(t, observer)
	frame := func(size int) []byte {
		f := make([]byte, size)
		mac := observer.MAC()
		copy(f, mac[:])
		mac = sender.MAC()
		copy(f[6:], mac[:])
		f[12], f[13] = 0x88, 0xb5 // for experiments (IEEE 802)
		return f
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	report, err := sender.Stream(ctx, 5000, [][]byte{frame(60), frame(600), frame(1514)})
	l.Must(err)
	sizes := map[int]int{}
	buf := make([]byte, 2000)
	read := func(within time.Duration) bool {
		l.Must(conn.SetReadDeadline(time.Now().Add(within)))
		n, _, err := conn.ReadFrom(buf)
		if err == nil && buf[12] == 0x88 && buf[13] == 0xb5 {
			sizes[n]++
		}
		return err == nil
	}
	arrived := func() int { return sizes[60] + sizes[600] + sizes[1514] }
	for arrived() < report.Sent && read(patience) {
	}
	for read(50 * time.Millisecond) { // no frame comes twice
	}
	if report.Sent < 100 || report.CPU <= 0 || report.CPU > report.Elapsed {
		t.Errorf("report %+v", report)
	}
	if arrived() != report.Sent || sizes[60]-sizes[1514] > 1 || sizes[60] < sizes[1514] {
		t.Errorf("sizes %v arrived of %d frames", sizes, report.Sent)
	}
}
