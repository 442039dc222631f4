package history

import (
	"bytes"
	"maps"
	"slices"

	"porchlight/presence"
)

// aspect is a part of a device that has to be written.
type aspect uint8

const (
	gone  aspect = 1 << iota // delete it first
	row                      // what is written at once
	seen                     // last seen: once a minute
	model                    // what was learned: every ten minutes
)

// devicesPerCommit bounds how long an event can wait behind devices: about a
// millisecond. A house of this size is written in one transaction.
const devicesPerCommit = 64

// deviceWrite is one device on its way into the database.
type deviceWrite struct {
	stored
	what aspect
}

// changes holds every device as it should stand in the database, and which
// parts of it do not stand there yet.
type changes struct {
	devices map[presence.ID]stored
	lazy    map[presence.ID]aspect // waits for its time
	ready   map[presence.ID]aspect // to be written now
	queue   []presence.ID          // the keys of ready, in the order of writing
}

func newChanges() changes {
	return changes{
		devices: make(map[presence.ID]stored),
		lazy:    make(map[presence.ID]aspect),
		ready:   make(map[presence.ID]aspect),
	}
}

// save takes d over. It reports whether something has to be written now.
func (c *changes) save(d stored) bool {
	old, known := c.devices[d.ID]
	if d.model == nil {
		d.model = old.model
	}
	c.devices[d.ID] = d
	if !bytes.Equal(d.model, old.model) || d.Device.AwayAfter != old.Device.AwayAfter {
		c.lazy[d.ID] |= model
	}
	if known && sameRow(&d, &old) {
		if !d.LastSeen.Equal(old.LastSeen) {
			c.lazy[d.ID] |= seen
		}
		return false
	}
	c.add(d.ID, row|seen)
	return true
}

// remove deletes a device. It reports whether something has to be written now.
func (c *changes) remove(id presence.ID) bool {
	if _, known := c.devices[id]; !known {
		return false
	}
	delete(c.devices, id)
	delete(c.lazy, id)
	if before, queued := c.ready[id]; queued {
		c.ready[id] = before & gone
	}
	c.add(id, gone)
	return true
}

func (c *changes) add(id presence.ID, what aspect) {
	if c.lazy[id] &^= what; c.lazy[id] == 0 {
		delete(c.lazy, id)
	}
	before, queued := c.ready[id]
	c.ready[id] = before | what
	if !queued {
		c.queue = append(c.queue, id)
	}
}

// waiting returns the devices of which lazy parts in what wait, in no order.
func (c *changes) waiting(what aspect) (ids []presence.ID) {
	for id, w := range c.lazy {
		if w&what != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// due moves the lazy parts in what to those to be written now. ids should be
// sorted: that is the order of their places in the database.
func (c *changes) due(ids []presence.ID, what aspect) {
	for _, id := range ids {
		if w := c.lazy[id] & what; w != 0 {
			c.add(id, w)
		}
	}
}

// all marks everything, for a fresh database.
func (c *changes) all() {
	for _, id := range slices.Sorted(maps.Keys(c.devices)) {
		c.add(id, row|seen|model)
	}
}

// take removes the next devices to be written.
func (c *changes) take() (writes []deviceWrite) {
	n := min(len(c.queue), devicesPerCommit)
	for _, id := range c.queue[:n] {
		d := c.devices[id]
		d.ID = id
		writes = append(writes, deviceWrite{d, c.ready[id]})
		delete(c.ready, id)
	}
	c.queue = c.queue[n:]
	return writes
}

// putBack undoes take after a failed commit; what has changed since stays.
func (c *changes) putBack(writes []deviceWrite) {
	for _, w := range writes {
		if _, known := c.devices[w.ID]; !known {
			w.what &= gone // removed since
		}
		if w.what != 0 {
			c.add(w.ID, w.what)
		}
	}
}
