package web

import (
	"time"

	"porchlight/traffic"
)

// reads is how long the parts are that are read of a time: where the clocks are
// changed in it an hour at most, for byClock to make slots of.
func (s trafficSpan) reads(from, to time.Time) time.Duration {
	_, before := from.Local().Zone()
	_, after := to.Local().Zone()
	if before != after {
		return min(s.step, time.Hour)
	}
	return s.step
}

// byClock makes slots of parts, that begin when the clock on the wall says so. The
// one in which the clocks are changed is longer or shorter.
func (s trafficSpan) byClock(parts []traffic.Round) (slots []traffic.Round) {
	of := func(r *traffic.Round) (day, slot int) {
		at := r.Start.Local()
		return at.YearDay(), int(time.Duration(at.Hour()) * time.Hour / s.step)
	}
	for len(parts) > 0 {
		n := 1
		day, slot := of(&parts[0])
		for ; n < len(parts); n++ {
			if d, s := of(&parts[n]); d != day || s != slot {
				break
			}
		}
		slots, parts = append(slots, traffic.Merge(parts[:n])), parts[n:]
	}
	return slots
}
