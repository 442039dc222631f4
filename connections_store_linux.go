package main

import (
	"fmt"
	"strconv"
	"time"

	"porchlight/config"
	"porchlight/connections"
)

// keptBytes bounds the stored snapshots.
const keptBytes = 256 << 20

type connectionsSnapshotCmd struct {
	Keep duration `default:"30d" placeholder:"TIME" help:"For how long snapshots are kept."`
}

// duration is a length of time on the command line; days too.
type duration struct {
	time.Duration
}

// UnmarshalText is called by kong.
func (d *duration) UnmarshalText(b []byte) (err error) {
	d.Duration, err = config.ParseDuration(string(b))
	if err == nil && d.Duration <= 0 {
		err = fmt.Errorf("%q: want a time such as 7d", b)
	}
	return err
}

// Run stores the connections as they are now.
func (c connectionsSnapshotCmd) Run(a *app) error {
	store, err := a.snapshots(true)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	s, err := (&looker{app: a}).take()
	if err != nil {
		return err
	}
	if err := store.Add(a.ctx, s, connections.Keep{Age: c.Keep.Duration, Size: keptBytes}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "snapshot %d: %d connections and listeners\n", s.Number, len(s.Connections))
	return err
}

// snapshots opens the stored ones.
func (a *app) snapshots(mayMake bool) (*connections.Store, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	return connections.OpenStore(a.ctx, cfg.DataDir, mayMake)
}

type connectionsListCmd struct {
	form
}

// Run lists the stored snapshots.
func (c connectionsListCmd) Run(a *app) error {
	store, err := a.snapshots(false)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	all, err := store.List(a.ctx)
	if err != nil {
		return err
	}
	if c.table() {
		rows := [][]string{{"NUMBER", "TIME", "CONNECTIONS", "LISTENERS", "SIZE", ""}}
		for i, e := range all {
			note := ""
			if i > 0 && all[i-1].Boot != e.Boot {
				note = "the first after a restart of the machine"
			}
			rows = append(rows, []string{strconv.FormatInt(e.Number, 10), when(e.Time), strconv.Itoa(e.Connections), strconv.Itoa(e.Listeners), bytesText(uint64(e.Bytes)), note})
		}
		return table(a.stdout, rows)
	}
	out, err := newLines(a.stdout, c.CSV, connections.Entry{})
	for _, e := range all {
		if err == nil {
			err = out.print(e)
		}
	}
	return err
}

type connectionsShowCmd struct {
	form
	chosenConnections
	Number int64 `arg:"" help:"Its number in porchlight connections list."`
}

// Run lists the connections of a stored snapshot.
func (c connectionsShowCmd) Run(a *app) error {
	store, err := a.snapshots(false)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	s, err := store.Load(a.ctx, c.Number)
	if err != nil {
		return err
	}
	(&looker{app: a}).tell(s.Missing)
	return printConnections(a, c.form, c.choose(s.Connections))
}

type connectionsDiffCmd struct {
	form
	chosenConnections
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

// Run says what changed.
func (c connectionsDiffCmd) Run(a *app) error {
	store, err := a.snapshots(false)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	all, err := store.List(a.ctx)
	if err != nil {
		return err
	}
	if err := c.choosePair(all); err != nil {
		return err
	}
	look := &looker{app: a}
	var pair [2]*connections.Snapshot
	for i, w := range []which{c.A, c.B} {
		if w.now {
			pair[i], err = look.take()
		} else {
			pair[i], err = store.Load(a.ctx, w.number)
		}
		if err != nil {
			return err
		}
		pair[i].Connections = c.choose(pair[i].Connections)
	}
	d := connections.Compare(pair[0], pair[1])
	look.tell(d.Notes)
	out, err := newChanges(a, c.form)
	if err == nil {
		err = out.diff(pair[1].Time, d)
	}
	return err
}

// choosePair fills in what was not given.
func (c *connectionsDiffCmd) choosePair(all []connections.Entry) error {
	given := c.A.now || c.A.number != 0
	if n := len(all); n == 0 || n == 1 && !given {
		return fmt.Errorf("there are %d stored snapshots, and it takes two: porchlight connections snapshot stores one", n)
	}
	last := len(all) - 1
	if !given {
		c.A.number = all[last-1].Number
	}
	if !c.B.now && c.B.number == 0 {
		c.B.number = all[last].Number
	}
	return nil
}
