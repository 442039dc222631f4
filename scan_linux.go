package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"porchlight/arpwatch"
	"porchlight/history"
	"porchlight/presence"
)

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
	for _, note := range proxies(rows) {
		_, _ = fmt.Fprintln(a.stderr, "porchlight:", note)
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
		if r.MergedInto != "" {
			continue
		}
		name := cmp.Or(r.Name, r.HostName)
		for _, p := range append(r.Ports, presence.Port{MAC: r.MAC}) {
			if name != "" {
				names[p.MAC] = name
			}
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
	drawn := time.Time{}
	return func(p arpwatch.Progress) {
		if time.Since(drawn) < 50*time.Millisecond && p.Asked < p.Total {
			return
		}
		drawn = time.Now()
		_, _ = fmt.Fprintf(f, "\r%s [%s] %d/%d asked, %d answered ", name, barText(p.Asked, p.Total), p.Asked, p.Total, p.Answered)
		if p.Asked >= p.Total {
			_, _ = fmt.Fprint(f, "\r\033[K")
		}
	}
}

// barText is a bar that is full when all of total is done.
func barText(done, total int) string {
	const width = 30
	full := width
	if total > 0 {
		full = min(width*done/total, width)
	}
	return strings.Repeat("█", full) + strings.Repeat("·", width-full)
}
