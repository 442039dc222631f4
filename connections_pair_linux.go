package main

import (
	"fmt"
	"strconv"
	"time"

	"porchlight/connections"
)

// pair are two snapshots on the command line.
type pair struct {
	A which `arg:"" optional:"" help:"The first: its number, or a time such as 2h (ago), yesterday or 18:30; without it the last but one; now alone: what changed since the last."`
	B which `arg:"" optional:"" help:"The second: its number, a time, or now; without it the last."`
}

// which is a snapshot on the command line.
type which struct {
	number int64 // 0: not given
	now    bool
	at     moment // the last one before
}

// UnmarshalText is called by kong.
func (w *which) UnmarshalText(b []byte) (err error) {
	if w.now = string(b) == "now"; w.now {
		return nil
	}
	if w.number, err = strconv.ParseInt(string(b), 10, 64); err == nil && w.number > 0 {
		return nil
	}
	if err == nil || len(b) == 0 || w.at.UnmarshalText(b) != nil {
		return fmt.Errorf("%q: want the number of a snapshot (porchlight connections list), now, or a time such as 2h (ago), yesterday or \"2026-03-01 18:30\"", b)
	}
	return nil
}

func (w *which) given() bool { return w.now || w.number != 0 || w.at.text != "" }

// given reports whether anything was said.
func (p *pair) given() bool { return p.A.given() }

// text is the pair for people, such as "3 and 17" or "17 and now".
func (p *pair) text() string { return p.A.text() + " and " + p.B.text() }

func (w *which) text() string {
	if w.now {
		return "now"
	}
	return strconv.FormatInt(w.number, 10)
}

// compare returns what changed of the chosen connections, and when the second
// snapshot was taken.
func (p *pair) compare(look *looker, chosen chosenConnections) (at time.Time, d connections.Diff, err error) {
	store, err := look.snapshots(false)
	if err != nil {
		return at, d, err
	}
	defer func() { _ = store.Close() }()
	all, err := store.Newest(look.ctx, 0, 2)
	if err != nil {
		return at, d, err
	}
	if err := p.fill(all); err != nil {
		return at, d, err
	}
	var both [2]*connections.Snapshot
	for i, w := range []*which{&p.A, &p.B} {
		both[i], err = w.load(look, store)
		if err != nil {
			return at, d, err
		}
		both[i].Connections = chosen.choose(both[i].Connections)
	}
	d = connections.Compare(both[0], both[1])
	look.tell(d.Notes)
	return both[1].Time, d, nil
}

// load loads it, and says which it is when only a time was given.
func (w *which) load(look *looker, store *connections.Store) (*connections.Snapshot, error) {
	if w.now {
		return look.take()
	}
	t, err := w.at.at(time.Now())
	if err == nil && w.number == 0 {
		w.number, err = store.Before(look.ctx, t)
	}
	if err != nil {
		return nil, err
	}
	s, err := store.Load(look.ctx, w.number)
	if err == nil && w.at.text != "" {
		_, _ = fmt.Fprintf(look.stderr, "porchlight: %s: that is snapshot %d, of %s\n", w.at.text, w.number, when(s.Time))
	}
	return s, err
}

// fill fills in what was not given. Newest are the last two, the last one first.
func (p *pair) fill(newest []connections.Entry) error {
	switch n := len(newest); {
	case n == 0:
		return connections.ErrEmpty
	case n == 1 && !p.given():
		return fmt.Errorf("it takes two snapshots, and only %[1]d is stored: porchlight connections snapshot stores another, porchlight connections diff %[1]d now says what changed since", newest[0].Number)
	}
	switch {
	case !p.given():
		p.A.number = newest[1].Number
	case p.A.now && !p.B.given(): // since the last one
		p.A, p.B = which{number: newest[0].Number}, p.A
	}
	if !p.B.given() {
		p.B.number = newest[0].Number
	}
	return nil
}
