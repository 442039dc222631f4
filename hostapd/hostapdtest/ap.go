// Package hostapdtest is an access point without a radio, for tests: the
// control interface of hostapd as hostapd 2.10 behaves, and as it should not.
//
// A test of package hostapd holds it against the real one.
package hostapdtest

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"porchlight/presence"
)

// Fault is how an AP misbehaves.
type Fault string

// The faults.
const (
	None     Fault = ""
	Hangs    Fault = "hangs"    // it takes commands, and does not answer
	Garbage  Fault = "garbage"  // its answers are noise
	Oversize Fault = "oversize" // its answers are longer than any
	Global   Fault = "global"   // it is the global socket, which knows of no stations
	Circle   Fault = "circle"   // its list has no end
)

// AP is the control interface of one access point. Its methods may be called
// from any goroutine.
type AP struct {
	path string
	done chan struct{} // closed when it reads no more

	mu       sync.Mutex
	conn     *net.UnixConn
	monitors []*net.UnixAddr // who has sent ATTACH
	stations []station       // in the order of hostapd's list: the newest first
	fault    Fault
	closed   bool
}

type station struct {
	mac        presence.MAC
	authorized bool
}

// Listen makes an access point whose control socket is path, with the stations
// that are in already. It belongs to the network namespace of the calling thread.
// Like hostapd it takes the place of a socket that a killed one has left.
func Listen(path string, in ...presence.MAC) (*AP, error) {
	_ = os.Remove(path)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return nil, err
	}
	a := &AP{path: path, conn: conn, done: make(chan struct{})}
	for _, mac := range in {
		a.put(mac, true)
	}
	go a.serve()
	return a, nil
}

func (a *AP) serve() {
	defer close(a.done)
	buf := make([]byte, 4096)
	for {
		n, from, err := a.conn.ReadFromUnix(buf)
		if err != nil {
			return
		}
		a.mu.Lock()
		if answer, ok := a.answer(string(buf[:n]), from); ok {
			_, _ = a.conn.WriteToUnix([]byte(answer), from)
		}
		a.mu.Unlock()
	}
}

// answer returns what to answer to a command; ok is false for nothing at all.
func (a *AP) answer(command string, from *net.UnixAddr) (text string, ok bool) {
	name, arg, _ := strings.Cut(command, " ")
	switch a.fault {
	case Hangs:
		return "", false
	case Garbage:
		return "\x00\xff\n\nflags=", true
	case Oversize:
		return strings.Repeat("x", 64<<10), true
	case Global:
		if strings.HasPrefix(name, "STA-") {
			return "FAIL\n", true
		}
	case Circle:
		if name == "STA-NEXT" {
			name = "STA-FIRST"
		}
	}
	switch name {
	case "PING":
		return "PONG\n", true
	case "ATTACH": // not more than once for each, but hostapd does not look
		a.monitors = append(a.monitors, from)
		return "OK\n", true
	case "DETACH":
		for i, m := range a.monitors {
			if m.Name == from.Name {
				a.monitors = slices.Delete(a.monitors, i, i+1)
				return "OK\n", true
			}
		}
		return "FAIL\n", true
	case "STA-FIRST":
		return a.describe(0), true
	case "STA-NEXT":
		mac, err := presence.ParseMAC(arg)
		i := a.find(mac)
		if err != nil || i < 0 {
			return "FAIL\n", true
		}
		return a.describe(i + 1), true
	}
	return "UNKNOWN COMMAND\n", true
}

// describe returns the lines about a station; there are none after the last.
func (a *AP) describe(i int) string {
	if i >= len(a.stations) {
		return ""
	}
	flags := "[AUTH][ASSOC]"
	if a.stations[i].authorized {
		flags += "[AUTHORIZED][SHORT_PREAMBLE][WMM]"
	}
	return fmt.Sprintf("%v\nflags=%s\naid=%d\ncapability=0x431\nlisten_interval=10\nsupported_rates=82 84 8b 96\n"+
		"timeout_next=NULLFUNC POLL\nrx_packets=10\ntx_packets=12\ninactive_msec=140\nsignal=-51\nconnected_time=60\n",
		a.stations[i].mac, flags, i+1)
}

func (a *AP) find(mac presence.MAC) int {
	return slices.IndexFunc(a.stations, func(s station) bool { return s.mac == mac })
}

// say sends a message to all monitors. Who cannot be reached is dropped.
func (a *AP) say(text string) {
	a.monitors = slices.DeleteFunc(a.monitors, func(m *net.UnixAddr) bool {
		_, err := a.conn.WriteToUnix([]byte(text), m)
		return err != nil
	})
}

// Say sends an event as it is given: its level and its text.
func (a *AP) Say(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.say(text)
}

// Associate lets stations in.
func (a *AP) Associate(macs ...presence.MAC) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, mac := range macs {
		a.put(mac, true)
		a.say("<3>AP-STA-CONNECTED " + mac.String())
	}
}

// Knock has a station try to get in, with a wrong password.
func (a *AP) Knock(mac presence.MAC) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put(mac, false)
	a.say("<3>AP-STA-POSSIBLE-PSK-MISMATCH " + mac.String())
}

func (a *AP) put(mac presence.MAC, authorized bool) {
	if i := a.find(mac); i >= 0 {
		a.stations[i].authorized = authorized
		return
	}
	a.stations = slices.Insert(a.stations, 0, station{mac, authorized})
}

// Disassociate lets stations go.
func (a *AP) Disassociate(macs ...presence.MAC) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, mac := range macs {
		a.drop(mac)
		a.say("<3>AP-STA-DISCONNECTED " + mac.String())
	}
}

func (a *AP) drop(mac presence.MAC) {
	if i := a.find(mac); i >= 0 {
		a.stations = slices.Delete(a.stations, i, i+1)
	}
}

// Forget lets stations come and go without an event: it was lost.
func (a *AP) Forget(come []presence.MAC, gone ...presence.MAC) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, mac := range come {
		a.put(mac, true)
	}
	for _, mac := range gone {
		a.drop(mac)
	}
}

// Break makes it misbehave from now on.
func (a *AP) Break(f Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = f
}

// Monitors returns how many get events.
func (a *AP) Monitors() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.monitors)
}

// Disable takes it off the air; hostapd goes on.
func (a *AP) Disable() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.disable()
}

func (a *AP) disable() {
	for _, s := range a.stations {
		a.say("<3>AP-STA-DISCONNECTED " + s.mac.String())
	}
	a.stations = nil
	a.say("<3>AP-DISABLED ")
}

// Enable brings it back on the air.
func (a *AP) Enable() { a.Say("<3>AP-ENABLED ") }

// Stop ends it as hostapd ends: it says so, and takes its socket away.
func (a *AP) Stop() {
	a.end(func() {
		a.disable()
		a.say("<3>CTRL-EVENT-TERMINATING ")
	}, true)
}

// Kill ends it without a word. Its socket stays.
func (a *AP) Kill() { a.end(func() {}, false) }

func (a *AP) end(last func(), unlink bool) {
	a.mu.Lock()
	if !a.closed {
		a.closed = true
		last()
		_ = a.conn.Close()
		if unlink {
			_ = os.Remove(a.path)
		}
	}
	a.mu.Unlock()
	<-a.done
}
