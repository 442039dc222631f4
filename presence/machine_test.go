package presence

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSocketJSON: what an event tells of a socket is among its other fields, and
// other events have nothing of it.
func TestSocketJSON(t *testing.T) {
	at := time.Date(2026, 3, 1, 18, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		event Event
		want  string
	}{
		"a listener": {
			Event{Type: ListenerOpened, Seq: 7, Time: at, Addr: netip.MustParseAddr("127.0.0.1"), Why: "new", Socket: &Socket{
				Program: "nginx", User: "www-data", Container: "docker:4f5e", PID: 812, Protocol: "tcp", Port: 8443,
			}},
			`{"event_type":"listener_opened","seq":7,"time":"2026-03-01T18:00:00Z","ip":"127.0.0.1","private_mac":false,"why":"new",` +
				`"program":"nginx","user":"www-data","container":"docker:4f5e","pid":812,"protocol":"tcp","port":8443}`,
		},
		"of a program that may not be seen": {
			Event{Type: ListenerClosed, Seq: 8, Time: at, Socket: &Socket{Protocol: "udp", Port: 53}},
			`{"event_type":"listener_closed","seq":8,"time":"2026-03-01T18:00:00Z","private_mac":false,"why":"","protocol":"udp","port":53}`,
		},
		"about a device": {
			Event{Type: Left, Seq: 9, Time: at},
			`{"event_type":"left","seq":9,"time":"2026-03-01T18:00:00Z","private_mac":false,"why":""}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(c.event)
			if err != nil || string(b) != c.want {
				t.Errorf("%s, %v; want %s", b, err, c.want)
			}
			var back Event
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.event, back, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCleanSocket(t *testing.T) {
	if CleanSocket(nil) != nil {
		t.Error("a socket of nothing")
	}
	long := strings.Repeat("x", 500)
	got := CleanSocket(&Socket{
		Program: "ng\x1b[31minx\n" + long, User: "\u202eroot", Container: long, PID: -1, Protocol: "tcp\x00" + long, Port: 1,
	})
	want := &Socket{
		Program: "ng [31minx " + long[:MaxName-len("ng [31minx ")], User: "root", Container: long[:maxContainer],
		Protocol: "tcp xxxx", Port: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSubject(t *testing.T) {
	web := &Socket{Program: "nginx", Protocol: "tcp", Port: 8443}
	for want, e := range map[string]Event{
		"Kettle":               {Type: Left, Name: "Kettle", Interface: "eth0"},
		"eth0":                 {Type: SensingLost, Interface: "eth0"},
		"":                     {Type: Baseline},
		"nginx, TCP port 8443": {Type: ListenerOpened, Socket: web, Interface: "eth0"},
		"UDP port 53":          {Type: ListenerClosed, Socket: &Socket{Protocol: "udp", Port: 53}},
		"nginx":                {Type: NewProgramOnline, Socket: web},
	} {
		if got := e.Subject(); got != want {
			t.Errorf("%s: %q, want %q", e.Type, got, want)
		}
	}
}

func TestMachineTypes(t *testing.T) {
	for _, kind := range MachineTypes() {
		if !slices.Contains(EventTypes(), kind) {
			t.Errorf("%s is no event type", kind)
		}
	}
}
