package demo

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"porchlight/discovery"
	"porchlight/presence"
)

const (
	// maxRows bounds the table, and keptEvents the list below it.
	maxRows    = 64
	keptEvents = 40
)

// view is all that is shown: what Porchlight says, and what is true.
type view struct {
	began   time.Time
	rows    map[presence.ID]*row
	truth   map[presence.ID]*truth
	order   map[presence.ID]int // of the household
	byKey   map[string]presence.ID
	events  []presence.Event // oldest first
	seq     int64            // of the last
	caption string
	blind   string // why Porchlight cannot hear; empty: it can
	look    string // the command by which to look at the topics
	score   score
}

// row is a device as Porchlight's retained topics have it.
type row struct {
	id    presence.ID
	name  string
	state presence.State
	discovery.Attributes
}

// score compares what was said with what was true.
type score struct {
	arrivals, departures, wronglyAway int
	arrivalTook, departureTook        []time.Duration
}

func newView(things []thing, truths map[presence.ID]*truth, now time.Time) *view {
	v := &view{began: now, rows: map[presence.ID]*row{}, truth: truths, order: map[presence.ID]int{}, byKey: map[string]presence.ID{}}
	for i, t := range things {
		v.order[t.mac.ID()] = i
		v.byKey[t.key] = t.mac.ID()
	}
	return v
}

// play lets a beat of the story come true.
func (v *view) play(b beat, now time.Time) {
	if b.say != "" {
		v.caption = b.say
	}
	switch b.do {
	case down, up:
		for _, t := range v.truth {
			if !t.wired && b.do == down {
				t.silent = now
			} else {
				t.silent = time.Time{}
			}
		}
	case pull, plug, end:
	default:
		v.truth[v.byKey[b.who]].do(b.do, now)
	}
}

// take takes a publication. It returns the event if it was a new one.
func (v *view) take(m message) *presence.Event {
	switch m.topic {
	case topics.Event():
		return v.takeEvent(m.payload)
	case topics.Summary():
		v.takeSummary(m.payload)
		return nil
	}
	if id, ok := topics.ParseConfig(m.topic); ok {
		var config struct {
			Device struct {
				Name string `json:"name"`
			} `json:"device"`
		}
		if json.Unmarshal(m.payload, &config) == nil && config.Device.Name != "" {
			if r := v.row(id); r != nil {
				r.name = config.Device.Name
			}
		}
		return nil
	}
	id, ok := topics.ParseState(m.topic)
	if !ok {
		return nil
	}
	switch m.topic {
	case topics.State(id):
		if len(m.payload) == 0 {
			delete(v.rows, id) // forgotten
		} else if r := v.row(id); r != nil {
			r.state = presence.State(m.payload)
		}
	case topics.Attributes(id):
		if r := v.rows[id]; r != nil || len(m.payload) > 0 {
			if r = v.row(id); r != nil {
				r.Attributes = discovery.Attributes{}
				_ = json.Unmarshal(m.payload, &r.Attributes)
			}
		}
	}
	return nil
}

// row returns the row of a device; nil when the table is full.
func (v *view) row(id presence.ID) *row {
	r := v.rows[id]
	if r == nil && len(v.rows) < maxRows {
		r = &row{id: id, name: string(id)}
		v.rows[id] = r
	}
	return r
}

func (v *view) takeSummary(payload []byte) {
	var s struct {
		Sensing map[string]struct {
			OK  bool   `json:"ok"`
			Why string `json:"why"`
		} `json:"sensing"`
	}
	if json.Unmarshal(payload, &s) != nil {
		return
	}
	v.blind = ""
	for name, i := range s.Sensing {
		if !i.OK {
			v.blind = cmp.Or(i.Why, name+" hears nothing")
		}
	}
}

// takeEvent notes an event once: the broker may hand it over twice.
func (v *view) takeEvent(payload []byte) *presence.Event {
	var e presence.Event
	if json.Unmarshal(payload, &e) != nil || e.Seq <= v.seq {
		return nil
	}
	v.seq = e.Seq
	v.events = append(v.events, e)
	v.events = v.events[max(0, len(v.events)-keptEvents):]
	if t := v.truth[e.ID]; t != nil {
		v.judge(t, e)
	}
	return &e
}

// judge compares an event with the truth.
func (v *view) judge(t *truth, e presence.Event) {
	switch {
	case e.Type == presence.Left && t.place != out:
		v.score.wronglyAway++
	case !t.awaited:
	case e.Type == presence.Left:
		t.awaited = false
		v.score.departures++
		v.score.departureTook = append(v.score.departureTook, e.Time.Sub(t.since))
	case e.Type == presence.Arrived && t.place != out:
		t.awaited = false
		v.score.arrivals++
		v.score.arrivalTook = append(v.score.arrivalTook, e.Time.Sub(t.since))
	}
}

// table returns the rows in the order of the household, others behind it.
func (v *view) table() []*row {
	rows := make([]*row, 0, len(v.rows))
	for _, r := range v.rows {
		if r.state != "" {
			rows = append(rows, r)
		}
	}
	place := func(r *row) int {
		if i, ok := v.order[r.id]; ok {
			return i
		}
		return len(v.order)
	}
	slices.SortFunc(rows, func(a, b *row) int { return cmp.Or(place(a)-place(b), cmp.Compare(a.id, b.id)) })
	return rows
}

// home counts the devices that Porchlight says are home.
func (v *view) home() (n int) {
	for _, r := range v.rows {
		if r.state == presence.Home {
			n++
		}
	}
	return n
}

// median of no duration is 0.
func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
