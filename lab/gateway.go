package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Gateway is the LAN's router, with a real dnsmasq that serves DHCP. It does
// not route, and answers ARP and DHCP only, and DNS with Options.DNS.
type Gateway struct {
	*Host
	leases *memFile // used unless Options.LeaseFile is set
	logs   sync.WaitGroup
}

// ErrNoProgram is returned when a program that the lab runs is not installed.
var ErrNoProgram = errors.New("not installed")

// lookPath finds a program, or says which Debian package has it.
func lookPath(program, pkg string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s: %w: apt-get install %s", program, ErrNoProgram, pkg)
	}
	return path, nil
}

func (l *Lab) newGateway(ctx context.Context) (*Gateway, error) {
	dnsmasq, err := lookPath("dnsmasq", "dnsmasq-base")
	if err != nil {
		return nil, err
	}
	leases, err := newMemFile("leases", "", false)
	if err != nil {
		return nil, err
	}
	c := configure("gateway", []HostOption{VendorMAC, WithAddr(nth(l.opts.Prefix, 1))})
	h, err := l.newHost("lan0", c)
	if err != nil {
		_ = leases.Close()
		return nil, err
	}
	g := &Gateway{Host: h, leases: leases}
	if err := l.adopt(g); err != nil {
		_ = g.Close()
		return nil, err
	}
	return g, g.serve(ctx, dnsmasq)
}

// serve starts dnsmasq and waits until it hears.
func (g *Gateway) serve(ctx context.Context, dnsmasq string) error {
	first, last := g.lab.pool()
	mask := net.CIDRMask(g.lab.opts.Prefix.Bits(), 32)
	size := 1 << (32 - g.lab.opts.Prefix.Bits())
	dns := []string{"--port=0"}
	if g.lab.opts.DNS {
		dns = []string{"--no-resolv", "--no-hosts"}
	}
	cmd := g.ns.daemon(dnsmasq, append(dns,
		"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--log-facility=-",
		"--user=root", "--group=root", // a change of either would clear PDEATHSIG
		"--interface="+g.iface, "--bind-interfaces", "--except-interface=lo",
		fmt.Sprintf("--dhcp-range=%s,%s,%s,%d", first, last, net.IP(mask), int(g.lab.opts.LeaseTime.Seconds())),
		"--dhcp-lease-max="+strconv.Itoa(size), "--dhcp-leasefile="+g.LeaseFile(),
		"--no-ping", // else the OFFER waits 3 s
		"--quiet-dhcp",
		// Made-up devices of a flood get no lease.
		fmt.Sprintf("--dhcp-mac=set:stranger,%02x:%02x:*:*:*:*", strangerPrivate[0], strangerPrivate[1]),
		fmt.Sprintf("--dhcp-mac=set:stranger,%02x:%02x:*:*:*:*", strangerVendor[0], strangerVendor[1]),
		"--dhcp-ignore=tag:stranger",
	)...)
	logs, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("starting dnsmasq: %w", err)
	}
	if err := cmd.Start(); err != nil {
		_ = logs.Close()
		return fmt.Errorf("starting dnsmasq: %w", err)
	}
	said, serving := new(tail), make(chan struct{})
	g.logs.Go(func() {
		defer logs.Close()
		up := false
		for s := bufio.NewScanner(logs); s.Scan(); {
			g.lab.log.Debug("dnsmasq says", "line", s.Text())
			_, _ = said.Write(append(s.Bytes(), '\n'))
			if !up && strings.Contains(s.Text(), "DHCP, IP range") {
				up = true
				close(serving)
			}
		}
	})
	select {
	case <-serving:
		return nil
	case <-cmd.Done():
		return fmt.Errorf("starting dnsmasq: it ended with %w and said: %s", cmd.Wait(), said)
	case <-ctx.Done():
		return fmt.Errorf("starting dnsmasq: %w, it said: %s", ctx.Err(), said)
	}
}

// LeaseFile returns the path of dnsmasq's lease file, which is good as long as
// the lab is there.
func (g *Gateway) LeaseFile() string {
	if g.lab.opts.LeaseFile != "" {
		return g.lab.opts.LeaseFile
	}
	return g.leases.path()
}

// Lease is one line of dnsmasq's lease file.
type Lease struct {
	Expires time.Time
	MAC     MAC
	Addr    netip.Addr
	Name    string // empty: the client gave none
}

// Leases returns the leases that dnsmasq has given and not taken back.
func (g *Gateway) Leases() ([]Lease, error) {
	text, err := os.ReadFile(g.LeaseFile())
	if err != nil {
		return nil, fmt.Errorf("reading the leases: %w", err)
	}
	return parseLeases(string(text)), nil
}

// parseLeases reads dnsmasq's lease file; a line that is none, as while
// dnsmasq is writing, is left out.
func parseLeases(text string) []Lease {
	var leases []Lease
	for line := range strings.Lines(text) {
		f := strings.Fields(line) // expiry, MAC, address, name or *, client id or *
		if len(f) != 5 {
			continue
		}
		sec, err1 := strconv.ParseInt(f[0], 10, 64)
		mac, err2 := net.ParseMAC(f[1])
		addr, err3 := netip.ParseAddr(f[2])
		if err1 != nil || err2 != nil || err3 != nil || len(mac) != 6 {
			continue
		}
		l := Lease{Expires: time.Unix(sec, 0), MAC: MAC(mac), Addr: addr}
		if f[3] != "*" {
			l.Name = f[3]
		}
		leases = append(leases, l)
	}
	return leases
}

// Close ends dnsmasq and removes the gateway.
func (g *Gateway) Close() error {
	_ = g.Host.Close()
	g.logs.Wait()
	return g.leases.Close()
}
