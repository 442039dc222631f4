package notify

import (
	"strings"
	"testing"
	"time"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

func socketEvent(kind presence.EventType, program string) presence.Event {
	return presence.Event{
		Type: kind, Time: time.Unix(1_000_000_000, 0), Why: "it was not there 30 s ago",
		Socket: &presence.Socket{Program: program, User: "www-data", Container: "docker:4f5e", PID: 812, Protocol: "tcp", Port: 8443},
	}
}

func TestRulesOfThisMachine(t *testing.T) {
	for _, test := range []struct {
		rule    string
		event   presence.EventType
		program string
		want    bool
		machine bool
	}{
		{"machine", presence.ListenerOpened, "nginx", true, true},
		{"machine", presence.ListenerClosed, "", true, true},
		{"machine", presence.NewProgramOnline, "curl", true, true},
		{"machine/NGINX", presence.ListenerOpened, "nginx", true, true},
		{"machine/nginx", presence.ListenerOpened, "curl", false, true},
		{"listener_opened>phone!", presence.ListenerOpened, "nginx", true, true},
		{"listener_opened", presence.ListenerClosed, "nginx", false, true},
		{"new", presence.NewProgramOnline, "curl", false, false},
		{"trouble", presence.ListenerOpened, "nginx", false, false},
	} {
		rules, err := ParseRules(test.rule)
		if err != nil || len(rules) != 1 {
			t.Fatalf("%s: %v, %v", test.rule, rules, err)
		}
		e := socketEvent(test.event, test.program)
		if got := rules[0].wants(&e, nil); got != test.want {
			t.Errorf("%s of %s by %s: %v", test.rule, test.event, test.program, got)
		}
		if got := rules[0].AboutMachine(); got != test.machine {
			t.Errorf("%s is about this machine: %v", test.rule, got)
		}
	}
}

func TestMessagesOfThisMachine(t *testing.T) {
	tpl, err := newTemplates("")
	if err != nil {
		t.Fatal(err)
	}
	item := func(e presence.Event) Item { return Item{Event: e, Headline: headline(&e), When: e.Time.UTC()} }
	opened := item(socketEvent(presence.ListenerOpened, "nginx"))
	closed := item(socketEvent(presence.ListenerClosed, ""))
	online := item(socketEvent(presence.NewProgramOnline, "<b>curl"))
	m, err := tpl.render(Message{Items: []Item{opened}})
	if err != nil {
		t.Fatal(err)
	}
	want := "nginx began to listen on TCP port 8443\n\nUser: www-data\nContainer: docker:4f5e\nProcess: 812\nSince: Sun 9 Sep 01:46\nWhy: it was not there 30 s ago"
	if diff := cmp.Diff(want, m.text); diff != "" || m.title != "nginx began to listen on TCP port 8443" {
		t.Errorf("title %q, text (-want +got):\n%s", m.title, diff)
	}
	for _, want := range []string{"<h2>nginx began to listen on TCP port 8443</h2>", "<td>www-data</td>", "<td>docker:4f5e</td>", "<td>812</td>"} {
		if !strings.Contains(m.html, want) {
			t.Errorf("%q is not in\n%s", want, m.html)
		}
	}
	m, err = tpl.render(Message{Items: []Item{opened, opened, closed, online}, Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	if m.title != "2 ports opened, 1 port closed, 1 new program online" {
		t.Errorf("title %q", m.title)
	}
	for _, want := range []string{"A program no longer listens on TCP port 8443: it was", "New program online: <b>curl: it was"} {
		if !strings.Contains(m.text, want) {
			t.Errorf("%q is not in\n%s", want, m.text)
		}
	}
	if !strings.Contains(m.html, "&lt;b&gt;curl") {
		t.Errorf("not escaped:\n%s", m.html)
	}
}

// TestLinkOfThisMachine: a message leads to the program's connections.
func TestLinkOfThisMachine(t *testing.T) {
	l := &lane{link: "http://porch/"}
	m := l.message(t.Context(), []waiting{{event: socketEvent(presence.ListenerOpened, "a b&c")}}, 0)
	if want := "http://porch/connections?program=a+b%26c"; m.Items[0].Link != want {
		t.Errorf("the link is %q, want %q", m.Items[0].Link, want)
	}
}
