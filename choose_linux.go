package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

// chosenDevices are the flags that choose devices.
type chosenDevices struct {
	Device []string `short:"d" sep:"none" placeholder:"DEVICE" help:"Only this device: its id, MAC, name or host name, now or once."`
	Group  []string `short:"g" sep:"none" placeholder:"GROUP" help:"Only devices of this group."`
}

func (c chosenDevices) any() bool { return len(c.Device)+len(c.Group) > 0 }

// ids returns the ids that are meant. known are the devices as they are now.
func (c chosenDevices) ids(a *app, q *history.Queries, known []presence.Device) (ids []presence.ID, err error) {
	for _, text := range c.Device {
		found, err := q.Lookup(a.ctx, text)
		if err != nil {
			return nil, err
		}
		for _, d := range known { // also what only the device file calls it
			if strings.EqualFold(d.DisplayName(), text) {
				found = append(found, d.ID)
			}
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("no device is or was called %q: porchlight devices lists them", text)
		}
		ids = append(ids, found...)
	}
	for _, name := range c.Group {
		slug, before := presence.GroupSlug(name), len(ids)
		for _, d := range known {
			if slices.ContainsFunc(d.Groups, func(g string) bool { return presence.GroupSlug(g) == slug }) {
				ids = append(ids, d.ID)
			}
		}
		if len(ids) == before {
			return nil, fmt.Errorf("no device is in a group %q", name)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// span are the flags that choose a stretch of time.
type span struct {
	Since moment `placeholder:"TIME" help:"From then on: how long ago (2h, 7d), or a time (18:30, yesterday, 2026-03-01, \"2026-03-01 18:30\")."`
	Until moment `placeholder:"TIME" help:"Up to then."`
}

func (s span) any() bool { return s.Since.text+s.Until.text != "" }

// times returns both ends; zero where none was given.
func (s span) times() (since, until time.Time, err error) {
	now := time.Now()
	if since, err = s.Since.at(now); err != nil {
		return since, until, err
	}
	until, err = s.Until.at(now)
	return since, until, err
}

// knownDevices opens the database for looking only, and returns what is in it
// as it is decided.
func (a *app) knownDevices() (*history.Reader, []presence.Device, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	reader, err := history.OpenReader(cfg.DataDir)
	if err != nil {
		return nil, nil, err
	}
	records, err := reader.Devices(a.ctx)
	if err == nil {
		declared, declaredErr := declaredNow(a.ctx, reader)
		if err = declaredErr; err == nil {
			return reader, asDecided(cfg, records, declared), nil
		}
	}
	_ = reader.Close() // the first error is the one that matters
	return nil, nil, err
}

// reader opens the database for looking only.
func (a *app) reader() (*history.Reader, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	return history.OpenReader(cfg.DataDir)
}
