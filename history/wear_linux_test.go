package history

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// TestBytesWrittenPerDay plays six hours of a home with 50 devices and prints how
// much is written, times four. It counts the bytes of the process's write calls (wchar in
// /proc/self/io), nearly all of which are SQLite's here: pages into the
// write-ahead log and pages copied from there. Not in it are what the file
// system adds for each sync (some ten kilobytes, once a minute and per change)
// and the index that SQLite shares in memory.
func TestBytesWrittenPerDay(t *testing.T) {
	if _, err := os.ReadFile("/proc/self/io"); err != nil {
		t.Skip("no /proc/self/io")
	}
	const devices, comings = 50, 6 // 12 phones come and go six times a day
	var total, events int
	running(t, nil, func(t *testing.T, s *Store) {
		home := make([]stored, devices)
		dice := rand.New(rand.NewPCG(1, 2))
		for i, e := range arrivals(devices) {
			home[i].Device = presence.Device{
				ID: e.ID, MAC: e.MAC, Addr: e.Addr, Interface: "eth0", HostName: e.HostName, Vendor: "Example Devices Ltd",
				Fingerprint: "1,3,6,15,26,28,51,58,59,43", ClientID: "0102005e100001", VendorClass: "android-dhcp-14",
				State: presence.Home, Since: time.Now(), FirstSeen: time.Now(), LastSeen: time.Now(),
				Why: "heard an ARP reply", Tracked: true,
			}
			home[i].model = make([]byte, 400)
		}
		save := func(d *stored) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.changes.save(*d) {
				s.nudge()
			}
		}
		for i := range home {
			save(&home[i])
		}
		synctest.Wait()
		start := written(t)
		for second := range 6 * 60 * 60 {
			time.Sleep(time.Second)
			d := &home[second%devices] // each is heard every 50 s
			d.LastSeen = time.Now()
			d.model = append([]byte(nil), d.model...)
			d.model[dice.IntN(len(d.model))]++
			if i := second % devices; i < 12 && dice.IntN(24*60*60/devices) < 2*comings {
				e := arrivals(12)[i]
				e.Time = time.Now()
				if d.State == presence.Home {
					e.Type, d.State = presence.Left, presence.NotHome
				} else {
					e.Type, d.State = presence.Arrived, presence.Home
				}
				d.Since, d.Why = e.Time, "no answer to 6 probes in 74 s; this phone usually answers within 40 s"
				e.Why = d.Why
				given := s.Append([]presence.Event{e})
				s.SetCursor("mqtt", given[0].Seq)
				events++
			}
			save(d)
		}
		synctest.Wait()
		total = 4 * (written(t) - start)
	})
	t.Logf("%d devices, %d arrivals and departures a day: %.1f MB a day", devices, 4*events, float64(total)/1e6)
	if total > 40e6 {
		t.Error("that wears out an SD card")
	}
}

// written returns how many bytes this process has handed to write calls.
func written(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := bytes.Cut(b, []byte("wchar: "))
	if _, err := fmt.Sscan(string(after), &n); err != nil {
		t.Fatal(err)
	}
	return n
}
