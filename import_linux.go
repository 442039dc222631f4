package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"porchlight/config"
	"porchlight/devicefile"
	"porchlight/devicelist"
	"porchlight/history"
	"porchlight/presence"
)

type importCmd struct {
	File   string `arg:"" help:"What WhoIsConnectedSniffer, Wireless Network Watcher or arp-scan saved, nmap's XML (-oX), or CSV with columns mac and name; - reads from the standard input."`
	To     string `placeholder:"FILE" help:"The device file (YAML) to put them into; else that of PORCHLIGHT_DEVICES_FILE, else the database if no Porchlight runs."`
	DryRun bool   `help:"Only say what would be done."`
}

// Run puts the devices of a list into the device file, from where a running
// Porchlight takes them, or into the database of one that does not run. Names
// that were given before stay.
func (c importCmd) Run(a *app) error {
	content, err := readList(c.File)
	if err != nil {
		return err
	}
	list, err := devicelist.Parse(content)
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.File, err)
	}
	cfg, err := a.config()
	if err != nil {
		return err
	}
	known := make([]devicefile.Known, len(list.Entries))
	for i, e := range list.Entries {
		known[i] = devicefile.Known(e)
	}
	path := c.To
	if path == "" {
		path = cfg.DevicesFile
	}
	var outcomes []devicefile.Outcome
	target := path
	if path != "" {
		outcomes, err = c.intoFile(path, known)
	} else {
		target = "the database in " + cfg.DataDir
		outcomes, err = c.intoDatabase(a, cfg, known)
	}
	if err != nil {
		return err
	}
	if err := c.tell(a.stdout, list, outcomes, target); err != nil || c.DryRun || c.To == "" || c.To == cfg.DevicesFile {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "Porchlight reads it when PORCHLIGHT_DEVICES_FILE names it.\n")
	return err
}

// readList reads a list; one that is longer than a list can be is cut off after
// the byte that makes it too long.
func readList(path string) (content []byte, err error) {
	f := os.Stdin
	if path != "-" {
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
	}
	return io.ReadAll(io.LimitReader(f, devicelist.MaxSize+1))
}

func (c importCmd) tell(w io.Writer, list devicelist.List, outcomes []devicefile.Outcome, target string) error {
	rows := [][]string{{"MAC", "NAME", ""}}
	count := map[devicefile.Outcome]int{}
	for i, e := range list.Entries {
		count[outcomes[i]]++
		if outcomes[i] != devicefile.Unchanged {
			rows = append(rows, []string{e.MAC.String(), e.Name, string(outcomes[i])})
		}
	}
	if err := table(w, rows); err != nil {
		return err
	}
	done := ""
	if c.DryRun {
		done = " (nothing was written: --dry-run)"
	}
	_, err := fmt.Fprintf(w, "\ndevices in the list (%s): %d; added to %s: %d, given a name: %d, known already: %d%s\n",
		list.Format, len(list.Entries), target, count[devicefile.Added], count[devicefile.Named], count[devicefile.Unchanged], done)
	if err == nil && list.Passed > 0 {
		_, err = fmt.Fprintf(w, "passed over, as they have no MAC address of a single device: %d\n", list.Passed)
	}
	return err
}

// intoFile merges into a device file.
func (c importCmd) intoFile(path string, known []devicefile.Known) ([]devicefile.Outcome, error) {
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	after, outcomes, err := devicefile.Merge(before, known)
	var faults devicefile.Faults
	if errors.As(err, &faults) {
		return nil, fmt.Errorf("the device file %s has a fault, correct it first: %w", path, err)
	}
	if err != nil || c.DryRun || string(before) == string(after) {
		return outcomes, err
	}
	return outcomes, replaceFile(path, after)
}

// replaceFile gives a file a new content, whole or not at all. Its mode and owner
// stay; a link stays a link.
func replaceFile(path string, content []byte) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone already when all went well
	mode := os.FileMode(0o644)                 // the service's user must be able to read it
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(owner.Uid), int(owner.Gid)) // where one may
		}
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if errors.Is(err, syscall.EBUSY) {
		err = fmt.Errorf("%w: it is mounted by itself; mount its directory instead", err)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// intoDatabase stores the devices as known ones that were never heard.
func (c importCmd) intoDatabase(a *app, cfg config.Config, known []devicefile.Known) (outcomes []devicefile.Outcome, err error) {
	if c.DryRun {
		return c.wouldStore(a, cfg, known)
	}
	store, err := history.Open(cfg.DataDir, slog.New(slog.DiscardHandler), history.Keep(cfg.HistoryKeep, int64(cfg.HistoryMaxSize)))
	if errors.Is(err, history.ErrInUse) {
		return nil, fmt.Errorf("porchlight is running and reads no device file: set PORCHLIGHT_DEVICES_FILE for it, or write one with --to, or stop it for the import (%w)", err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Fault(); err != nil {
		return nil, err
	}
	records, err := store.Load(a.ctx)
	if err != nil {
		return nil, err
	}
	save, outcomes := withKnown(records, known)
	store.SaveDevices(save)
	return outcomes, nil
}

// wouldStore looks what intoDatabase would do.
func (c importCmd) wouldStore(a *app, cfg config.Config, known []devicefile.Known) ([]devicefile.Outcome, error) {
	var records []presence.Record
	if _, err := os.Stat(cfg.DataDir); err == nil { // else there are none
		reader, err := history.OpenReader(cfg.DataDir)
		if err != nil {
			return nil, err
		}
		defer func() { _ = reader.Close() }()
		if records, err = reader.Devices(a.ctx); err != nil {
			return nil, err
		}
	}
	_, outcomes := withKnown(records, known)
	return outcomes, nil
}

// withKnown returns the devices that are to be stored, and what is done about
// each of known.
func withKnown(records []presence.Record, known []devicefile.Known) (save []presence.Record, outcomes []devicefile.Outcome) {
	all := map[presence.MAC]*presence.Record{}
	for i := range records {
		r := &records[i]
		if r.MergedInto != "" {
			continue // what it is part of has its MAC
		}
		all[r.MAC] = r
		for _, p := range r.Ports {
			all[p.MAC] = r
		}
	}
	now := time.Now().UTC()
	changed := map[presence.ID]*presence.Record{}
	for _, k := range known {
		r := all[k.MAC]
		outcome := devicefile.Unchanged
		switch {
		case r == nil:
			outcome, r = devicefile.Added, &presence.Record{Device: presence.Device{
				ID: k.MAC.ID(), MAC: k.MAC, State: presence.NotHome, Since: now, Why: "imported, and never heard so far",
				Settings: presence.Settings{Name: k.Name, Known: true},
			}}
			all[k.MAC] = r
		case k.Name != "" && r.Name == "":
			outcome, r.Name = devicefile.Named, k.Name
		}
		outcomes = append(outcomes, outcome)
		if outcome != devicefile.Unchanged {
			changed[r.ID] = r
		}
	}
	for _, id := range slices.Sorted(maps.Keys(changed)) {
		save = append(save, *changed[id])
	}
	return save, outcomes
}
