package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"porchlight/presence"
)

// examineFor bounds how long the doctor may take.
const examineFor = 25 * time.Second

// healthView is what health.html shows.
type healthView struct {
	layout
	Problems   []string
	Interfaces []interfaceRow
	Parts      []Finding // in the doctor's words and levels
	Counts     []fact
	CanExamine bool
	Examined   bool
	Findings   []Finding
}

type interfaceRow struct {
	sense
	Interface
}

// health shows how every part of Porchlight fares now.
func (p *pages) health(w http.ResponseWriter, r *http.Request) {
	v, err := p.healthView(r.Context(), r)
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "Porchlight does not answer", err)
		return
	}
	p.render(w, http.StatusOK, "health.html", v)
}

var examining sync.Mutex

// examine has the doctor look at everything, and shows what it found.
func (p *pages) examine(w http.ResponseWriter, r *http.Request) {
	if p.cfg.Doctor == nil {
		http.NotFound(w, r)
		return
	}
	if !examining.TryLock() { // it asks on the LAN: once at a time is enough
		p.fault(w, r, http.StatusTooManyRequests, "The doctor is busy", errBusy)
		return
	}
	defer examining.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), examineFor)
	defer cancel()
	v, err := p.healthView(ctx, r)
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "Porchlight does not answer", err)
		return
	}
	v.Examined = true
	p.cfg.Doctor(ctx, func(f Finding) { v.Findings = append(v.Findings, f) })
	p.render(w, http.StatusOK, "health.html", v)
}

var errBusy = fmt.Errorf("somebody else has just asked: try again in %s", presence.Words(examineFor))

func (p *pages) healthView(ctx context.Context, r *http.Request) (v healthView, err error) {
	_, summary, err := p.cfg.Source.Snapshot(ctx)
	if err != nil {
		return v, err
	}
	s, err := p.cfg.Source.Stats(ctx)
	if err != nil {
		return v, err
	}
	now := time.Now()
	v = healthView{layout: p.layout(r, "Health", "health"), Problems: summary.Problems, CanExamine: p.cfg.Doctor != nil}
	for _, i := range summary.Sensing {
		v.Interfaces = append(v.Interfaces, interfaceRow{newSense(i, now), s.Interfaces[i.Interface]})
	}
	v.Parts = partsOf(s, now)
	v.Counts = []fact{
		{"Sightings", count(s.Sightings)},
		{"Sightings that there was no room for", count(s.Dropped)},
		{"Probes sent", count(s.Probes)},
		{"Probes that could not be sent", count(s.ProbesFailed)},
		{"Sweeps", count(s.Sweeps)},
		{"Frames of made-up MACs that were refused", count(s.Refused)},
	}
	return v, nil
}

// partsOf says how each part fares, in the doctor's levels.
func partsOf(s Stats, now time.Time) []Finding {
	return slices.Concat([]Finding{brokerPart(s), databasePart(s)}, deliveryParts(s), messageParts(s, now))
}

func brokerPart(s Stats) Finding {
	if s.BrokerConnected {
		return Finding{"ok", "broker", "Connected: " + cmp.Or(s.Broker, "the broker") + ".", ""}
	}
	return Finding{"fail", "broker", "Not connected: " + cmp.Or(s.BrokerFault, "it has not been tried yet") + ".", "States and events go out when it is back; nothing is lost."}
}

func databasePart(s Stats) Finding {
	if s.DatabaseFault {
		return Finding{"fail", "database", cmp.Or(s.Database.Fault, "It cannot be written") + ".", "Presence goes on from memory, and is written when it can be."}
	}
	text := s.Database.Path + " can be written"
	if s.Database.Size > 0 {
		text += fmt.Sprintf(", and has %.1f MB", float64(s.Database.Size)/1e6)
	}
	if s.EventsLost > 0 {
		return Finding{"warn", "database", fmt.Sprintf("%s; %d events were lost while it could not.", text, s.EventsLost), ""}
	}
	return Finding{"ok", "database", strings.TrimSpace(text) + ".", ""}
}

// manyBehind is how many events a consumer can be behind without that being news.
const manyBehind = 100

func deliveryParts(s Stats) (parts []Finding) {
	for _, consumer := range slices.Sorted(maps.Keys(s.Behind)) {
		if strings.HasPrefix(consumer, "notify:") {
			continue // its service says more
		}
		n := s.Behind[consumer]
		level := "ok"
		if n > manyBehind {
			level = "warn"
		}
		parts = append(parts, Finding{level, "delivery", fmt.Sprintf("%s has all events but the last %d.", consumer, n), ""})
		if n == 0 {
			parts[len(parts)-1].Text = consumer + " has all events."
		}
	}
	return parts
}

func messageParts(s Stats, now time.Time) (parts []Finding) {
	for _, m := range s.Messages {
		if m.Fault != "" {
			parts = append(parts, Finding{
				"fail", "messages", fmt.Sprintf("Messages by %s do not arrive: %s; %d wait.", m.Service, m.Fault, m.Waiting),
				"They are tried again. porchlight notify --test sends one to try.",
			})
			continue
		}
		text := "No message by " + m.Service + " since the start"
		if !m.Sent.IsZero() {
			text = fmt.Sprintf("The last message by %s arrived %s ago", m.Service, presence.Words(now.Sub(m.Sent)))
		}
		if m.Waiting > 0 {
			text += fmt.Sprintf("; %d wait", m.Waiting)
		}
		parts = append(parts, Finding{"ok", "messages", text + ".", ""})
	}
	return parts
}

func count(n uint64) string { return fmt.Sprint(n) }
