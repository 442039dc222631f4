package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"porchlight/sqlitefile"
	"porchlight/traffic"
)

// asideEvery is how often a damaged file is set aside, at most.
const asideEvery = time.Hour

// trafficFile is where rounds are stored. It is opened when it is needed, so that
// a bad disk keeps nothing else from its work. It is used by one goroutine.
type trafficFile struct {
	dir   string
	keep  traffic.Keep
	log   *slog.Logger
	store *traffic.Store // nil: not open
	aside time.Time      // when a damaged file was last set aside
}

// save stores a round. What fails is tried again, with the file opened anew.
func (f *trafficFile) save(ctx context.Context, r traffic.Round) error {
	err := f.try(ctx, r)
	if err == nil {
		return nil
	}
	f.close()
	if !sqlitefile.Damaged(err) || !f.aside.IsZero() && time.Since(f.aside) < asideEvery {
		return err
	}
	name, asideErr := traffic.SetAside(f.dir, time.Now())
	if asideErr != nil {
		return errors.Join(err, asideErr)
	}
	f.aside = time.Now()
	f.log.Error("the recorded traffic was damaged: it is set aside and a new file is begun", "file", name, "damage", err)
	return f.try(ctx, r)
}

func (f *trafficFile) try(ctx context.Context, r traffic.Round) (err error) {
	if f.store == nil {
		if f.store, err = traffic.OpenStore(ctx, f.dir, true); err != nil {
			return err
		}
		f.store.Keep = f.keep
	}
	return f.store.Add(ctx, r)
}

func (f *trafficFile) close() {
	if f.store != nil {
		if err := f.store.Close(); err != nil {
			f.log.Warn("closing the recorded traffic", "err", err)
		}
		f.store = nil
	}
}
