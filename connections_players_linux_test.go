package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The two ends of a wire: this machine and a peer.
const (
	machine4, peer4 = "10.7.0.1", "10.7.0.2"
	machine6, peer6 = "fd07::1", "fd07::2"
	peerPort        = 9000
)

// asPlayer makes this test's binary a program with traffic: what it does.
const asPlayer = "PORCHLIGHT_TEST_TRAFFIC"

func init() {
	if what := strings.Fields(os.Getenv(asPlayer)); len(what) == 3 {
		if err := play(what[0], what[1], what[2]); err != nil {
			fmt.Println(err)
		}
		os.Exit(0)
	}
}

// play serves, calls or sends until standard input ends. A caller or sender has
// one exchange for each line there.
func play(what, network, addr string) error {
	if what == "serve" {
		stop, err := echo(network, addr)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Println("ready")
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	var conn net.Conn
	var err error
	if what == "send" {
		conn, err = unconnected(network, addr)
	} else {
		conn, err = (&net.Dialer{KeepAlive: -1}).Dial(network, addr)
	}
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	fmt.Println(conn.LocalAddr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		text := append(lines.Bytes(), '\n')
		if _, err := conn.Write(text); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, make([]byte, len(text))); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return nil
}

// loose is a UDP socket without remote end that has one correspondent.
type loose struct {
	*net.UDPConn
	to *net.UDPAddr
}

func unconnected(network, addr string) (net.Conn, error) {
	to, err := net.ResolveUDPAddr(network, addr)
	if err != nil {
		return nil, err
	}
	c, err := net.ListenUDP(network, nil)
	return loose{c, to}, err
}

func (l loose) Write(b []byte) (int, error) { return l.WriteTo(b, l.to) }

// echo answers all with what they send. It is silent, as its callers are, when
// there is nothing to say, however long that lasts.
func echo(network, addr string) (stop func(), err error) {
	if strings.HasPrefix(network, "udp") {
		c, err := net.ListenPacket(network, addr)
		if err != nil {
			return nil, err
		}
		go func() {
			b := make([]byte, 2048)
			for {
				n, from, err := c.ReadFrom(b)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_, _ = c.WriteTo(b[:n], from)
				}
			}
		}()
		return func() { _ = c.Close() }, nil
	}
	l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return func() { _ = l.Close() }, nil
}

// player is a program with traffic.
type player struct {
	name  string
	local string // its end, of a caller or sender
	in    io.WriteCloser
	out   *bufio.Scanner
	cmd   *exec.Cmd
}

// start starts a program under a name in the namespace of the calling thread.
func start(t *testing.T, name, what, network, addr string) (*player, error) {
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(os.Args[0], path); err != nil {
		return nil, err
	}
	p := &player{name: name, cmd: exec.CommandContext(t.Context(), path)}
	p.cmd.Env = append(os.Environ(), asPlayer+"="+what+" "+network+" "+addr)
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = p.end() })
	p.out.Scan()
	p.local = p.out.Text()
	if _, err := netip.ParseAddrPort(p.local); err != nil && p.local != "ready" {
		return nil, fmt.Errorf("%s: %s", name, p.local)
	}
	return p, nil
}

func (p *player) end() error {
	_ = p.in.Close()
	return p.cmd.Wait()
}

// exchange sends a line and waits for it to come back.
func (p *player) exchange(text string) error {
	if _, err := fmt.Fprintln(p.in, text); err != nil {
		return err
	}
	if p.out.Scan(); p.out.Text() != "done" {
		return fmt.Errorf("%s: %s", p.name, p.out.Text())
	}
	return nil
}

// dumper is a tcpdump that runs.
type dumper struct {
	path string
	cmd  *exec.Cmd
}

func dump(t *testing.T, ifname string) (*dumper, error) {
	d := &dumper{path: filepath.Join(t.TempDir(), ifname+".pcap")}
	// Without a snap length the kernel has room for a few packets only, and loses some.
	d.cmd = exec.CommandContext(t.Context(), "tcpdump", "-Z", "root", "--immediate-mode", "-s", "2048", "-B", "16384", "-n", "-U", "-i", ifname, "-w", d.path)
	said, err := d.cmd.StderrPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "listening on") {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return d, nil
		}
	}
	return nil, fmt.Errorf("tcpdump does not begin: %w", d.cmd.Wait())
}

// end waits until the text is in the dump in both directions, and ends it.
func (d *dumper) end(text string) error {
	var b []byte
	for deadline := time.Now().Add(time.Minute); bytes.Count(b, []byte(text)) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not get all packets", d.path)
		}
		b, _ = os.ReadFile(d.path)
	}
	_ = d.cmd.Process.Signal(os.Interrupt)
	return d.cmd.Wait()
}

// wired makes a wire to a namespace with a peer, and returns how to run something
// there.
func wired(t *testing.T) (at func(func() error) error, err error) {
	work, result := make(chan func() error), make(chan error)
	t.Cleanup(func() { close(work) })
	fresh := make(chan error)
	var peer netns.NsHandle
	go func() {
		runtime.LockOSThread()
		var err error
		peer, err = netns.New()
		fresh <- err
		for f := range work {
			result <- f()
		}
		_ = peer.Close()
	}()
	if err := <-fresh; err != nil {
		return nil, err
	}
	at = func(f func() error) error {
		work <- f
		return <-result
	}
	wire := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0"}, PeerName: "far0", PeerNamespace: netlink.NsFd(peer)}
	if err := netlink.LinkAdd(wire); err != nil {
		return nil, err
	}
	address := func(name string, all ...string) error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		for _, text := range all {
			addr, err := netlink.ParseAddr(text)
			if err != nil {
				return err
			}
			addr.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(link, addr); err != nil {
				return err
			}
		}
		return linkUp(name)
	}
	err = address("lan0", machine4+"/24", machine6+"/64")
	return at, errors.Join(err, at(func() error { return address("far0", peer4+"/24", peer6+"/64") }))
}

// stranger sends what no socket of this machine has: UDP, and TCP segments that
// ask for a connection, one of them to a program here.
func stranger() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	ports := func(from, to int) []byte { return []byte{byte(from >> 8), byte(from), byte(to >> 8), byte(to)} }
	return errors.Join(
		raw(fd, machine4, peer4, 6, synOf(machine4, peer4, ports(41414, peerPort))),
		raw(fd, machine4, peer4, 17, append(ports(40404, 9999), 0, 12, 0, 0, 'b', 'o', 'o', '!')),
		raw(fd, "127.0.0.1", "127.0.0.1", 6, synOf("127.0.0.1", "127.0.0.1", ports(42424, 8080))))
}

// raw sends a packet over IPv4.
func raw(fd int, from, to string, protocol byte, body []byte) error {
	src, dst := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	head := append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}, src[:]...)
	return unix.Sendto(fd, append(append(head, dst[:]...), body...), 0, &unix.SockaddrInet4{Addr: dst})
}

// synOf is a segment that asks for a connection, with its checksum (RFC 9293,
// section 3.1).
func synOf(from, to string, ports []byte) []byte {
	syn := append(ports, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0)
	pseudo := append([]byte{0, 6, 0, byte(len(syn))}, netip.MustParseAddr(from).AsSlice()...)
	sum := 0
	for b := append(append(pseudo, netip.MustParseAddr(to).AsSlice()...), syn...); len(b) > 1; b = b[2:] {
		sum += int(b[0])<<8 | int(b[1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	syn[16], syn[17] = byte(^sum>>8), byte(^sum)
	return syn
}

// The strangers on the wire, and on any interface.
var (
	wireStrangers = []string{"tcp " + machine4 + ":41414 " + peer4 + ":9000", "udp " + machine4 + ":40404 " + peer4 + ":9999"}
	anyStrangers  = append(slices.Clone(wireStrangers), "tcp 127.0.0.1:42424 127.0.0.1:8080")
)
