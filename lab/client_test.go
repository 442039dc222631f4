package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// wire is what tcpdump hears on an observer: one line per frame.
type wire struct {
	t     *testing.T
	lines chan string
}

func listen(t *testing.T, ctx context.Context, h *lab.Host) *wire {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip(err)
	}
	cmd := h.Command(ctx, "tcpdump", "-i", h.Interface(), "-l", "-n", "-e", "-vv", "--immediate-mode", "-U")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, lines: make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer out.Close()
		for s := bufio.NewScanner(out); s.Scan(); {
			w.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { cmd.Kill(); <-done; said.Close() })
	for s := bufio.NewScanner(said); s.Scan(); {
		if strings.Contains(s.Text(), "listening on") {
			return w
		}
	}
	t.Fatal("tcpdump ended")
	return nil
}

// expect waits for a line that has all of the words.
func (w *wire) expect(ctx context.Context, words ...string) {
	w.t.Helper()
	var heard []string
	for {
		select {
		case line := <-w.lines:
			heard = append(heard, line)
			if containsAll(line, words) {
				return
			}
		case <-ctx.Done():
			w.t.Fatalf("did not hear %q, but:\n%s", words, strings.Join(heard, "\n"))
		}
	}
}

func containsAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}

// A client's life as the observer hears it.
func TestClientOnTheWire(t *testing.T) {
	l := labtest.Start(t)
	ctx := inTime(t)
	obs := l.Observer("lan0")
	phone := l.Client("phone", lab.PrivateMAC, lab.WithVendorClass("android-dhcp-16"))
	w := listen(t, ctx, obs.Host)
	mac := net.HardwareAddr(sliceOf(phone.MAC())).String()

	l.Must(phone.Join(ctx))
	w.expect(ctx, "DHCP-Message (53), length 1: Discover")
	w.expect(ctx, `Vendor-Class (60), length 15: "android-dhcp-16"`)
	w.expect(ctx, "DHCP-Message (53), length 1: Request")
	w.expect(ctx, `Hostname (12), length 5: "phone"`)

	if _, err := phone.Announce(); err != nil {
		t.Fatal(err)
	}
	w.expect(ctx, mac+" > ff:ff:ff:ff:ff:ff", "who-has "+phone.Addr().String(), "tell "+phone.Addr().String())

	sent, err := phone.Say(lab.AddressProbe(phone.MAC(), l.Static(7)).Frame())
	l.Must(err)
	if ago := time.Since(sent); ago < 0 || ago > patience {
		t.Errorf("sent %v ago", ago)
	}
	w.expect(ctx, mac, "who-has "+l.Static(7).String(), "tell 0.0.0.0")

	l.Must(phone.Renew(ctx))
	l.Must(phone.Release(ctx))
	if phone.Addr().IsValid() {
		t.Errorf("the phone has %v after its release", phone.Addr())
	}
	if leases, err := l.Gateway().Leases(); err != nil || len(leases) > 0 {
		t.Errorf("leases after the release: %v, %v", leases, err)
	}
}

// A sleeping client does not answer and does not see it; a woken one does.
func TestSleepWakeLeave(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{LeaseFile: filepath.Join(t.TempDir(), "leases")})
	ctx := inTime(t)
	obs := l.Observer("lan0", lab.WithAddr(l.Static(0)))
	phone := l.Client("phone")
	l.Must(phone.Join(ctx))
	addr := phone.Addr()
	answers := func() {
		t.Helper()
		answers(t, ctx, obs, addr)
	}
	silent := func() {
		t.Helper()
		if arping(t, ctx, obs, addr) {
			t.Error("the phone answers ARP")
		}
	}
	answers()
	if leases, err := l.Gateway().Leases(); err != nil || len(leases) != 1 || leases[0].Addr != addr {
		t.Errorf("leases: %v, %v, want one for %v", leases, err, addr)
	}
	l.Must(phone.Sleep())
	silent()
	if phone.Addr() != addr || !carrier(t, ctx, phone.Host) || !carrier(t, ctx, obs.Host) {
		t.Error("sleep cost the phone its address, or somebody's carrier")
	}
	l.Must(phone.Wake())
	answers()
	l.Must(phone.Sleep())
	l.Must(phone.Leave())
	silent()
	l.Must(phone.Join(ctx))
	if phone.Addr() != addr {
		t.Errorf("back with %v, want the lease of before, %v", phone.Addr(), addr)
	}
	answers()
}

// A static client needs no server.
func TestStaticClient(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true, Prefix: netip.MustParsePrefix("10.99.0.0/16")})
	ctx := inTime(t)
	obs := l.Observer("lan0")
	tv := l.Client("tv", lab.VendorMAC, lab.WithAddr(l.Static(300)))
	l.Must(tv.Join(ctx))
	if want := netip.MustParseAddr("10.99.1.46"); tv.Addr() != want {
		t.Errorf("address %v, want %v", tv.Addr(), want)
	}
	answers(t, ctx, obs, tv.Addr())
	if err := tv.Renew(ctx); err == nil {
		t.Error("a static client renewed its lease")
	}
}

// What an observer's kernel says of its link follows the lab's verbs.
func TestObserverLink(t *testing.T) {
	l := labtest.Start(t)
	ctx := inTime(t)
	obs := l.Observer("eth7", lab.WithAddr(l.Static(0)))
	phone := l.Client("phone")
	l.Must(phone.Join(ctx))
	index := ifindex(t, obs.Host)
	want := func(want bool) {
		t.Helper()
		eventually(t, ctx, func() error {
			if got := carrier(t, ctx, obs.Host); got != want {
				return fmt.Errorf("carrier %t, want %t", got, want)
			}
			return nil
		})
	}
	want(true)
	l.Must(obs.Unplug())
	want(false)
	l.Must(obs.Plug(ctx))
	want(true)
	l.Must(obs.Down())
	want(false)
	l.Must(obs.Up(ctx))
	want(true)
	l.Must(obs.Delete())
	if err := obs.Do(func() error { _, err := net.InterfaceByName("eth7"); return err }); err == nil {
		t.Error("a deleted interface is there")
	}
	if _, err := obs.Say(lab.Announcement(obs.MAC(), obs.Addr()).Frame()); err == nil {
		t.Error("a deleted interface sends")
	}
	l.Must(obs.Recreate(ctx))
	want(true)
	if now := ifindex(t, obs.Host); now == index {
		t.Errorf("the new interface has the index of the old one, %d", now)
	}
	answers(t, ctx, obs, phone.Addr()) // through the new interface
}

// Do runs inside, in its own thread, and hands errors and t.Fatal through.
func TestDo(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true})
	obs := l.Observer("lan0")
	boom := errors.New("boom")
	if err := obs.Do(func() error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Do returned %v", err)
	}
	ended := make(chan bool)
	go func() {
		after := false
		defer func() { ended <- after }()
		_ = obs.Do(func() error { runtime.Goexit(); return nil }) // as t.Fatal does
		after = true
	}()
	if <-ended {
		t.Error("the caller went on after its function had ended the goroutine")
	}
}

// answers asks for an address until it is answered: a busy machine may be too
// slow for arp-scan.
func answers(t *testing.T, ctx context.Context, obs *lab.Observer, a netip.Addr) {
	t.Helper()
	eventually(t, ctx, func() error {
		if !arping(t, ctx, obs, a) {
			return fmt.Errorf("nobody answers for %v", a)
		}
		return nil
	})
}

// arping asks for an address as arp-scan does.
func arping(t *testing.T, ctx context.Context, obs *lab.Observer, a netip.Addr) bool {
	t.Helper()
	return strings.Contains(arpScan(t, ctx, obs, a.String()), a.String())
}

func arpScan(t *testing.T, ctx context.Context, obs *lab.Observer, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("arp-scan"); err != nil {
		t.Skip(err)
	}
	args = append([]string{"-q", "-x", "-I", obs.Interface(), "-r", "2", "-t", "200"}, args...)
	out, err := obs.Command(ctx, "arp-scan", args...).Output()
	if err != nil {
		t.Fatalf("arp-scan: %v", err)
	}
	return string(out)
}

func carrier(t *testing.T, ctx context.Context, h *lab.Host) bool {
	t.Helper()
	out, err := h.Command(ctx, "ip", "-o", "link", "show", h.Interface()).CombinedOutput()
	if err != nil {
		t.Fatalf("ip link: %v: %s", err, out)
	}
	return strings.Contains(string(out), "LOWER_UP")
}

func ifindex(t *testing.T, h *lab.Host) (index int) {
	t.Helper()
	err := h.Do(func() error {
		i, err := net.InterfaceByName(h.Interface())
		if err != nil {
			return err
		}
		index = i.Index
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func sliceOf(m lab.MAC) []byte { return m[:] }
