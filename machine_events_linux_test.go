package main

import (
	"encoding/csv"
	"net/netip"
	"strings"
	"testing"
	"time"

	"porchlight/connections"
	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

// TestEventsOfThisMachine: what an event tells of a program and its port is in
// the table, in JSON and in columns of its own.
func TestEventsOfThisMachine(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, dir)
	at := time.Date(2026, 3, 1, 18, 0, 0, 0, time.UTC)
	store.Append([]presence.Event{
		{Type: presence.ListenerOpened, Time: at, Addr: netip.MustParseAddr("127.0.0.1"), Why: "nginx began to listen", Socket: &presence.Socket{
			Program: "nginx", User: "www-data", Container: "docker:4f5e", PID: 812, Protocol: "tcp", Port: 8443,
		}},
		{Type: presence.Left, Time: at, ID: ann.ID(), MAC: ann, Name: "Ann's phone", Why: "no answer"},
		{Type: presence.NewProgramOnline, Time: at, Why: "curl is new", Socket: &presence.Socket{Program: "=curl", Protocol: "tcp", Port: 443}},
	})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	_, out, errs := command(t, dir, "events", "--csv")
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v: %s%s", len(rows), err, out, errs)
	}
	var got [][]string
	for _, row := range rows {
		cells := map[string]string{}
		for i, name := range rows[0] {
			cells[name] = row[i]
		}
		got = append(got, []string{cells["event_type"], cells["program"], cells["user"], cells["container"], cells["pid"], cells["protocol"], cells["port"]})
	}
	if diff := cmp.Diff([][]string{
		{"event_type", "program", "user", "container", "pid", "protocol", "port"},
		{"listener_opened", "nginx", "www-data", "docker:4f5e", "812", "tcp", "8443"},
		{"left", "", "", "", "", "", ""},
		{"new_program_online", "'=curl", "", "", "", "tcp", "443"},
	}, got); diff != "" {
		t.Errorf("CSV (-want +got):\n%s", diff)
	}

	_, out, errs = command(t, dir, "events", "--json", "-t", "listener_opened")
	if want := `"program":"nginx","user":"www-data","container":"docker:4f5e","pid":812,"protocol":"tcp","port":8443}` + "\n"; !strings.HasSuffix(out, want) {
		t.Errorf("JSON %s%s, want %s", out, errs, want)
	}
	if _, out, errs := command(t, dir, "events", "--program", "Nginx"); strings.Count(out, "\n") != 1 || !strings.Contains(out, "8443") {
		t.Errorf("of a program: %s%s", out, errs)
	}
	_, out, errs = command(t, dir, "events")
	for _, want := range []string{
		"listener_opened     nginx, TCP port 8443          nginx began to listen\n",
		"left                Ann's phone                   no answer\n",
		"new_program_online  =curl                         curl is new\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the table %s%s, want %s", out, errs, want)
		}
	}
}

// TestMachineEvent: an event has the end that it is about, and no command line.
func TestMachineEvent(t *testing.T) {
	at := time.Date(2026, 3, 1, 18, 0, 0, 0, time.UTC)
	nginx := &connections.Process{PID: 812, Name: "nginx", Command: "nginx --password x", User: "www-data", Container: "docker:4f5e"}
	of := func(kind string, c connections.Connection) connections.Event {
		return connections.Event{Type: kind, Time: at, Connection: c, Why: "in words"}
	}
	for name, c := range map[string]struct {
		event connections.Event
		addr  string // empty: none
		want  presence.Socket
	}{
		"of all addresses": {
			of(connections.ListenerOpened, connections.Connection{Protocol: connections.TCP, Local: netip.MustParseAddrPort("[::]:8443"), User: "root", Process: nginx}),
			"",
			presence.Socket{Program: "nginx", User: "www-data", Container: "docker:4f5e", PID: 812, Protocol: "tcp", Port: 8443},
		},
		"of one address, by nobody that can be seen": {
			of(connections.ListenerClosed, connections.Connection{Protocol: connections.UDP, Local: netip.MustParseAddrPort("127.0.0.1:53"), User: "root"}),
			"127.0.0.1",
			presence.Socket{User: "root", Protocol: "udp", Port: 53},
		},
		"with a remote end": {
			of(connections.NewProgramOnline, connections.Connection{
				Protocol: connections.TCP, Local: netip.MustParseAddrPort("192.168.1.2:40000"), Remote: netip.MustParseAddrPort("192.0.2.7:443"), Process: nginx,
			}),
			"192.0.2.7",
			presence.Socket{Program: "nginx", User: "www-data", Container: "docker:4f5e", PID: 812, Protocol: "tcp", Port: 443},
		},
		"without one": {
			of(connections.NewProgramOnline, connections.Connection{Protocol: connections.UDP, Local: netip.MustParseAddrPort("0.0.0.0:40000"), Process: nginx}),
			"",
			presence.Socket{Program: "nginx", User: "www-data", Container: "docker:4f5e", PID: 812, Protocol: "udp"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := machineEvent(&c.event)
			if diff := cmp.Diff(&c.want, got.Socket); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			addr := ""
			if got.Addr.IsValid() {
				addr = got.Addr.String()
			}
			if addr != c.addr || string(got.Type) != c.event.Type || got.Why != "in words" || !got.Time.Equal(at) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestMachineTypes: what the recorder tells has the names of the event log.
func TestMachineTypes(t *testing.T) {
	var types []string
	for _, kind := range presence.MachineTypes() {
		types = append(types, string(kind))
	}
	if diff := cmp.Diff([]string{connections.ListenerOpened, connections.ListenerClosed, connections.NewProgramOnline}, types); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
