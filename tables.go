package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"porchlight/arpwatch"
	"porchlight/capture"
	"porchlight/config"
	"porchlight/history"
	"porchlight/presence"
	"porchlight/replay"
)

type devicesCmd struct {
	JSON bool `help:"Print JSON Lines."`
}

// deviceLine is a device in the JSON of the commands.
type deviceLine struct {
	ID         presence.ID    `json:"id"`
	MAC        presence.MAC   `json:"mac"`
	State      presence.State `json:"state"`
	Since      time.Time      `json:"since"`
	Why        string         `json:"why"`
	Name       string         `json:"name"`
	HostName   string         `json:"host_name,omitempty"`
	IP         string         `json:"ip,omitempty"`
	Vendor     string         `json:"vendor,omitempty"`
	PrivateMAC bool           `json:"private_mac"`
	FirstSeen  time.Time      `json:"first_seen"`
	LastSeen   time.Time      `json:"last_seen"`
	AwayAfterS float64        `json:"away_after_s"`
	Tracked    bool           `json:"tracked"`
}

// Run lists the devices of the database.
func (c devicesCmd) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	reader, err := history.OpenReader(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	records, err := reader.Devices(a.ctx)
	if err != nil {
		return err
	}
	devices := asDecided(cfg, records)
	slices.SortStableFunc(devices, func(x, y presence.Device) int {
		return strings.Compare(string(x.State), string(y.State)) // home before not_home
	})
	if c.JSON {
		return printJSON(a.stdout, devices, func(d presence.Device) any {
			return deviceLine{
				ID: d.ID, MAC: d.MAC, State: d.State, Since: d.Since, Why: d.Why, Name: d.DisplayName(),
				HostName: d.HostName, IP: ip(d), Vendor: d.Vendor, PrivateMAC: d.MAC.Private(),
				FirstSeen: d.FirstSeen, LastSeen: d.LastSeen, AwayAfterS: d.AwayAfter.Seconds(), Tracked: d.Tracked,
			}
		})
	}
	rows := [][]string{{"STATE", "SINCE", "NAME", "ADDRESS", "MAC", "VENDOR", "AWAY AFTER", "WHY"}}
	for _, d := range devices {
		rows = append(rows, []string{string(d.State), when(d.Since), d.DisplayName(), ip(d), d.MAC.String(), maker(d.MAC, d.Vendor), presence.Words(d.AwayAfter), d.Why})
	}
	return table(a.stdout, rows)
}

// asDecided returns the devices with what is not stored but follows from it:
// their timeouts, and which of them are entities.
func asDecided(cfg config.Config, records []presence.Record) []presence.Device {
	e := presence.New(engineConfig(cfg))
	e.Restore(time.Now(), records)
	return e.Devices()
}

func ip(d presence.Device) string {
	if !d.Addr.IsValid() {
		return ""
	}
	return d.Addr.String()
}

// maker is the vendor, or that there is none to know.
func maker(m presence.MAC, vendor string) string {
	if m.Private() {
		return "private MAC"
	}
	return vendor
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

type eventsCmd struct {
	JSON   bool `help:"Print JSON Lines."`
	Follow bool `short:"f" help:"Go on with what happens from now."`
	Last   int  `short:"n" default:"50" help:"How many of the newest events to print."`
}

// followEvery is how often the database is looked at for new events.
const followEvery = 250 * time.Millisecond

// Validate is called by kong.
func (c eventsCmd) Validate() error {
	if c.Last < 0 {
		return fmt.Errorf("--last %d: want a number of events", c.Last)
	}
	return nil
}

// Run lists the newest events of the log.
func (c eventsCmd) Run(a *app) error {
	reader, err := a.reader()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	events, err := reader.Last(a.ctx, max(c.Last, 1))
	if err != nil {
		return err
	}
	last := int64(0)
	if c.Last == 0 && len(events) > 0 {
		last, events = events[len(events)-1].Seq, nil
	}
	for {
		for _, e := range events {
			if err := c.print(a.stdout, e); err != nil {
				return err
			}
			last = e.Seq
		}
		if !c.Follow {
			return nil
		}
		select {
		case <-a.ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		if events, err = reader.Events(a.ctx, last, 1000); err != nil {
			if a.ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

func (c eventsCmd) print(w io.Writer, e presence.Event) error {
	if c.JSON {
		return printJSON(w, []presence.Event{e}, func(e presence.Event) any { return e })
	}
	who := e.Name
	if who == "" {
		who = e.Interface
	}
	_, err := fmt.Fprintf(w, "%6d  %s  %-16s  %-28s  %s\n", e.Seq, when(e.Time), e.Type, who, e.Why)
	return err
}

// reader opens the database for looking only.
func (a *app) reader() (*history.Reader, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	return history.OpenReader(cfg.DataDir)
}

func printJSON[T any](w io.Writer, all []T, line func(T) any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, t := range all {
		if err := enc.Encode(line(t)); err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
	}
	return nil
}

func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t ")); err != nil {
			return err
		}
	}
	return t.Flush()
}

type replayCmd struct {
	File string       `arg:"" help:"The capture; - for standard input."`
	Self presence.MAC `help:"The MAC of the observer whose probes are in the capture." placeholder:"MAC"`
}

// Run prints the events of a capture.
func (c replayCmd) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	file, err := capture.OpenFile(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	stats, err := replay.Run(a.ctx, file, a.stdout, engineConfig(cfg), c.Self)
	_, _ = fmt.Fprintf(a.stderr, "%d frames in %s of capture: %d sightings, %d probes by the observer, %d malformed\n",
		stats.Frames, presence.Words(stats.To.Sub(stats.From)), stats.Sightings, stats.Asked, stats.Malformed)
	return err
}

type scanCmd struct {
	JSON bool `help:"Print JSON Lines."`
	Rate int  `default:"500" help:"How many addresses to ask per second, 1 to 10000."`
}

// found is a device in the table of a scan.
type found struct {
	IP         string       `json:"ip"`
	MAC        presence.MAC `json:"mac"`
	Vendor     string       `json:"vendor,omitempty"`
	PrivateMAC bool         `json:"private_mac"`
	HostName   string       `json:"host_name,omitempty"`
	Interface  string       `json:"interface"`
	Heard      string       `json:"heard"`
}

// Validate is called by kong.
func (c scanCmd) Validate() error {
	if c.Rate < 1 || c.Rate > arpwatch.MaxRate {
		return fmt.Errorf("--rate %d: want 1 to %d addresses per second", c.Rate, arpwatch.MaxRate)
	}
	return nil
}

// Run sweeps once.
func (c scanCmd) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	names, err := interfaces(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	e := &scanEar{hosts: map[presence.MAC]string{}, ready: make(chan presence.Sensing, len(names)+8)}
	l, err := openLAN(names, cfg, e, cfg.Logger(a.stderr))
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- l.run(ctx) }()
	for range names {
		select {
		case s := <-e.ready:
			if s.Blind {
				_, _ = fmt.Fprintln(a.stderr, "porchlight:", s.Why)
			}
		case err := <-running:
			return err
		}
	}
	var rows []found
	var failed []error
	known := knownNames(a, cfg.DataDir)
	for i, w := range l.arp {
		res, err := w.Sweep(ctx, arpwatch.SweepOptions{
			Prefixes: prefixesOn(names[i], cfg.SweepPrefixes), Rate: c.Rate, Progress: bar(a.stderr, names[i]),
		})
		if err != nil {
			failed = append(failed, err)
			continue // another interface may do better
		}
		for _, f := range res.Answers {
			rows = append(rows, found{
				IP: f.Addr.String(), MAC: f.MAC, Vendor: vendorOf(f.MAC), PrivateMAC: f.MAC.Private(),
				HostName: e.hostOf(f.MAC, known), Interface: f.Interface, Heard: f.Kind.String(),
			})
		}
		if !c.JSON {
			_, _ = fmt.Fprintf(a.stderr, "%s: %d of %d addresses answered to %d requests in %s\n", names[i], len(res.Answers), res.Addresses, res.Frames, res.Took.Round(10*time.Millisecond))
		}
	}
	cancel()
	if err := <-running; err != nil {
		return err
	}
	if len(failed) == len(names) {
		return errors.Join(failed...)
	}
	for _, err := range failed {
		_, _ = fmt.Fprintln(a.stderr, "porchlight:", err)
	}
	if c.JSON {
		return printJSON(a.stdout, rows, func(f found) any { return f })
	}
	lines := [][]string{{"ADDRESS", "MAC", "VENDOR", "HOST NAME", "HEARD"}}
	for _, f := range rows {
		lines = append(lines, []string{f.IP, f.MAC.String(), maker(f.MAC, f.Vendor), f.HostName, f.Heard})
	}
	return table(a.stdout, lines)
}

func vendorOf(m presence.MAC) string {
	if m.Private() {
		return ""
	}
	return vendor(m)
}

// knownNames are the names that an earlier run has learned; none is no fault.
func knownNames(a *app, dir string) map[presence.MAC]string {
	names := map[presence.MAC]string{}
	reader, err := history.OpenReader(dir)
	if err != nil {
		return names
	}
	defer func() { _ = reader.Close() }()
	records, _ := reader.Devices(a.ctx)
	for _, r := range records {
		if n := r.Name; n != "" {
			names[r.MAC] = n
		} else if r.HostName != "" {
			names[r.MAC] = r.HostName
		}
	}
	return names
}

// bar draws how far a sweep is, on a terminal only.
func bar(w io.Writer, name string) func(arpwatch.Progress) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	const width = 30
	drawn := time.Time{}
	return func(p arpwatch.Progress) {
		if time.Since(drawn) < 50*time.Millisecond && p.Asked < p.Total {
			return
		}
		drawn = time.Now()
		full := width
		if p.Total > 0 {
			full = min(width*p.Asked/p.Total, width)
		}
		_, _ = fmt.Fprintf(f, "\r%s [%s%s] %d/%d asked, %d answered ", name,
			strings.Repeat("█", full), strings.Repeat("·", width-full), p.Asked, p.Total, p.Answered)
		if p.Asked >= p.Total {
			_, _ = fmt.Fprint(f, "\r\033[K")
		}
	}
}
