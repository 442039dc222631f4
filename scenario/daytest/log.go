package daytest

import (
	"context"
	"sync"

	"porchlight/bridge"
	"porchlight/presence"
)

// eventLog is the event log in memory, for the bridge and for the session.
type eventLog struct {
	bridge *bridge.Bridge

	mu     sync.Mutex
	events []presence.Event // their Seq is their place, from 1
	cursor int64
}

// Append implements bridge.Log.
func (l *eventLog) Append(events []presence.Event) []presence.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range events {
		events[i].Seq = int64(len(l.events) + 1)
		l.events = append(l.events, events[i])
	}
	return events
}

// SaveDevices implements bridge.Log.
func (l *eventLog) SaveDevices([]presence.Record) {}

// DeleteDevices implements bridge.Log.
func (l *eventLog) DeleteDevices([]presence.ID) {}

// After implements mqtt.EventLog.
func (l *eventLog) After(_ context.Context, seq int64, limit int) ([]presence.Event, error) {
	rest := l.since(int(seq))
	return rest[:min(limit, len(rest))], nil
}

// since returns the events after the first n.
func (l *eventLog) since(n int) []presence.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]presence.Event(nil), l.events[min(n, len(l.events)):]...)
}

// Changed implements mqtt.EventLog.
func (l *eventLog) Changed() <-chan struct{} { return l.bridge.Changed() }

// Cursor implements mqtt.EventLog.
func (l *eventLog) Cursor(context.Context, string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor, nil
}

// SetCursor implements mqtt.EventLog.
func (l *eventLog) SetCursor(_ string, seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cursor = seq
}
