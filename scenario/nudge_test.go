package scenario

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porchlight/lab"
	"porchlight/presence"
)

// deepSleeper is a phone that answers ARP only for a while after a nudge, and
// then not at once. It keeps what it is sent.
type deepSleeper struct {
	t    *testing.T
	host *lab.Host
	addr netip.Addr

	mu    sync.Mutex
	deaf  bool      // it does not wake any more
	from  time.Time // awake from then
	until time.Time // to then
	got   [][]byte  // IPv4 and ARP frames for it, or for all
}

func newDeepSleeper(h *house, t *testing.T) *deepSleeper {
	d := &deepSleeper{t: t, host: h.lab.Observer("phone0").Host, addr: h.lab.Static(20)}
	allProtocols := int(binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}))
	fd := -1
	h.lab.Must(d.host.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, allProtocols); err == nil {
			err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000})
		}
		return err
	}))
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer unix.Close(fd)
		buf := make([]byte, 2048)
		for {
			select {
			case <-done:
				return
			default:
			}
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err != nil || n < 42 || from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			d.hear(bytes.Clone(buf[:n]))
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
	return d
}

func (d *deepSleeper) hear(frame []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	switch kind := hex.EncodeToString(frame[12:14]); {
	case kind == "0800":
		d.got = append(d.got, frame)
		if !d.deaf && bytes.Equal(frame[36:38], []byte{0x14, 0xe9}) { // port 5353
			d.from, d.until = now.Add(300*time.Millisecond), now.Add(1500*time.Millisecond)
		}
	case kind == "0806" && bytes.Equal(frame[38:42], d.addr.AsSlice()):
		d.got = append(d.got, frame)
		if frame[21] == 1 && now.After(d.from) && now.Before(d.until) {
			asker := lab.MAC(frame[22:28])
			_, err := d.host.Say(lab.ARP{
				Dst: asker, Src: d.host.MAC(), Reply: true, SenderMAC: d.host.MAC(), SenderAddr: d.addr,
				TargetMAC: asker, TargetAddr: netip.AddrFrom4([4]byte(frame[28:32])),
			}.Frame())
			if err != nil {
				d.t.Error(err)
			}
		}
	}
}

// take returns the datagrams, and how many questions there were by unicast and by
// broadcast, since the last call.
func (d *deepSleeper) take() (datagrams [][]byte, asked, broadcast int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.got {
		switch {
		case f[12] == 0x08 && f[13] == 0x00:
			datagrams = append(datagrams, f)
		case f[0] == 0xff:
			broadcast++
		default:
			asked++
		}
	}
	d.got = nil
	return datagrams, asked, broadcast
}

// A phone that sleeps deeply is home as long as a nudge wakes it, which is one
// small datagram with each question; and it is away once none does.
func TestNudge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := newDeepSleeper(h, t)
	file := filepath.Join(t.TempDir(), "devices.yaml")
	mac := presence.MAC(d.host.MAC())
	h.env["DEVICES_FILE"], h.env["NUDGE"], h.env["SWEEP_INTERVAL"] = file, "watch,phone", "1h"
	h.lab.Must(os.WriteFile(file, fmt.Appendf(nil, "devices:\n  - {mac: %s, name: Ann's phone, kind: phone}\n", mac), 0o644))
	h.begin()
	_, err := d.host.Say(lab.Announcement(d.host.MAC(), d.addr).Frame())
	h.lab.Must(err)
	h.sub.awaitTopic(topics.State(mac.ID()), "home")
	d.take()
	const watched = 2 * realTimeout
	time.Sleep(watched) // each of its sleeps would be its last, by the real timeout
	if state := h.sub.get(topics.State(mac.ID())); state != "home" {
		t.Fatalf("it is %s: %s", state, h.sub.get(topics.Attributes(mac.ID())))
	}
	datagrams, asked, broadcast := d.take()
	t.Logf("in %s: %d nudges, %d questions, %d by broadcast", watched, len(datagrams), asked, broadcast)
	if len(datagrams) < 2 || len(datagrams) > 6 || broadcast > 0 {
		t.Errorf("%d nudges, %d questions by broadcast", len(datagrams), broadcast)
	}
	from, to := hex.EncodeToString(h.obs.Addr().AsSlice()), hex.EncodeToString(d.addr.AsSlice())
	for _, f := range datagrams {
		text := hex.EncodeToString(f)
		ends := from + to + "c000" + "14e9" + "0014" // addresses, ports, length
		padded := len(f) <= 60                       // or not: a bridge may take the padding off
		if !padded || !bytes.Equal(f[:6], mac[:]) || !strings.Contains(text, ends) || strings.Trim(text[84:], "0") != "" {
			t.Errorf("a nudge: %s", text)
		}
	}

	d.mu.Lock()
	d.deaf = true
	d.mu.Unlock()
	if e := h.sub.awaitEvent(presence.Left, mac); !strings.Contains(e.Why, "no answer to") {
		t.Errorf("left: %s", e.Why)
	}
	d.take()
	time.Sleep(realTimeout)
	if datagrams, asked, _ := d.take(); len(datagrams) > 0 || asked == 0 {
		t.Errorf("while it is away: %d nudges, %d questions", len(datagrams), asked)
	}
}
