package connections

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// usual is what a Watcher has learned: its baseline. Exported is what is stored
// as it is.
type usual struct {
	Boot    string
	Partial bool          // of the last look
	Clock   time.Duration // how long it has watched
	Looks   int
	Learnt  bool // listeners are told
	// ProgramsFrom is from when on programs are, by the clock, and ProgramLooks how
	// many looks learned them.
	ProgramsFrom time.Duration
	ProgramLooks int
	Programs     map[string]time.Duration // by name: when one was online last, by the clock
	Each         map[string]budget        // by program
	All          budget

	listeners map[listener]*known
	changed   bool
	kept      time.Duration // by the clock: when it was stored
}

func newUsual() usual {
	return usual{Programs: map[string]time.Duration{}, Each: map[string]budget{}, All: budget{Left: perMachine}, listeners: map[listener]*known{}}
}

// usualForm is the stored form's version.
const usualForm = 1

// storedUsual is a baseline as it is stored, in JSON.
type storedUsual struct {
	Form int
	*usual
	Listeners []storedListener
}

type storedListener struct {
	Protocol  string
	Program   string `json:",omitempty"`
	User      string `json:",omitempty"`
	Container string `json:",omitempty"`
	UID       uint32 `json:",omitempty"`
	Local     netip.AddrPort
	Given     bool `json:",omitempty"`
	Outside   bool `json:",omitempty"`
	Quiet     bool `json:",omitempty"`
	Since     time.Duration
}

// keepEvery is how often a baseline is stored in which only times changed.
const keepEvery = time.Hour

// Baseline is what has been learned, to go on with after a restart; nil: nothing
// has changed since Kept was called.
func (w *Watcher) Baseline() []byte {
	if !w.changed && w.Clock-w.kept < keepEvery {
		return nil
	}
	maps.DeleteFunc(w.Each, func(_ string, b budget) bool {
		b.fill(w.Clock, perProgram, everyPort)
		return b.Left >= perProgram
	})
	stored := storedUsual{Form: usualForm, usual: &w.usual}
	for _, key := range slices.SortedFunc(maps.Keys(w.listeners), listener.compare) {
		k := w.listeners[key]
		l := storedListener{Protocol: key.protocol, Program: key.program, User: k.conn.User, UID: k.conn.UID, Local: k.conn.Local, Given: k.conn.Given, Outside: k.outside, Quiet: k.quiet, Since: k.since}
		if k.conn.Process != nil {
			l.Container = k.conn.Process.Container
		}
		stored.Listeners = append(stored.Listeners, l)
	}
	b, err := json.Marshal(stored)
	if err != nil {
		return nil // all of it are texts and numbers
	}
	return b
}

// Kept takes note that the baseline is stored.
func (w *Watcher) Kept() { w.changed, w.kept = false, w.Clock }

// read takes in a stored baseline.
func (w *Watcher) read(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	fresh := newUsual()
	stored := storedUsual{usual: &fresh}
	if err := json.Unmarshal(b, &stored); err != nil {
		return fmt.Errorf("reading what is usual: %w", err)
	}
	if stored.Form != usualForm {
		return fmt.Errorf("reading what is usual: it has form %d, which this Porchlight does not know", stored.Form)
	}
	for _, l := range stored.Listeners {
		k := &known{conn: Connection{Protocol: l.Protocol, State: Listen, Local: l.Local, Given: l.Given, UID: l.UID, User: l.User}, outside: l.Outside, quiet: l.Quiet, since: l.Since}
		if l.Protocol == UDP {
			k.conn.State = Unconnected
		}
		if l.Program != "" {
			k.conn.Process = &Process{Name: l.Program, UID: l.UID, User: l.User, Container: l.Container}
		}
		k.listener = listener{l.Protocol, l.Program, l.Local.Port()}
		fresh.listeners[k.listener] = k
	}
	if fresh.Programs == nil || fresh.Each == nil {
		return errors.New("reading what is usual: something is missing")
	}
	fresh.kept = fresh.Clock
	w.usual = fresh
	return nil
}
