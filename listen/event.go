package listen

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"

	"porchlight/presence"
)

// Bounds of what is shown, in bytes.
const (
	maxNode = 64
	maxType = 32
	maxWhy  = 250
)

var errRetained = errors.New("it is retained, and events never are: clear it with an empty retained message")

// parseTopic takes a topic of ours apart: the node, fit to be shown, and event
// or summary. The leaf is empty for the message that stands for a connection.
func (l *listener) parseTopic(topic string) (node, leaf string) {
	rest := strings.TrimPrefix(topic, l.topics.Prefix+"/")
	node, leaf, _ = strings.Cut(rest, "/")
	return presence.CleanText(node, maxNode), leaf
}

// parseEvent reads a payload of an event topic and makes it fit to be shown.
func parseEvent(payload []byte) (presence.Event, error) {
	if len(payload) == 0 {
		return presence.Event{}, errors.New("its payload is empty, or too long")
	}
	var e presence.Event
	if err := json.Unmarshal(payload, &e); err != nil {
		return presence.Event{}, fmt.Errorf("its payload is not that of an event: %w", err)
	}
	clean(&e)
	if e.Type == "" || e.Seq < 1 || e.Time.IsZero() {
		return presence.Event{}, errors.New("its payload lacks event_type, seq or time")
	}
	return e, nil
}

// clean makes every text of e fit for a terminal. Porchlight has cleaned them;
// others can publish, too.
func clean(e *presence.Event) {
	e.Type = presence.EventType(presence.CleanText(string(e.Type), maxType))
	e.ID = presence.ID(presence.CleanText(string(e.ID), maxType))
	e.Addr = e.Addr.WithZone("") // can be any text
	e.Name = presence.CleanText(e.Name, presence.MaxName)
	e.HostName = presence.CleanText(e.HostName, presence.MaxName)
	e.Vendor = presence.CleanText(e.Vendor, presence.MaxName)
	e.Interface = presence.CleanText(e.Interface, presence.MaxName)
	e.Why = presence.CleanText(e.Why, maxWhy)
	e.Socket = presence.CleanSocket(e.Socket)
	e.Devices = nil // nobody is shown them
}

// summary is what is shown of a summary topic.
type summary struct {
	Home  int `json:"home"`
	Known int `json:"known"`
}

func parseSummary(payload []byte) (summary, bool) {
	sum := summary{-1, -1}
	err := json.Unmarshal(payload, &sum)
	return sum, err == nil && 0 <= sum.Home && sum.Home <= sum.Known
}

// jsonLine returns the payload of an event, which is a JSON object, as one line
// that does nothing to a terminal, with the node as its last field.
func jsonLine(node string, payload []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, payload); err != nil {
		return "" // an event is valid JSON
	}
	name, _ := json.Marshal(node) // a string cannot fail
	compact := strings.TrimSuffix(b.String(), "}") + `,"node":` + string(name) + "}"

	var line strings.Builder
	for _, r := range compact {
		switch {
		case unicode.IsPrint(r):
			line.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&line, `\u%04x\u%04x`, high, low)
		default: // within a string: elsewhere JSON is ASCII
			fmt.Fprintf(&line, `\u%04x`, r)
		}
	}
	return line.String()
}
