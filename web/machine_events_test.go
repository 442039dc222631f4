package web

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

// machineLife is what happened on the machine that Porchlight runs on.
func machineLife(now time.Time) []presence.Event {
	return append(life(now),
		presence.Event{
			Type: presence.ListenerOpened, Time: now.Add(-2 * time.Hour), Addr: netip.MustParseAddr("127.0.0.1"), Why: "it was not there 30 s ago", Interface: "lo",
			Socket: &presence.Socket{Program: "<i>nginx", User: "www-data", Container: "docker:4f5e", PID: 812, Protocol: "tcp", Port: 8443},
		},
		presence.Event{Type: presence.ListenerClosed, Time: now.Add(-time.Hour), Why: "it has gone", Socket: &presence.Socket{Protocol: "udp", Port: 53}},
		presence.Event{Type: presence.NewProgramOnline, Time: now, Why: "to 192.0.2.7", Socket: &presence.Socket{Program: "curl", User: "ann", Protocol: "tcp", Port: 443}},
	)
}

// TestEventsOfThisMachine: a person sees which program, port and user it was, and
// finds them by type and program.
func TestEventsOfThisMachine(t *testing.T) {
	now := time.Now()
	page := handler(t, Config{Source: family(now), History: past(t, machineLife(now)...)})
	opened := "listener opened <i>nginx, TCP port 8443 user www-data in docker:4f5e 127.0.0.1 it was not there 30 s ago"
	for query, want := range map[string][]string{
		"?type=listener_opened":                    {opened},
		"?device=%3CI%3EnginX":                     {opened},
		"?type=listener_closed":                    {"listener closed UDP port 53 it has gone"},
		"?type=new_program_online":                 {"new program online curl user ann to 192.0.2.7"},
		"?device=curl&type=new_program_online":     {"new program online curl user ann to 192.0.2.7"},
		"?device=curl&type=listener_opened":        nil,
		"?device=Anna's+phone&type=sensing_lost":   nil,
		"?device=" + strings.Repeat("x", 300) + "": nil,
	} {
		w := ask(page, "/events"+query)
		var got []string
		for _, item := range strings.Split(w.Body.String(), "<li class=")[1:] {
			item, _, _ = strings.Cut(item, "</li>")
			_, item, _ = strings.Cut(item, "</time>")
			got = append(got, readable(item))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
		if strings.Contains(w.Body.String(), "<i>") {
			t.Errorf("%s: what a program is called is not escaped", query)
		}
	}
	if w := ask(page, "/events?type=listener_opened"); !strings.Contains(w.Body.String(), `connections?program=%3Ci%3Enginx"`) {
		t.Errorf("there is no link to its connections: %s", w.Body)
	}
	w := ask(page, "/api/v1/events?program=CURL")
	if want := `"program":"curl","user":"ann","protocol":"tcp","port":443}]`; !strings.HasSuffix(strings.TrimSpace(w.Body.String()), want) {
		t.Errorf("the API answers %s, want %s", w.Body, want)
	}
	for _, kind := range presence.MachineTypes() {
		if w := ask(page, "/metrics"); !strings.Contains(w.Body.String(), `porchlight_events_total{type="`+string(kind)+`"} `) {
			t.Errorf("/metrics does not count %s", kind)
		}
	}
}
