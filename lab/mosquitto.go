package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// MosquittoOptions says how to run the broker.
type MosquittoOptions struct {
	// Host is where it runs; nil: in the namespace of this process.
	Host *Host
	// Addr and Port are where it listens; default 127.0.0.1 and a free port.
	Addr netip.Addr
	Port int
	// Config is further lines of mosquitto.conf. A keyword in it replaces the
	// lab's own line, which are: allow_anonymous true, persistence false,
	// set_tcp_nodelay true.
	Config string
}

// Broker is a real mosquitto. Its methods are not safe for concurrent use.
type Broker struct {
	opts   MosquittoOptions
	thread *thread
	config *memFile
	cmd    *Cmd // nil: stopped
	said   *tail
}

// Mosquitto starts a broker and waits until it accepts connections; ctx bounds
// the start. The caller closes it; a broker on a lab's host ends with the lab.
func Mosquitto(ctx context.Context, opts MosquittoOptions) (*Broker, error) {
	if !opts.Addr.IsValid() {
		opts.Addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	b := &Broker{opts: opts}
	if opts.Host != nil {
		b.thread = opts.Host.ns.thread
	} else {
		b.thread = newThread()
	}
	if err := b.begin(ctx); err != nil {
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Broker) begin(ctx context.Context) (err error) {
	if b.opts.Port == 0 {
		err := b.inside(func() (err error) {
			b.opts.Port, err = freePort(ctx, b.opts.Addr)
			return err
		})
		if err != nil {
			return err
		}
	}
	if b.config, err = newMemFile("mosquitto.conf", mosquittoConfig(b.opts), false); err != nil {
		return err
	}
	return b.Start(ctx)
}

func mosquittoConfig(o MosquittoOptions) string {
	var s strings.Builder
	fmt.Fprintf(&s, "listener %d %s\n", o.Port, o.Addr)
	chosen := make(map[string]bool)
	for line := range strings.Lines(o.Config) {
		if f := strings.Fields(line); len(f) > 0 {
			chosen[f[0]] = true
		}
	}
	for _, line := range []string{
		"user root", "log_dest stderr", "allow_anonymous true", "persistence false",
		// Without it one message in a thousand waits 40 ms for an acknowledgement.
		"set_tcp_nodelay true",
	} {
		if key, _, _ := strings.Cut(line, " "); !chosen[key] {
			fmt.Fprintln(&s, line)
		}
	}
	s.WriteString(o.Config)
	return s.String()
}

// inside runs f where the broker's sockets are.
func (b *Broker) inside(f func() error) error {
	if b.opts.Host != nil {
		return b.opts.Host.Do(f)
	}
	return f()
}

// Addr returns where the broker listens, as host:port.
func (b *Broker) Addr() string {
	return net.JoinHostPort(b.opts.Addr.String(), strconv.Itoa(b.opts.Port))
}

// URL returns the broker's address as MQTT_URL takes it.
func (b *Broker) URL() string { return "mqtt://" + b.Addr() }

// PID returns the process id of the running broker.
func (b *Broker) PID() int { return b.cmd.Process.Pid }

// Start starts a stopped broker again, on the same port, and waits until it
// accepts connections.
func (b *Broker) Start(ctx context.Context) error {
	path, err := lookPath("mosquitto", "mosquitto")
	if err != nil {
		return err
	}
	cmd := b.thread.daemon(path, "-c", b.config.path())
	said := new(tail)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting mosquitto: %w", err)
	}
	b.cmd, b.said = cmd, said
	err = poll(ctx, 5*time.Millisecond, func() (bool, error) {
		if cmd.ended() {
			return false, errors.New("it ended")
		}
		return b.accepts(ctx), nil
	})
	if err != nil {
		b.Kill()
		return fmt.Errorf("starting mosquitto on %s: %w, it said: %s", b.Addr(), err, said)
	}
	return nil
}

func (b *Broker) accepts(ctx context.Context) bool {
	var conn net.Conn
	err := b.inside(func() (err error) {
		dialer := net.Dialer{Timeout: time.Second}
		conn, err = dialer.DialContext(ctx, "tcp", b.Addr())
		return err
	})
	return err == nil && hangsUp(conn)
}

// hangsUp closes a new TCP connection to a broker, and reports whether the broker
// does, too, within a second. The kernel takes connections before the broker's
// loop runs, and a signal in between is lost: this shows that it runs.
func hangsUp(conn net.Conn) bool {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_ = conn.(*net.TCPConn).CloseWrite()
	_, err := conn.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// Stop ends the broker as an administrator does (SIGTERM), and waits.
func (b *Broker) Stop() error {
	if b.cmd == nil {
		return nil
	}
	err := b.cmd.Stop(readyWithin)
	b.cmd = nil
	return err
}

// Kill ends the broker as a power cut does (SIGKILL), and waits.
func (b *Broker) Kill() {
	if b.cmd != nil {
		b.cmd.Kill()
		b.cmd = nil
	}
}

// Log returns the last lines that the broker wrote.
func (b *Broker) Log() string { return b.said.String() }

// Close kills the broker if it runs.
func (b *Broker) Close() error {
	b.Kill()
	if b.opts.Host == nil {
		b.thread.close()
	}
	if b.config != nil {
		return b.config.Close()
	}
	return nil
}

// Port returns a TCP port of 127.0.0.1 that was free just now.
func Port() (int, error) {
	return freePort(context.Background(), netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}

// The ports that freePort chooses from: below those that the kernel gives to
// whoever asks for any, which it could do at any time (ip(7), ip_local_port_range).
const firstPort, lastPort = 20_000, 32_767

func freePort(ctx context.Context, a netip.Addr) (port int, err error) {
	for range 100 {
		port = firstPort + rand.IntN(lastPort-firstPort+1)
		var config net.ListenConfig
		var l net.Listener
		if l, err = config.Listen(ctx, "tcp", netip.AddrPortFrom(a, uint16(port)).String()); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("finding a free port: %w", err)
}
