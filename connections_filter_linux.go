package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"porchlight/connections"
)

type connectionsFilterCmd struct {
	JSON bool `help:"Print JSON."`
	chosenConnections
	Snapshot int64 `xor:"of" placeholder:"N" help:"Of a stored snapshot, not of now."`
	Diff     bool  `xor:"of" help:"Of what opened, closed and changed between two snapshots, the last two if nothing is said."`
	pair
}

// Validate is called by kong.
func (c connectionsFilterCmd) Validate() error {
	switch {
	case c.given() && !c.Diff:
		return errors.New("numbers of snapshots are for --diff; of one snapshot it is --snapshot N")
	case !c.any() && !c.Diff:
		return errors.New("say what for: --program, --pid, --device, --remote, --port, --listening or --diff")
	}
	return nil
}

// Run prints the filters.
func (c connectionsFilterCmd) Run(a *app) error {
	f, err := c.filter(a)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.stdout, []connections.Filter{f}, func(f connections.Filter) any { return f })
	}
	return showFilter(a, f)
}

// showFilter prints both filters whole, however long the lines are.
func showFilter(a *app, f connections.Filter) error {
	_, err := fmt.Fprintf(a.stdout, "tcpdump    %s\nwireshark  %s\n", f.Tcpdump, f.Wireshark)
	return err
}

func (c connectionsFilterCmd) filter(a *app) (connections.Filter, error) {
	if c.Diff {
		return c.ofDiff(a)
	}
	if c.onlyDevices() {
		hosts, err := c.deviceAddresses(a)
		if err != nil {
			return connections.Filter{}, err
		}
		return connections.FilterForHosts(hosts)
	}
	all, err := c.connections(a)
	if err != nil {
		return connections.Filter{}, err
	}
	if all = c.choose(all); len(all) == 0 {
		return connections.Filter{}, errors.New("there is no such connection: porchlight connections lists them")
	}
	return filterFor(a, all)
}

// filterFor says so when the filter chooses more than these.
func filterFor(a *app, all []connections.Connection) (connections.Filter, error) {
	f, err := connections.FilterForMany(all)
	if f.Wide != "" {
		_, _ = fmt.Fprintln(a.stderr, "porchlight:", f.Wide)
	}
	return f, err
}

// ofDiff is the filter for what is in only one of two snapshots, or has changed.
func (c connectionsFilterCmd) ofDiff(a *app) (connections.Filter, error) {
	_, d, err := c.compare(&looker{app: a}, c.chosenConnections)
	if err != nil {
		return connections.Filter{}, err
	}
	all := slices.Concat(d.Opened, d.Closed)
	for i := range d.Changed {
		all = append(all, d.Changed[i].Now)
	}
	if len(all) == 0 {
		return connections.Filter{}, errors.New("nothing is different in these two snapshots")
	}
	return filterFor(a, all)
}

// connections are those of now, or of the snapshot.
func (c connectionsFilterCmd) connections(a *app) ([]connections.Connection, error) {
	if c.Snapshot == 0 {
		s, err := (&looker{app: a}).take()
		if err != nil {
			return nil, err
		}
		return s.Connections, nil
	}
	s, err := a.snapshot(c.Snapshot)
	if err != nil {
		return nil, err
	}
	return s.Connections, nil
}

// onlyDevices reports whether all that a device says is meant, connected or not.
func (c connectionsFilterCmd) onlyDevices() bool {
	return len(c.Device) > 0 && len(c.Program)+len(c.PID)+len(c.Remote)+len(c.Port) == 0 && !c.Listening
}

func (c connectionsFilterCmd) deviceAddresses(a *app) (hosts []netip.Addr, err error) {
	names, err := a.deviceNames()
	if err != nil {
		return nil, err
	}
	for addr, name := range names {
		if slices.ContainsFunc(c.Device, func(d string) bool { return strings.EqualFold(d, name) }) {
			hosts = append(hosts, addr)
		}
	}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("no device with an address is called %s: porchlight devices lists them", strings.Join(c.Device, " or "))
	}
	return hosts, nil
}
