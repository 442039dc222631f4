package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"porchlight/lab"
	"porchlight/traffic"
)

const (
	streamRate  = 100_000
	trafficCPU  = 30 // bound, percent of a core
	streamFlows = 256
)

// listener is who is measured while a stream comes in.
type listener struct {
	name  string
	dir   string // of Porchlight's databases
	start func(context.Context) (pid int, err error)
	stop  func() (heard, dropped uint64, err error)

	cpu            time.Duration // its own
	sender         time.Duration // the sender's, with what the kernel did for the listener
	elapsed        time.Duration
	sent           uint64
	heard, dropped uint64
	most           int // kB resident
}

func (l *listener) share() float64 { return 100 * l.cpu.Seconds() / l.elapsed.Seconds() }

// perPacket is what the sender took for each packet.
func (l *listener) perPacket() time.Duration { return l.sender / time.Duration(max(l.sent, 1)) }

// recorded streams packets to this machine, in turns with nobody who listens, with
// tcpdump, and with Porchlight that does not and that does record traffic.
func recorded(ctx context.Context, b *bench) ([]row, error) {
	rounds, period := pick(b, 1, 3), pick(b, 5*time.Second, 15*time.Second)
	l, err := raise(ctx, "10.77.0.0/24", false)
	if err != nil {
		return nil, err
	}
	defer l.close()
	sender, err := l.Observer("wan0", lab.WithAddr(l.Static(1)))
	if err != nil {
		return nil, err
	}
	frames, err := flows(sender.MAC(), l.obs.MAC(), l.obs.Addr())
	if err != nil {
		return nil, err
	}
	nobody := &listener{name: "nobody"}
	tcpdump := b.tcpdump(l)
	off, err := b.recorder(l, "off")
	if err != nil {
		return nil, err
	}
	always, err := b.recorder(l, "always")
	if err != nil {
		return nil, err
	}
	all := []*listener{nobody, tcpdump, off, always}
	for i := range rounds * len(all) {
		who := all[i%len(all)]
		b.say("traffic: with %s listening, %s", who.name, period)
		if err := who.measure(ctx, sender.Host, frames, period); err != nil {
			return nil, fmt.Errorf("%s: %w", who.name, err)
		}
	}
	if always.heard, always.dropped, err = counted(ctx, always.dir, l.obs.Interface()); err != nil {
		return nil, err
	}
	return verdicts(nobody, tcpdump, off, always), nil
}

func verdicts(nobody, tcpdump, off, always *listener) []row {
	what := fmt.Sprintf("traffic at %.0f packets/s for %s, ", float64(always.sent)/always.elapsed.Seconds(), always.elapsed.Round(time.Second))
	kernel := func(with, without *listener) string {
		return fmt.Sprintf("%d ns", (with.perPacket() - without.perPacket()).Nanoseconds())
	}
	return []row{
		{
			what + "processor", fmt.Sprintf("%.1f %% of a core with all the rest of Porchlight, %.1f %% without counting; tcpdump -w /dev/null: %.1f %% (counting takes %.2f × that)",
				always.share(), off.share(), tcpdump.share(), (always.share()-off.share())/tcpdump.share()),
			fmt.Sprintf("%d %%", trafficCPU), judge(always.share() < trafficCPU),
		},
		{
			what + "counted", fmt.Sprintf("%d of %d sent, said to be dropped: %d; tcpdump: %d, dropped: %d of %d sent",
				always.heard, always.sent, always.dropped, tcpdump.heard, tcpdump.dropped, tcpdump.sent),
			// What else passed, a few packets, may be among those dropped.
			"all, or said to be dropped", judge(always.heard <= always.sent && always.heard+always.dropped >= always.sent),
		},
		{
			what + "the kernel's part of a packet", fmt.Sprintf("%s more than without; for tcpdump %s; sending takes %s",
				kernel(always, off), kernel(tcpdump, nobody), nobody.perPacket()),
			"", reported,
		},
		{
			what + "memory", fmt.Sprintf("%s resident at most, %s without it", mb(always.most), mb(off.most)),
			"", reported,
		},
	}
}

// measure streams while the listener listens.
func (l *listener) measure(ctx context.Context, sender *lab.Host, frames [][]byte, period time.Duration) (err error) {
	var before, after usage
	pid := 0
	if l.start != nil {
		if pid, err = l.start(ctx); err != nil {
			return err
		}
		defer func() {
			heard, dropped, failed := l.stop()
			if l.heard, l.dropped = l.heard+heard, l.dropped+dropped; err == nil {
				err = failed
			}
		}()
		if before, err = usageOf(pid); err != nil {
			return err
		}
	}
	streaming, cancel := context.WithTimeout(ctx, period)
	defer cancel()
	report, err := sender.Stream(streaming, streamRate, frames)
	if err != nil {
		return err
	}
	if l.start != nil {
		if after, err = usageOf(pid); err != nil {
			return err
		}
		l.cpu += after.cpu - before.cpu
		l.most = max(l.most, after.resident)
	}
	l.sender += report.CPU
	l.elapsed += report.Elapsed
	l.sent += uint64(report.Sent)
	return pause(ctx, time.Second) // the last of them are still on their way
}

// tcpdump writes the same bytes of each packet to nowhere.
func (b *bench) tcpdump(l *lan) *listener {
	var cmd *lab.Cmd
	log := filepath.Join(b.dir, "tcpdump.log")
	return &listener{
		name: "tcpdump",
		start: func(ctx context.Context) (int, error) {
			out, err := os.Create(log)
			if err != nil {
				return 0, err
			}
			defer out.Close()
			// The packets are of one kind: nothing else that the LAN says.
			cmd = l.obs.Command(ctx, "tcpdump", "-Z", "root", "-n", "-i", l.obs.Interface(), "-s", strconv.Itoa(traffic.SnapLen), "-w", "/dev/null", streamFilter)
			cmd.Stderr = out
			if err := cmd.Start(); err != nil {
				return 0, err
			}
			return cmd.Process.Pid, said(ctx, log, "listening on")
		},
		stop: func() (heard, dropped uint64, err error) {
			_ = cmd.Stop(10 * time.Second)
			return numbers(log, `(\d+) packets captured`), numbers(log, `(\d+) packets dropped by kernel`), nil
		},
	}
}

// recorder is a Porchlight with this value of TRAFFIC.
func (b *bench) recorder(l *lan, when string) (*listener, error) {
	d, err := b.daemon("traffic "+when, l.obs.Host, "TRAFFIC="+when)
	if err != nil {
		return nil, err
	}
	return &listener{
		name: "porchlight, TRAFFIC=" + when,
		dir:  d.dir,
		start: func(ctx context.Context) (int, error) {
			if err := d.start(); err != nil {
				return 0, err
			}
			ready := "listening"
			if when != "off" {
				ready = "recording traffic"
			}
			if err := said(ctx, d.logFile(), ready); err != nil {
				return 0, err
			}
			return d.pid(), pause(ctx, 2*time.Second)
		},
		stop: func() (heard, dropped uint64, err error) { return 0, 0, d.stop() },
	}, nil
}

// counted is what is stored of the stream, and how much was dropped.
func counted(ctx context.Context, dir, iface string) (heard, dropped uint64, err error) {
	store, err := traffic.OpenStore(ctx, dir, false)
	if err != nil {
		return 0, 0, err
	}
	defer store.Close()
	err = store.Each(ctx, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), func(r *traffic.Round) error {
		dropped += r.Dropped
		for k, c := range r.Counts {
			if k.Interface == iface && k.Direction == traffic.In && (k.Protocol == traffic.TCP || k.Protocol == traffic.UDP) {
				heard += c.Packets
			}
		}
		return nil
	})
	return heard, dropped, err
}

// said waits until a program has said something.
func said(ctx context.Context, log, text string) error {
	for range 300 {
		if all, _ := os.ReadFile(log); strings.Contains(string(all), text) {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	all, _ := os.ReadFile(log)
	return fmt.Errorf("waited in vain for %q, it said: %s", text, all)
}

// numbers is the number that a program has said.
func numbers(log, pattern string) uint64 {
	all, _ := os.ReadFile(log)
	m := regexp.MustCompile(pattern).FindSubmatch(all)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseUint(string(m[1]), 10, 64)
	return n
}

// streamFilter is what the stream is and nothing else that passes.
const streamFilter = "src net 198.51.100.0/24"

// flows are frames of many connections, of all sizes.
func flows(from, to lab.MAC, addr netip.Addr) (frames [][]byte, err error) {
	for i := range streamFlows {
		size := []int{60, 60, 590, 1514}[i%4]
		eth := &layers.Ethernet{SrcMAC: from[:], DstMAC: to[:], EthernetType: layers.EthernetTypeIPv4}
		ip := &layers.IPv4{Version: 4, TTL: 64, SrcIP: net.IPv4(198, 51, 100, byte(i)), DstIP: addr.AsSlice(), Protocol: layers.IPProtocolUDP}
		udp := &layers.UDP{SrcPort: layers.UDPPort(2000 + i), DstPort: 9000}
		var transport gopacket.SerializableLayer = udp
		err, body := udp.SetNetworkLayerForChecksum(ip), size-42
		if i%2 == 0 {
			ip.Protocol = layers.IPProtocolTCP
			tcp := &layers.TCP{SrcPort: layers.TCPPort(2000 + i), DstPort: 9000, ACK: true, Window: 1000}
			transport = tcp
			err, body = tcp.SetNetworkLayerForChecksum(ip), size-54
		}
		buf := gopacket.NewSerializeBuffer()
		if err == nil {
			err = gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, transport, gopacket.Payload(make([]byte, body)))
		}
		if err != nil {
			return nil, fmt.Errorf("making a frame: %w", err)
		}
		frames = append(frames, buf.Bytes())
	}
	return frames, nil
}
