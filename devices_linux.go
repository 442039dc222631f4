package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"porchlight/config"
	"porchlight/history"
	"porchlight/presence"
	"porchlight/web"
)

type devicesCmd struct {
	JSON bool `xor:"form" help:"Print JSON Lines."`
	CSV  bool `xor:"form" help:"Print CSV."`
	chosenDevices
	Since    moment   `placeholder:"TIME" help:"Only those that were heard since then: how long ago (2h, 7d), or a time (18:30, yesterday, 2026-03-01)."`
	NewSince moment   `placeholder:"TIME" help:"Only those that were heard for the first time since then."`
	Type     []string `short:"t" aliases:"kind" placeholder:"KIND" help:"Only devices of this kind, such as phone."`
	State    string   `enum:",home,not_home" default:"" placeholder:"STATE" help:"Only those that are home, or not_home."`
}

// Validate is called by kong.
func (c devicesCmd) Validate() error {
	return knownTypes(c.Type, presence.DeviceKinds())
}

// Run lists the devices of the database.
func (c devicesCmd) Run(a *app) error {
	reader, devices, err := a.knownDevices()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	if devices, err = c.choose(a, reader.Queries, devices); err != nil {
		return err
	}
	slices.SortStableFunc(devices, func(x, y presence.Device) int {
		return strings.Compare(string(x.State), string(y.State)) // home before not_home
	})
	if !c.JSON && !c.CSV {
		return table(a.stdout, deviceRows(devices))
	}
	out, err := newLines(a.stdout, c.CSV, web.Device{})
	for i := range devices {
		if err == nil {
			err = out.print(web.NewDevice(&devices[i]))
		}
	}
	return err
}

// choose returns the devices that are wanted.
func (c devicesCmd) choose(a *app, q *history.Queries, devices []presence.Device) ([]presence.Device, error) {
	since, err := c.Since.at(time.Now())
	if err != nil {
		return nil, err
	}
	first, err := c.NewSince.at(time.Now())
	if err != nil {
		return nil, err
	}
	var ids []presence.ID
	if c.chosenDevices.any() {
		if ids, err = c.ids(a, q, devices); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(devices, func(d presence.Device) bool {
		return d.State != presence.Home && d.LastSeen.Before(since) ||
			!first.IsZero() && d.FirstSeen.Before(first) ||
			ids != nil && !slices.Contains(ids, d.ID) ||
			len(c.Type) > 0 && !slices.Contains(c.Type, string(d.Kind)) ||
			c.State != "" && c.State != string(d.State)
	}), nil
}

// deviceRows is the table for people. Its column of groups is there when
// somebody is in one.
func deviceRows(devices []presence.Device) [][]string {
	grouped := slices.ContainsFunc(devices, func(d presence.Device) bool { return len(d.Groups) > 0 })
	row := func(groups string, cells ...string) []string {
		if !grouped {
			return cells
		}
		return slices.Insert(cells, 3, groups)
	}
	rows := [][]string{row("GROUPS", "STATE", "SINCE", "NAME", "ADDRESS", "MAC", "VENDOR", "AWAY AFTER", "WHY")}
	for _, d := range devices {
		rows = append(rows, row(strings.Join(d.Groups, ", "), string(d.State), when(d.Since), d.DisplayName(),
			text(d.Address()), shownMACs(d), maker(d.MAC, d.Vendor), presence.Words(d.AwayAfter), d.Why))
	}
	return rows
}

// asDecided returns the devices with what is not stored but follows from it:
// their timeouts, and which of them are entities.
func asDecided(cfg config.Config, records []presence.Record, declared []presence.Declaration) []presence.Device {
	engine := engineConfig(cfg)
	engine.Declared = declared
	e := presence.New(engine)
	e.Restore(time.Now(), records)
	return e.Devices()
}

// text is a, or nothing when there is no address.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// shownMACs is the MAC that a device goes by, and how many others it has.
func shownMACs(d presence.Device) string {
	if n := len(d.MACs); n > 1 {
		return fmt.Sprintf("%s +%d", d.MAC, n-1)
	}
	return d.MAC.String()
}

// maker is the vendor, or that there is none to know.
func maker(m presence.MAC, vendor string) string {
	if m.Private() {
		return "private MAC"
	}
	return vendor
}
