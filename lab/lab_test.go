package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// patience is how long to wait for what takes a moment, seconds on a busy machine.
const patience = time.Minute

func inTime(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Five real clients get leases of the real server, and the server
// knows their names.
func TestClientsJoin(t *testing.T) {
	start := time.Now()
	l := labtest.Start(t)
	ctx := inTime(t)
	var clients []*lab.Client
	for i := range 5 {
		clients = append(clients, l.Client(fmt.Sprintf("client-%d", i), lab.VendorMAC))
	}
	raised := time.Since(start)
	var wg sync.WaitGroup
	errs := make([]error, len(clients))
	for i, c := range clients {
		wg.Go(func() { errs[i] = c.Join(ctx) })
	}
	wg.Wait()
	l.Must(errors.Join(errs...))
	t.Logf("raised in %v, five leases after %v", raised, time.Since(start))
	leases, err := l.Gateway().Leases()
	l.Must(err)
	byMAC := make(map[lab.MAC]lab.Lease)
	for _, lease := range leases {
		byMAC[lease.MAC] = lease
	}
	seen := make(map[netip.Addr]bool)
	for _, c := range clients {
		lease := byMAC[c.MAC()]
		if lease.Addr != c.Addr() || lease.Name != c.Name() {
			t.Errorf("client %s has %v, the server's lease is %+v", c.Name(), c.Addr(), lease)
		}
		if seen[c.Addr()] || !l.Prefix().Contains(c.Addr()) {
			t.Errorf("client %s has %v: not unique in %v", c.Name(), c.Addr(), l.Prefix())
		}
		seen[c.Addr()] = true
	}
}

// Nothing remains after Close: no child, no namespace.
func TestCloseLeavesNothing(t *testing.T) {
	namespaces, children := netNamespaces(t), childProcesses(t)
	l := labtest.Start(t)
	ctx := inTime(t)
	l.Must(l.Client("phone").Join(ctx))
	obs := l.Observer("")
	l.Must(obs.Command(ctx, "sleep", "1000").Start())
	l.Population(10, lab.Behaviour{})
	labtest.Mosquitto(t, lab.MosquittoOptions{Host: obs.Host})
	if _, err := l.Flood(ctx, lab.Flood{Rate: 100, Duration: 10 * time.Millisecond}); err != nil {
		t.Error(err)
	}
	if now := netNamespaces(t); len(now) <= len(namespaces) {
		t.Errorf("%d namespaces with the lab, %d before it: the test sees nothing", len(now), len(namespaces))
	}
	if now := childProcesses(t); len(now) != len(children)+4 { // dnsmasq, udhcpc, sleep, mosquitto
		t.Errorf("children with the lab: %v, before it: %v", now, children)
	}
	for range 2 {
		l.Must(l.Close())
	}
	if now := childProcesses(t); len(now) != len(children) {
		t.Errorf("children after Close: %v, before the lab: %v", now, children)
	}
	// The runtime ends a locked thread soon after its goroutine.
	eventually(t, ctx, func() error {
		for ns := range netNamespaces(t) {
			if !namespaces[ns] {
				return fmt.Errorf("namespace %s remains", ns)
			}
		}
		return nil
	})
	if _, err := l.Lab.Client("late"); err == nil {
		t.Error("a closed lab made a client")
	}
}

// The host never sees an interface of the lab.
func TestHostSeesNothing(t *testing.T) {
	before := hostLinks(t)
	l := labtest.Start(t)
	l.Observer("lan0")
	if now := hostLinks(t); now != before {
		t.Errorf("links of the host with a lab:\n%s\nbefore:\n%s", now, before)
	}
}

func hostLinks(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(regexp.MustCompile(`(?m)^ *\S+:`).FindAllString(string(b), -1), " ")
}

// netNamespaces returns the network namespaces that a thread of this process is
// in, or that it holds open. Other tests of this machine have theirs.
func netNamespaces(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for _, pattern := range []string{"/proc/self/task/*/ns/net", "/proc/self/fd/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			// Threads and files come and go meanwhile.
			if to, err := os.Readlink(p); err == nil && strings.HasPrefix(to, "net:") {
				found[to] = true
			}
		}
	}
	return found
}

func childProcesses(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var children []string
	for _, p := range paths {
		if b, err := os.ReadFile(p); err == nil {
			children = append(children, strings.Fields(string(b))...)
		}
	}
	return children
}

// eventually tries until check returns nil or ctx ends; for things that other
// processes or the kernel do in their own time.
func eventually(t *testing.T, ctx context.Context, check func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("until %v: %v", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
