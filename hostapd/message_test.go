package hostapd

import (
	"strings"
	"testing"

	"porchlight/presence"
)

var phone = presence.MAC{2, 0, 0x5e, 0x10, 0, 1}

func TestParseEvent(t *testing.T) {
	for _, test := range []struct {
		text string
		kind eventKind
		mac  presence.MAC
	}{
		{"<3>AP-STA-CONNECTED 02:00:5e:10:00:01", connected, phone},
		{"<3>AP-STA-CONNECTED 02:00:5E:10:00:01 keyid=guest auth_alg=open", connected, phone},
		{"<3>AP-STA-DISCONNECTED 02:00:5e:10:00:01", disconnected, phone},
		{"<3>AP-STA-DISCONNECTED 02:00:5e:10:00:01 p2p_dev_addr=02:00:5e:10:00:09\n", disconnected, phone},
		{"IFNAME=wlan0-1 <3>AP-STA-CONNECTED 02:00:5e:10:00:01", connected, phone},
		{"<10>AP-ENABLED ", enabled, presence.MAC{}},
		{"<3>AP-DISABLED ", disabled, presence.MAC{}},
		{"<3>INTERFACE-DISABLED ", disabled, presence.MAC{}},
		{"<3>CTRL-EVENT-TERMINATING ", disabled, presence.MAC{}},
		// Not let in, not about a station, or nonsense.
		{"<3>AP-STA-POSSIBLE-PSK-MISMATCH 02:00:5e:10:00:01", otherEvent, presence.MAC{}},
		{"<3>AP-STA-POLL-OK 02:00:5e:10:00:01", otherEvent, presence.MAC{}},
		{"<3>CTRL-EVENT-EAP-FAILURE 02:00:5e:10:00:01", otherEvent, presence.MAC{}},
		{"<3>AP-STA-CONNECTED", otherEvent, presence.MAC{}},
		{"<3>AP-STA-CONNECTED ff:ff:ff:ff:ff:ff", otherEvent, presence.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"<3>AP-STA-CONNECTED 02005e100001", otherEvent, phone},
		{"<3>AP-STA-CONNECTED 02:00:5e:10:00:01:02:03", otherEvent, presence.MAC{}},
		{"<3>AP-STA-CONNECTED\t02:00:5e:10:00:01", otherEvent, presence.MAC{}},
		{"AP-STA-CONNECTED 02:00:5e:10:00:01", otherEvent, presence.MAC{}},
		{"<3", otherEvent, presence.MAC{}},
		{"IFNAME=wlan0", otherEvent, presence.MAC{}},
		{"", otherEvent, presence.MAC{}},
		{"<3>AP-STA-CONNECTED 02:00:5e:10:00:01 " + strings.Repeat("x", maxMessage), otherEvent, presence.MAC{}},
	} {
		if kind, mac := parseEvent([]byte(test.text)); kind != test.kind || mac != test.mac {
			t.Errorf("%.60q is %d of %v, want %d of %v", test.text, kind, mac, test.kind, test.mac)
		}
	}
}

func TestParseStation(t *testing.T) {
	for _, test := range []struct {
		text           string
		authorized, ok bool
	}{
		{"02:00:5e:10:00:01\nflags=[AUTH][ASSOC][AUTHORIZED][WMM]\naid=1\n", true, true},
		{"02:00:5e:10:00:01\naid=1\nflags=[AUTHORIZED]\n", true, true},
		{"02:00:5e:10:00:01\nflags=[AUTH][ASSOC]\naid=1\nkeyid=[AUTHORIZED]\n", false, true},
		{"02:00:5e:10:00:01\nflags=\n", false, true},
		{"02:00:5e:10:00:01", false, true},
		{"FAIL\n", false, false},
		{"UNKNOWN COMMAND\n", false, false},
		{"", false, false},
		{"02:00:5e:10:00:01\nflags=[AUTHORIZED]" + strings.Repeat("x", 2*maxMessage), true, true},
	} {
		mac, authorized, ok := parseStation([]byte(test.text))
		if authorized != test.authorized || ok != test.ok || ok && mac != phone {
			t.Errorf("%.60q: %v, %v, %v", test.text, mac, authorized, ok)
		}
	}
}

// Whatever comes: an event about a station has a station's MAC, and no answer
// is taken for an event.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("<3>AP-STA-CONNECTED 02:00:5e:10:00:01 keyid=guest"))
	f.Add([]byte("IFNAME=wlan0 <3>AP-STA-DISCONNECTED 02:00:5e:10:00:01"))
	f.Add([]byte("<3>AP-DISABLED "))
	f.Add([]byte("02:00:5e:10:00:01\nflags=[AUTH][ASSOC][AUTHORIZED]\naid=1\n"))
	f.Add([]byte("FAIL\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		kind, mac := parseEvent(message)
		if (kind == connected || kind == disconnected) != (mac.Station() && kind != otherEvent) {
			t.Errorf("%q is %d of %v", message, kind, mac)
		}
		mac, authorized, ok := parseStation(message)
		if ok && (!mac.Station() || isEvent(message)) || authorized && !ok {
			t.Errorf("%q is %v, %v, %v", message, mac, authorized, ok)
		}
	})
}
