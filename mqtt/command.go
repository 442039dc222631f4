package mqtt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"porchlight/presence"
)

// Bounds of a set command.
const (
	maxCommand   = 4 << 10
	maxGroups    = 16
	maxAwayAfter = 7 * 24 * time.Hour
)

// obey carries one command out.
func (s *Session) obey(c command) {
	if c.topic == s.topics.Scan() {
		s.commands.Scan()
		return
	}
	id, ok := s.topics.ParseSet(c.topic)
	if !ok {
		return
	}
	change, unknown, err := parseChange(c.payload)
	if err != nil {
		s.warnings.warn(s.log, c.topic, "ignoring a command: "+err.Error(), "topic", c.topic)
		return
	}
	if len(unknown) > 0 {
		s.warnings.warn(s.log, c.topic, "a command has unknown fields: want name, track, groups or away_after",
			"topic", c.topic, "unknown", strings.Join(unknown, ", "))
	}
	if change == (presence.Change{}) {
		return
	}
	if change.Track != nil && *change.Track {
		s.mu.Lock()
		delete(s.deleted, id)
		s.mu.Unlock()
	}
	s.commands.Set(id, change)
}

// parseChange reads the payload of a device's set topic: a JSON object with any
// of name (text; empty or null takes it away), track (true or false), groups
// (a list of texts; null: none) and away_after (seconds, or a duration such as
// "10m"; 0 or null: learn it). unknown names the other fields, cleaned. One
// wrong field makes the whole command an error.
func parseChange(payload []byte) (c presence.Change, unknown []string, err error) {
	if len(payload) > maxCommand {
		return c, nil, fmt.Errorf("it has %d bytes, want at most %d", len(payload), maxCommand)
	}
	var fields map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(payload))
	if dec.Decode(&fields) != nil || fields == nil {
		return c, nil, errors.New(`it is not a JSON object such as {"name": "Anna's phone"}`)
	}
	if _, err := dec.Token(); err != io.EOF {
		return c, nil, errors.New("there is something after the JSON object")
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := fields[name]
		switch name {
		case "name":
			err = readName(value, &c)
		case "track":
			if json.Unmarshal(value, &c.Track) != nil || c.Track == nil {
				err = errors.New("track: want true or false")
			}
		case "groups":
			err = readGroups(value, &c)
		case "away_after":
			err = readAwayAfter(value, &c)
		default:
			if len(unknown) < 8 {
				unknown = append(unknown, presence.CleanText(name, presence.MaxName))
			}
		}
		if err != nil {
			return presence.Change{}, nil, err
		}
	}
	return c, unknown, nil
}

func readName(value []byte, c *presence.Change) error {
	var name string
	if json.Unmarshal(value, &name) != nil {
		return errors.New("name: want a text")
	}
	name = presence.CleanText(name, presence.MaxName)
	c.Name = &name
	return nil
}

func readGroups(value []byte, c *presence.Change) error {
	groups := []string{}
	if json.Unmarshal(value, &groups) != nil {
		return errors.New(`groups: want a list of texts such as ["parents"]`)
	}
	if len(groups) > maxGroups {
		return fmt.Errorf("groups: want at most %d", maxGroups)
	}
	clean := make([]string, 0, len(groups))
	for _, g := range groups {
		if len(g) > presence.MaxName {
			return fmt.Errorf("groups: want at most %d bytes each", presence.MaxName)
		}
		if g = presence.CleanText(g, presence.MaxName); g != "" && !slices.Contains(clean, g) {
			clean = append(clean, g)
		}
	}
	c.Groups = &clean
	return nil
}

func readAwayAfter(value []byte, c *presence.Change) error {
	want := errors.New(`away_after: want seconds, or a duration such as "10m", from 1s to 168h, or 0 to learn it`)
	var v any
	if json.Unmarshal(value, &v) != nil {
		return want
	}
	var d time.Duration
	switch v := v.(type) {
	case nil:
	case float64:
		if math.IsNaN(v) || v < 0 || v > maxAwayAfter.Seconds() {
			return want
		}
		d = time.Duration(v * float64(time.Second))
	case string:
		var err error
		if d, err = time.ParseDuration(v); err != nil {
			return want
		}
	default:
		return want
	}
	if d != 0 && (d < time.Second || d > maxAwayAfter) {
		return want
	}
	c.AwayAfter = &d
	return nil
}
