package traffic

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// download has client read size bytes from a server on host.
func download(t *testing.T, host, client *lab.Host, size int64) {
	t.Helper()
	var l net.Listener
	err := host.Do(func() (err error) {
		l, err = net.Listen("tcp4", "0.0.0.0:9000")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		defer l.Close()
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.CopyN(c, zeros{}, size)
		}
		served <- err
	}()
	c, err := client.Dial(t.Context(), "tcp4", net.JoinHostPort(host.Addr().String(), "9000"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n, err := io.Copy(io.Discard, c)
	if err = errors.Join(err, <-served); err != nil || n != size {
		t.Fatalf("downloaded %d of %d bytes: %v", n, size, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// inDump adds up a dump as tcpdump wrote it, by who sent what.
func inDump(t *testing.T, path string, own lab.MAC) (sums [directions]Count) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the last is half written
			return sums
		}
		if err != nil {
			t.Fatal(err)
		}
		d := In
		if bytes.HasPrefix(data[6:], own[:]) {
			d = Out
		}
		sums[d].Add(Count{1, uint64(info.Length)})
	}
}

// tcpdump on the same interface sees the same packets and bytes of a real transfer,
// with the kernel's super-packets.
func TestRecorderAgainstTcpdump(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true})
	host := l.Observer("lan0", lab.WithAddr(l.Static(0)))
	other := l.Observer("lan1", lab.WithAddr(l.Static(1)))
	dump := filepath.Join(t.TempDir(), "dump.pcap")
	cmd := host.Command(t.Context(), "tcpdump", "-Z", "root", "-p", "-n", "-U", "--immediate-mode", "-B", "32768", "-i", "lan0", "-s", "128", "-w", dump)
	said := filepath.Join(t.TempDir(), "said")
	out, err := os.Create(said)
	l.Must(err)
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: install it with scripts/deps", err)
	}
	l.Must(out.Close())
	eventually(t, "tcpdump listens", func() bool {
		b, _ := os.ReadFile(said)
		return strings.Contains(string(b), "listening on")
	})
	rounds := make(chan Round, 1)
	r := NewRecorder(Config{Round: time.Hour, Save: func(_ context.Context, r Round) error { rounds <- r; return nil }})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- host.Do(func() error { return r.Run(ctx) }) }()
	(&recording{t: t, Recorder: r}).ready()

	download(t, host.Host, other.Host, 20e6)
	download(t, other.Host, host.Host, 5e6)
	stop()
	l.Must(<-ended)
	round := <-rounds
	var got, want [directions]Count
	for k, c := range round.Counts {
		got[k.Direction].Add(c)
	}
	// It may still be writing.
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && want != got; time.Sleep(10 * time.Millisecond) {
		want = inDump(t, dump, host.MAC())
	}
	l.Must(cmd.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	told, err := os.ReadFile(said)
	l.Must(err)
	if round.Dropped > 0 || !strings.Contains(string(told), "\n0 packets dropped by kernel") {
		t.Skipf("the machine is too busy: dropped %d; tcpdump said: %s", round.Dropped, told)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-tcpdump +recorder):\n%s", diff)
	}
	t.Logf("in %+v, out %+v", got[In], got[Out])
}
