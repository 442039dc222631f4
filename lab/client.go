package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Client is a device of the household: a host with a real DHCP client (busybox
// udhcpc), with a static address, or with IPv6 only. It begins away: its link is
// down.
//
// It says what udhcpc and the Linux kernel say: DISCOVER and REQUEST when it
// joins, ARP when it sends or is asked. It does not announce its address by
// itself (arp_notify is 0).
type Client struct {
	*Host
	name   string
	config hostConfig
	script *memFile

	verbs sync.Mutex // held by one verb at a time

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, at each message of udhcpc
	heard   []string      // the kinds of its messages since it was started
	running *Cmd          // udhcpc; nil: not running
	said    *tail
	follow  sync.WaitGroup
}

// udhcpcScript tells this process what udhcpc tells its script.
const udhcpcScript = "#!/bin/sh\necho \"$1 ${ip:--} ${mask:--}\"\n"

// Client makes a client. The name is also its DHCP host name.
func (l *Lab) Client(name string, opts ...HostOption) (*Client, error) {
	c := configure(name, opts)
	if c.hostName == "" && !c.noHostName {
		c.hostName = name
	}
	static := c.addr
	c.addr = netip.Addr{} // set when it joins
	h, err := l.newHost("lan0", c)
	if err != nil {
		return nil, err
	}
	c.addr = static
	cl := &Client{Host: h, name: name, config: c, changed: make(chan struct{})}
	if err := l.adopt(cl); err != nil {
		_ = cl.Close()
		return nil, err
	}
	if cl.script, err = newMemFile("udhcpc-script", udhcpcScript, true); err != nil {
		return nil, err
	}
	return cl, cl.Down()
}

// Name returns the client's name in the lab.
func (c *Client) Name() string { return c.name }

// Join brings the link up and gets a lease (or sets the static address). It
// returns when the address is set, or with an error when ctx ends before.
// A client that has joined before leaves first, abruptly; one that sleeps wakes.
func (c *Client) Join(ctx context.Context) error {
	c.verbs.Lock()
	defer c.verbs.Unlock()
	if err := c.drop(); err != nil {
		return err
	}
	if err := c.Wake(); err != nil {
		return err
	}
	if err := c.Up(ctx); err != nil {
		return err
	}
	if c.config.ipv6Only {
		return poll(ctx, 5*time.Millisecond, func() (bool, error) {
			a, err := c.LinkLocal()
			return a.IsValid(), err
		})
	}
	if c.config.addr.IsValid() {
		return c.setAddr(netip.PrefixFrom(c.config.addr, c.lab.opts.Prefix.Bits()))
	}
	if err := c.startUDHCPC(); err != nil {
		return err
	}
	return c.await(ctx, "bound")
}

// Leave takes the link down without a word, as when somebody walks out.
func (c *Client) Leave() error {
	c.verbs.Lock()
	defer c.verbs.Unlock()
	return c.drop()
}

// Rotate leaves, without a word, and makes up another MAC for the next time, as
// phones do.
func (c *Client) Rotate(mac MAC) error {
	c.verbs.Lock()
	defer c.verbs.Unlock()
	if err := c.drop(); err != nil {
		return err
	}
	if err := c.ns.setMAC(c.iface, mac); err != nil {
		return err
	}
	c.mac = mac
	return nil
}

// Release gives the lease back (DHCP RELEASE), then takes the link down.
func (c *Client) Release(ctx context.Context) error {
	c.verbs.Lock()
	defer c.verbs.Unlock()
	if err := c.signal(syscall.SIGUSR2); err != nil {
		return err
	}
	// The RELEASE waits in the kernel for the gateway's MAC: not before it has
	// arrived may the link go down.
	err := poll(ctx, 5*time.Millisecond, func() (bool, error) {
		leases, err := c.lab.gateway.Leases()
		for _, l := range leases {
			if l.MAC == c.mac {
				return false, err
			}
		}
		return true, err
	})
	if err != nil {
		return fmt.Errorf("releasing the lease of %q: %w", c.name, err)
	}
	return c.drop()
}

// Renew asks the server for more time, by unicast, and waits for the answer.
func (c *Client) Renew(ctx context.Context) error {
	c.verbs.Lock()
	defer c.verbs.Unlock()
	c.mu.Lock()
	c.heard = nil
	c.mu.Unlock()
	if err := c.signal(syscall.SIGUSR1); err != nil {
		return err
	}
	return c.await(ctx, "renew")
}

// Sleep makes the client deaf and dumb. It keeps its link, its address and its
// lease, and nobody sees carrier change: its port is taken out of the bridge.
func (c *Client) Sleep() error { return c.setBridged(false) }

// Wake ends Sleep. The client says nothing because of it.
func (c *Client) Wake() error { return c.setBridged(true) }

// drop ends udhcpc without a word, takes the link down, and forgets the address.
func (c *Client) drop() error {
	c.mu.Lock()
	cmd := c.running
	c.running = nil
	c.mu.Unlock()
	if cmd != nil {
		cmd.Kill()
	}
	c.follow.Wait()
	if err := c.Down(); err != nil {
		return err
	}
	return c.setAddr(netip.Prefix{})
}

func (c *Client) startUDHCPC() error {
	path, err := lookPath("udhcpc", "udhcpc")
	if err != nil {
		return err
	}
	args := []string{"-f", "-i", c.iface, "-s", c.script.path(), "-t", "5", "-T", "1", "-A", "1"}
	if c.config.hostName != "" {
		args = append(args, "-x", "hostname:"+c.config.hostName)
	}
	if c.config.vendorClass != "" {
		args = append(args, "-V", c.config.vendorClass)
	}
	cmd := c.ns.daemon(path, args...)
	said := new(tail)
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting udhcpc: %w", err)
	}
	if err := cmd.Start(); err != nil {
		_ = out.Close()
		return fmt.Errorf("starting udhcpc: %w", err)
	}
	c.mu.Lock()
	c.running, c.said, c.heard = cmd, said, nil
	c.mu.Unlock()
	c.follow.Go(func() {
		defer out.Close()
		for s := bufio.NewScanner(out); s.Scan(); {
			c.obey(s.Text())
		}
	})
	return nil
}

// obey does what udhcpc's script is for: it sets and removes the address.
func (c *Client) obey(line string) {
	kind, addr := parseUDHCPC(line)
	var err error
	switch kind {
	case "bound", "renew":
		err = c.setAddr(addr)
	case "deconfig":
		err = c.setAddr(netip.Prefix{})
	}
	c.lab.log.Debug("udhcpc says", "client", c.name, "line", line, "err", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		fmt.Fprintln(c.said, err)
		return
	}
	c.heard = append(c.heard, kind)
	close(c.changed)
	c.changed = make(chan struct{})
}

// parseUDHCPC reads a line of udhcpcScript: the kind of message, the address
// and the length of its prefix; the address is invalid when there is none.
func parseUDHCPC(line string) (kind string, addr netip.Prefix) {
	f := strings.Fields(line)
	if len(f) != 3 {
		return "", netip.Prefix{}
	}
	a, err1 := netip.ParseAddr(f[1])
	bits, err2 := strconv.Atoi(f[2])
	p := netip.PrefixFrom(a, bits)
	if err1 != nil || err2 != nil || !a.Is4() || !p.IsValid() {
		return f[0], netip.Prefix{}
	}
	return f[0], p
}

// await waits until udhcpc has said kind since it was started or last asked.
func (c *Client) await(ctx context.Context, kind string) error {
	for {
		c.mu.Lock()
		cmd, changed, said := c.running, c.changed, c.said
		for _, k := range c.heard {
			if k == kind {
				c.mu.Unlock()
				return nil
			}
		}
		c.mu.Unlock()
		select {
		case <-changed:
		case <-cmd.Done():
			return fmt.Errorf("waiting for udhcpc of %q to be %s: it ended and said: %s", c.name, kind, said)
		case <-ctx.Done():
			return fmt.Errorf("waiting for udhcpc of %q to be %s: %w, it said: %s", c.name, kind, ctx.Err(), said)
		}
	}
}

var errNoLease = errors.New("it has not joined by DHCP")

func (c *Client) signal(sig syscall.Signal) error {
	c.mu.Lock()
	cmd := c.running
	c.mu.Unlock()
	if cmd == nil {
		return fmt.Errorf("client %q: %w", c.name, errNoLease)
	}
	return cmd.Signal(sig)
}

// Close removes the client, abruptly.
func (c *Client) Close() error {
	c.ns.thread.close()
	c.follow.Wait()
	if c.script != nil {
		_ = c.script.Close()
	}
	return c.Host.Close()
}
