package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"porchlight/connections"
	"porchlight/presence"
)

type connectionsCmd struct {
	Now      connectionsNowCmd      `cmd:"" default:"withargs" help:"List the connections and listeners of this machine as they are now, with --watch live (the default; connections now --help shows its options)."`
	Snapshot connectionsSnapshotCmd `cmd:"" help:"Store how they are now."`
	List     connectionsListCmd     `cmd:"" help:"List the stored snapshots."`
	Show     connectionsShowCmd     `cmd:"" help:"List the connections of a stored snapshot."`
	Diff     connectionsDiffCmd     `cmd:"" help:"Say what changed between two snapshots, of the last two if nothing is said."`
	Compare  connectionsCompareCmd  `cmd:"" help:"Say which flows of a traffic dump the stored snapshots explain, and by which programs."`
	Filter   connectionsFilterCmd   `cmd:"" help:"Print the filters of tcpdump and Wireshark for connections, a program, a device or a diff."`
}

// form is how something is printed.
type form struct {
	JSON bool `xor:"form" help:"Print JSON Lines."`
	CSV  bool `xor:"form" help:"Print CSV."`
}

func (f form) table() bool { return !f.JSON && !f.CSV }

type connectionsNowCmd struct {
	form
	chosenConnections
	Watch bool           `short:"w" help:"Go on with what opens, closes and changes."`
	Every *time.Duration `placeholder:"TIME" help:"How often to look with --watch (1s)."`
}

// usualEvery is how often --watch looks, and leastEvery how often it may.
const (
	usualEvery = time.Second
	leastEvery = 100 * time.Millisecond
)

// Validate is called by kong.
func (c connectionsNowCmd) Validate() error {
	switch {
	case c.Every != nil && !c.Watch:
		return errors.New("--every goes with --watch")
	case c.Every != nil && *c.Every < leastEvery:
		return fmt.Errorf("--every %s: want at least %s", *c.Every, leastEvery)
	}
	return nil
}

// Run lists the connections as they are now.
func (c connectionsNowCmd) Run(a *app) error {
	look := &looker{app: a}
	s, err := look.take()
	if err != nil {
		return err
	}
	s.Connections = c.choose(s.Connections)
	if c.Watch {
		return c.watch(look, s)
	}
	return printConnections(a, c.form, s.Connections)
}

// looker takes snapshots with the names of the devices.
type looker struct {
	*app
	names connections.DeviceNames
	read  time.Time // when the names were
	said  map[string]bool
}

// namesFor is how long names of devices are good for.
const namesFor = time.Minute

// take looks, and tells of each thing that cannot be seen once.
func (l *looker) take() (*connections.Snapshot, error) {
	var unnamed error
	if l.read.IsZero() || time.Since(l.read) > namesFor {
		l.names, unnamed = l.deviceNames()
		l.read = time.Now()
	}
	s, err := connections.Take(l.names)
	if err != nil {
		return nil, err
	}
	l.tell(s.Missing)
	if unnamed != nil {
		l.tell([]string{"devices are not named: " + unnamed.Error()})
	}
	return s, nil
}

// tell says on stderr what was not said yet.
func (l *looker) tell(all []string) {
	if l.said == nil {
		l.said = map[string]bool{}
	}
	for _, text := range all {
		// With other numbers it is the same.
		if key := strings.Map(letters, text); !l.said[key] {
			l.said[key] = true
			_, _ = fmt.Fprintln(l.stderr, "porchlight:", text)
		}
	}
}

// letters leaves out digits.
func letters(r rune) rune {
	if unicode.IsDigit(r) {
		return -1
	}
	return r
}

// deviceNames says by their addresses what the known devices are called.
func (a *app) deviceNames() (connections.DeviceNames, error) {
	reader, devices, err := a.knownDevices()
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	return namesOf(devices), nil
}

// namesOf says by their addresses what devices are called. Of two with one
// address it is the one that is home, or was heard last.
func namesOf(devices []presence.Device) connections.DeviceNames {
	home := func(d *presence.Device) int {
		if d.State == presence.Home {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(devices, func(x, y presence.Device) int {
		return cmp.Or(cmp.Compare(home(&x), home(&y)), x.LastSeen.Compare(y.LastSeen))
	})
	names := connections.DeviceNames{}
	for i := range devices {
		d := &devices[i]
		for _, addr := range append(slices.Clone(d.IPv6), d.Addr) {
			if addr.IsValid() {
				names[addr.WithZone("")] = d.DisplayName()
			}
		}
	}
	return names
}

// watch prints what there is, then each change, until it is stopped.
func (c connectionsNowCmd) watch(look *looker, before *connections.Snapshot) error {
	out, err := newChanges(look.app, c.form)
	if err != nil {
		return err
	}
	if c.table() {
		err = printConnections(look.app, c.form, before.Connections)
	} else {
		err = out.diff(before.Time, connections.Diff{Opened: before.Connections})
	}
	every := usualEvery
	if c.Every != nil {
		every = *c.Every
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for err == nil {
		select {
		case <-look.ctx.Done():
			return nil
		case <-tick.C:
		}
		if unread(look.stdout) {
			return nil
		}
		now, takeErr := look.take()
		if takeErr != nil {
			return takeErr
		}
		now.Connections = c.choose(now.Connections)
		d := connections.Compare(before, now)
		look.tell(d.Notes)
		err, before = out.diff(now.Time, d), now
	}
	return err
}
