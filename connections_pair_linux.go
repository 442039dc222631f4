package main

import (
	"fmt"
	"strconv"
	"time"

	"porchlight/connections"
)

// pair are two snapshots on the command line.
type pair struct {
	A which `arg:"" optional:"" help:"The number of the first; without it the last but one."`
	B which `arg:"" optional:"" help:"The number of the second, or now; without it the last."`
}

// which is a snapshot on the command line.
type which struct {
	number int64 // 0: not given
	now    bool
}

// UnmarshalText is called by kong.
func (w *which) UnmarshalText(b []byte) (err error) {
	if w.now = string(b) == "now"; w.now {
		return nil
	}
	if w.number, err = strconv.ParseInt(string(b), 10, 64); err != nil || w.number <= 0 {
		return fmt.Errorf("%q: want the number of a snapshot (porchlight connections list), or now", b)
	}
	return nil
}

// given reports whether anything was said.
func (p *pair) given() bool { return p.A.now || p.A.number != 0 }

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
	for i, w := range []which{p.A, p.B} {
		if w.now {
			both[i], err = look.take()
		} else {
			both[i], err = store.Load(look.ctx, w.number)
		}
		if err != nil {
			return at, d, err
		}
		both[i].Connections = chosen.choose(both[i].Connections)
	}
	d = connections.Compare(both[0], both[1])
	look.tell(d.Notes)
	return both[1].Time, d, nil
}

// fill fills in what was not given. Newest are the last two, the last one first.
func (p *pair) fill(newest []connections.Entry) error {
	switch n := len(newest); {
	case n == 0:
		return connections.ErrEmpty
	case n == 1 && !p.given():
		return fmt.Errorf("it takes two snapshots, and only %[1]d is stored: porchlight connections snapshot stores another, porchlight connections diff %[1]d now says what changed since", newest[0].Number)
	}
	if !p.given() {
		p.A.number = newest[1].Number
	}
	if !p.B.now && p.B.number == 0 {
		p.B.number = newest[0].Number
	}
	return nil
}
