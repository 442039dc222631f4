package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"porchlight/config"
	"porchlight/connections"
	"porchlight/sqlitefile"
)

// keptBytes bounds the stored snapshots.
const keptBytes = 256 << 20

type connectionsSnapshotCmd struct {
	Keep duration `placeholder:"TIME" help:"For how long snapshots are kept. Default: PORCHLIGHT_CONNECTIONS_KEEP, which is 30d."`
}

// duration is a length of time on the command line; days too.
type duration struct {
	time.Duration
}

// UnmarshalText is called by kong.
func (d *duration) UnmarshalText(b []byte) (err error) {
	d.Duration, err = config.ParseDuration(string(b))
	if err != nil || d.Duration <= 0 {
		err = fmt.Errorf("%q: want a time such as 7d", b)
	}
	return err
}

// Run stores the connections as they are now.
func (c connectionsSnapshotCmd) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	store, err := a.snapshots(true)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	s, err := (&looker{app: a}).take()
	if err != nil {
		return err
	}
	if err := store.Add(a.ctx, s, connections.Keep{Age: cmp.Or(c.Keep.Duration, cfg.ConnectionsKeep), Size: keptBytes}); err != nil {
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
	store, err := connections.OpenStore(a.ctx, cfg.DataDir, mayMake)
	if errors.Is(err, connections.ErrEmpty) {
		return nil, fmt.Errorf("in %s %w%s", cfg.DataDir, err, sudoHint())
	}
	return store, moveAway(err)
}

// snapshot reads a stored one.
func (a *app) snapshot(number int64) (*connections.Snapshot, error) {
	store, err := a.snapshots(false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	return store.Load(a.ctx, number)
}

// sudoHint is for who finds nothing in a data directory of their own.
func sudoHint() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return "; what a service records, sudo shows"
}

// moveAway says what to do about err, if a file is damaged.
func moveAway(err error) error {
	if sqlitefile.Damaged(err) {
		return fmt.Errorf("%w: the file is damaged; move it away, and a new one is begun", err)
	}
	return err
}

type connectionsListCmd struct {
	form
	span
	Last int `short:"n" placeholder:"N" help:"Only the N newest."`
}

// Validate is called by kong.
func (c connectionsListCmd) Validate() error {
	if c.Last < 0 {
		return fmt.Errorf("--last %d: want a number of snapshots", c.Last)
	}
	return nil
}

// Run lists the stored snapshots.
func (c connectionsListCmd) Run(a *app) error {
	store, err := a.snapshots(false)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	since, until, err := c.times()
	if err != nil {
		return err
	}
	all, err := store.List(a.ctx)
	if err != nil {
		return err
	}
	first := map[int64]bool{} // after a restart of the machine
	for i := 1; i < len(all); i++ {
		if all[i-1].Boot != all[i].Boot {
			first[all[i].Number] = true
		}
	}
	all = slices.DeleteFunc(all, func(e connections.Entry) bool {
		return e.Time.Before(since) || !until.IsZero() && !e.Time.Before(until)
	})
	if c.Last > 0 {
		all = all[max(0, len(all)-c.Last):]
	}
	if c.table() {
		rows := [][]string{{"NUMBER", "TIME", "CONNECTIONS", "LISTENERS", "SIZE", ""}}
		for _, e := range all {
			note := ""
			if first[e.Number] {
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
	s, err := a.snapshot(c.Number)
	if err != nil {
		return err
	}
	(&looker{app: a}).tell(s.Missing)
	return printConnections(a, c.form, c.choose(s.Connections))
}

type connectionsDiffCmd struct {
	form
	chosenConnections
	pair
}

// Run says what changed.
func (c connectionsDiffCmd) Run(a *app) error {
	at, d, err := c.compare(&looker{app: a}, c.chosenConnections)
	if err != nil {
		return err
	}
	if c.table() && len(d.Lines(at)) == 0 {
		_, err = fmt.Fprintf(a.stderr, "nothing has changed between snapshot %s\n", c.pair.text())
		return err
	}
	out, err := newChanges(a, c.form)
	if err == nil {
		err = out.diff(at, d)
	}
	return err
}
