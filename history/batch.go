package history

import (
	"context"

	"porchlight/presence"
)

// batch is what one transaction writes.
type batch struct {
	events  []presence.Event
	devices []deviceWrite
	cursors map[string]int64
	meta    map[string]string
	job     func(*database) error
}

func (b *batch) empty() bool {
	return len(b.events)+len(b.devices)+len(b.cursors)+len(b.meta) == 0 && b.job == nil
}

// The context of writes: with one that can end, the driver starts a goroutine
// for each statement.
var always = context.Background()

// write commits b.
func (db *database) write(b *batch) error {
	if _, err := db.begin.ExecContext(always); err != nil {
		return err
	}
	err := db.writeAll(b)
	if err == nil {
		_, err = db.commit.ExecContext(always)
	}
	if err != nil {
		_, _ = db.rollback.ExecContext(always) // SQLite may have done so already
	}
	return err
}

func (db *database) writeAll(b *batch) error {
	if err := db.writeEvents(b.events); err != nil {
		return err
	}
	for i := range b.devices {
		if err := db.writeDevice(&b.devices[i]); err != nil {
			return err
		}
	}
	for consumer, seq := range b.cursors {
		if _, err := db.cursor.ExecContext(always, consumer, seq); err != nil {
			return err
		}
	}
	for key, value := range b.meta {
		if _, err := db.meta.ExecContext(always, key, value); err != nil {
			return err
		}
	}
	if b.job != nil {
		return b.job(db)
	}
	return nil
}

func (db *database) writeEvents(events []presence.Event) error {
	for i := range events {
		args, err := eventArgs(&events[i])
		if err != nil {
			return err
		}
		result, err := db.event.ExecContext(always, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err // it was there already
		}
		if err := db.follow(&events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (db *database) writeDevice(w *deviceWrite) error {
	if w.what&gone != 0 {
		if _, err := db.remove.ExecContext(always, string(w.ID)); err != nil {
			return err
		}
		if err := db.forget(w.ID); err != nil {
			return err
		}
	}
	if w.what&row != 0 {
		args, err := w.rowArgs()
		if err != nil {
			return err
		}
		if _, err := db.device.ExecContext(always, args...); err != nil {
			return err
		}
		if err := db.followDevice(&w.Device); err != nil {
			return err
		}
	}
	if w.what&seen != 0 {
		if _, err := db.seen.ExecContext(always, string(w.ID), fromTime(w.LastSeen)); err != nil {
			return err
		}
	}
	if w.what&model != 0 {
		if _, err := db.model.ExecContext(always, string(w.ID), w.Device.AwayAfter.Milliseconds(), notNil(w.model)); err != nil {
			return err
		}
	}
	return nil
}

// notNil keeps an empty model from becoming NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
