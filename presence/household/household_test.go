package household

import (
	"testing"
	"time"

	"porchlight/presence"
)

const day = 24 * time.Hour

// trouble adds an access point that reboots for three minutes, at all hours,
// and an observer that is blind for half an hour.
func trouble(p Play) Play {
	for d := 8; d < p.Days; d++ {
		hour := time.Duration(d*5%24)*time.Hour + time.Duration(d*7%60)*time.Minute
		at := time.Duration(d)*day + hour
		if d%4 == 0 {
			p.Blind = append(p.Blind, Span{at, at + 30*time.Minute})
		} else {
			p.Outages = append(p.Outages, Span{at, at + 3*time.Minute})
		}
	}
	return p
}

func near(at time.Time, spans []Span, after time.Duration) bool {
	for _, s := range spans {
		if (Span{s.From, s.To + after}).has(at.Sub(Start)) {
			return true
		}
	}
	return false
}

func TestScratch(t *testing.T) {
	for seed := range uint64(6) {
		p := trouble(Home(seed))
		r := Run(p, presence.New(presence.Config{}))
		for _, l := range r.Lines {
			if l.Event == presence.Left && l.There && (near(l.At, p.Outages, time.Hour) || near(l.At, p.Blind, time.Hour)) && l.At.After(Start.Add(7*day)) {
				t.Errorf("seed %d: %s at %s: %s", seed, p.Devices[l.Device].Name, l.At, l.Why)
			}
		}
		t.Log(Table([]Row{{"p", r.Score(7 * day)}}))
	}
	for seed := range uint64(10) {
		r := Run(Home(seed+50), presence.New(presence.Config{}))
		t.Log(Table([]Row{{"p", r.Score(7 * day)}}))
	}
}
