package history

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func init() { children["come-and-go"] = comeAndGo }

// stays is what the sessions must be by the events, computed from them anew.
func stays(events []presence.Event) (all []Session) {
	open := map[presence.ID]int{}
	for _, e := range events {
		i, is := open[e.ID]
		switch {
		case e.Type == presence.Arrived && !is:
			open[e.ID] = len(all)
			all = append(all, Session{Device: e.ID, MAC: e.MAC, From: e.Time, WhyBegan: e.Why, Addresses: []netip.Addr{e.Addr}})
		case e.Type == presence.Left && is:
			all[i].To, all[i].WhyEnded = e.Time, e.Why
			delete(open, e.ID)
		}
	}
	slices.SortFunc(all, func(a, b Session) int {
		if a.Device != b.Device {
			return slices.Compare([]byte(a.Device), []byte(b.Device))
		}
		return a.From.Compare(b.From)
	})
	return all
}

var sessionsByValue = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()}

func sameSessions(t *testing.T, want, got []Session) {
	t.Helper()
	if diff := cmp.Diff(want, got, sessionsByValue); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
}

// toggle is the next event of a device, whose last one was e.
func toggle(e presence.Event, at time.Time) presence.Event {
	e.Time = at
	if e.Type == presence.Arrived {
		e.Type, e.Why = presence.Left, "nothing heard for 45 s"
	} else {
		e.Type, e.Why = presence.Arrived, "DHCP REQUEST heard"
	}
	return e
}

// comeAndGo lets devices come and go for ever, and goes on where the log ended.
func comeAndGo(dir string) {
	s, err := Open(dir, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() { _ = s.Run(always) }()
	devices := arrivals(5)
	for i := range devices {
		devices[i].Type = presence.Left
	}
	at := t0
	for _, e := range s.Recent() {
		at = e.Time
		for i := range devices {
			if devices[i].ID == e.ID {
				devices[i] = e
			}
		}
	}
	fmt.Println("started")
	for {
		at = at.Add(time.Minute)
		i := rand.IntN(len(devices))
		devices[i] = s.Append([]presence.Event{toggle(devices[i], at)})[0]
		fmt.Print(".")
		time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	}
}

// A killed process loses no session, and none is there twice, wherever between
// the journal and the database it was killed.
func TestSessionsOfTheKilled(t *testing.T) {
	dir := t.TempDir()
	for range 12 {
		cmd := exec.Command(os.Args[0], "come-and-go", dir)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("started\n.........."))); err != nil { // a slow machine takes its time
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond) // the moment of the kill is what is at random
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	s := open(t, dir)
	events := all(t, s, 0)
	if len(events) < 100 {
		t.Fatalf("only %d events", len(events))
	}
	got, err := s.Queries().AllSessions(t.Context(), time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	sameSessions(t, stays(events), got)
	t.Logf("%d events, %d sessions, 12 kills", len(events), len(got))
}

// Files of all older versions get the sessions of the events that they have.
func TestSessionsOfOldFiles(t *testing.T) {
	steps, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	for version := 1; !strings.Contains(steps[version-1], "CREATE TABLE sessions"); version++ {
		dir := t.TempDir()
		if err := oldFile(dir, version, 3); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		events := all(t, s, 0)
		got, err := s.Queries().AllSessions(t.Context(), time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		sameSessions(t, stays(events), got)
		closed(t, s)
	}
}

// Who is home in an older file, and has no event that it came, has a session.
func TestSessionsOfWhoWasHomeInOldFiles(t *testing.T) {
	steps, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	d, err := oldDevice()
	if err != nil {
		t.Fatal(err)
	}
	for version := 1; version < len(steps); version++ {
		dir := t.TempDir()
		if err := oldFile(dir, version, 0); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		sameSessions(t, []Session{{Device: d.ID, MAC: d.MAC, From: d.Since}}, sessionsOf(t, s, d.ID))
		closed(t, s)
	}
}

// home is a device that is home since a time.
func home(e presence.Event, since time.Time) presence.Record {
	return presence.Record{Device: presence.Device{
		ID: e.ID, MAC: e.MAC, Addr: e.Addr, State: presence.Home, Since: since, Why: "ARP announcement heard",
		FirstSeen: since, LastSeen: since, HostName: "phone",
	}}
}

// flushed waits until everything is in the database.
func flushed(t *testing.T, s *Store) {
	t.Helper()
	until(t, "everything is written", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.tail.countWaiting() == 0 && len(s.changes.queue) == 0 && len(s.jobs) == 0 && s.writing.IsZero()
	})
}

func sessionsOf(t *testing.T, s *Store, id presence.ID) []Session {
	t.Helper()
	flushed(t, s)
	got, err := s.Queries().Sessions(t.Context(), id, time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Who is home at the baseline has no event that it came.
func TestSessionOfTheBaseline(t *testing.T) {
	s := open(t, t.TempDir())
	e := arrivals(1)[0]
	d := home(e, t0)
	d.IPv6 = []netip.Addr{netip.MustParseAddr("fe80::1")}
	s.SaveDevices([]presence.Record{d})
	want := Session{Device: e.ID, MAC: e.MAC, From: t0.Truncate(time.Millisecond), WhyBegan: d.Why, Addresses: []netip.Addr{e.Addr, d.IPv6[0]}}
	sameSessions(t, []Session{want}, sessionsOf(t, s, e.ID))

	d.IPv6 = append([]netip.Addr{netip.MustParseAddr("fd00::7")}, d.IPv6...)
	s.SaveDevices([]presence.Record{d})
	want.Addresses = append([]netip.Addr{d.IPv6[0]}, want.Addresses...)
	sameSessions(t, []Session{want}, sessionsOf(t, s, e.ID))

	left := toggle(e, t0.Add(time.Hour))
	s.Append([]presence.Event{left})
	want.To, want.WhyEnded = left.Time, left.Why
	sameSessions(t, []Session{want}, sessionsOf(t, s, e.ID))
}

// A device's row may be older than the events; it takes nothing back.
func TestStaleRowChangesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	came := arrivals(1)[0]
	left := toggle(came, came.Time.Add(time.Hour))
	again := toggle(left, came.Time.Add(2*time.Hour))
	row := home(came, came.Time)
	row.LastSeen = row.LastSeen.Add(time.Minute)
	for i, events := range [][]presence.Event{{came}, {left}, {again}} {
		given := s.Append(events)
		flushed(t, s)
		before := sessionsOf(t, s, came.ID)
		row.HostName = fmt.Sprint("phone ", i) // so that the row is written
		s.SaveDevices([]presence.Record{row})
		sameSessions(t, before, sessionsOf(t, s, came.ID))
		if given[0].Type == presence.Left { // as it was after this one, when it is back already
			row.State, row.Since = presence.NotHome, left.Time
		}
	}
	if got := sessionsOf(t, s, came.ID); len(got) != 2 || !got[1].Open() || got[0].Open() {
		t.Errorf("sessions %+v", got)
	}
}

// What happened while the log was lost is known from the rows.
func TestSessionsWithoutEvents(t *testing.T) {
	s := open(t, t.TempDir())
	e := arrivals(1)[0]
	d := home(e, t0)
	s.SaveDevices([]presence.Record{d})
	flushed(t, s)
	d.State, d.Since, d.Why = presence.NotHome, t0.Add(time.Hour), "nothing heard"
	s.SaveDevices([]presence.Record{d})
	flushed(t, s)
	d.State, d.Since, d.Why = presence.Home, t0.Add(3*time.Hour), "back"
	s.SaveDevices([]presence.Record{d})
	got := sessionsOf(t, s, e.ID)
	if len(got) != 2 || !got[0].To.Equal(t0.Add(time.Hour)) || !got[1].From.Equal(t0.Add(3*time.Hour)) || !got[1].Open() {
		t.Errorf("sessions %+v", got)
	}
	if absent := value[int64](t, s, "SELECT max(absent) FROM sessions"); absent != (2 * time.Hour).Milliseconds() {
		t.Errorf("absent for %d ms", absent)
	}
	s.DeleteDevices([]presence.ID{e.ID})
	got = sessionsOf(t, s, e.ID)
	if len(got) != 2 || got[1].Open() || got[1].WhyEnded != "it was forgotten" {
		t.Errorf("sessions of a device that was forgotten %+v", got)
	}
}

// A stranger that changes its name with every packet fills nothing.
func TestNamesAreBounded(t *testing.T) {
	running(t, nil, func(t *testing.T, s *Store) {
		e := arrivals(1)[0]
		d := home(e, t0)
		for i := range 3 * maxNames {
			d.HostName, d.LastSeen = fmt.Sprint("name ", i), d.LastSeen.Add(time.Second)
			d.IPv6 = []netip.Addr{netip.AddrFrom16([16]byte{0xfd, 15: byte(i)})}
			s.SaveDevices([]presence.Record{d})
			flushed(t, s)
		}
		got, err := s.Queries().Names(always, e.ID)
		if err != nil || len(got) < maxNames || len(got) > maxNames+trimEvery || got[len(got)-1].Name != fmt.Sprint("name ", 3*maxNames-1) {
			t.Errorf("%d names, %v", len(got), err)
		}
		if got := sessionsOf(t, s, e.ID); len(got) != 1 || len(got[0].Addresses) != maxSessionAddrs || got[0].Addresses[0] != d.IPv6[0] {
			t.Errorf("addresses %v", got)
		}
	})
}
