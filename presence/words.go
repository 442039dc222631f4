package presence

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// This file has the reasons that events carry, in words that a person
// understands.

// Words returns d as a person says it: "45 s", "12 min", "3 h 05 min", "2 days".
func Words(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 2*time.Minute:
		return strconv.FormatInt(int64(d.Round(time.Second).Seconds()), 10) + " s"
	case d < time.Hour:
		return strconv.FormatInt(int64(d.Round(time.Minute).Minutes()), 10) + " min"
	case d < 48*time.Hour:
		m := int64(d.Round(time.Minute).Minutes())
		return fmt.Sprintf("%d h %02d min", m/60, m%60)
	}
	return strconv.FormatInt(int64(d.Hours()/24), 10) + " days"
}

func whyArrived(s Sighting, lastSeen time.Time, known bool) string {
	what := s.Kind.String() + " heard"
	switch {
	case s.AP != "":
		what = s.Kind.String() + " with " + s.AP
	case s.Kind.reached():
		what = fmt.Sprintf("%s at %s (no segment hears it)", s.Kind, s.Addr)
	}
	if !known {
		return what + " from it for the first time"
	}
	return what + " after " + Words(s.At.Sub(lastSeen)) + " of silence" // people wait for it: fmt takes longer
}

func (e *Engine) whyLeft(d *device) string {
	if d.gone() {
		return fmt.Sprintf("it left the Wi-Fi of %s %s ago, %s; %s", d.parted.from, Words(e.now.Sub(d.parted.at)), e.whyAsked(d), e.whyGone(d))
	}
	return fmt.Sprintf("%s, nothing heard for %s; %s", e.whyAsked(d), Words(e.now.Sub(d.quiet)), whyTimeout(d, e.cfg))
}

// whyAsked says what came of asking d.
func (e *Engine) whyAsked(d *device) string {
	switch {
	case d.asked > 1:
		return fmt.Sprintf("no answer to %d probes in %s", d.asked, Words(e.now.Sub(d.firstAsk)))
	case d.asked == 1:
		return "no answer to a probe"
	case e.cfg.Passive:
		return "nobody asked it"
	case d.IgnoreARPReplies:
		return "its answers do not count"
	case d.Interface != "" && !e.canAsk(d):
		return "it could not be asked, its address is not known"
	}
	return "it could not be asked"
}

// whyGone says where the time comes from that d had after it left the Wi-Fi.
func (e *Engine) whyGone(d *device) string {
	limit := Words(e.goneAfter(d))
	switch {
	case d.Settings.AwayAfter > 0:
		return "its timeout is set to " + limit
	case d.model.linkDrops(e.cfg.FalseAways) > e.cfg.WiFiAwayAfter:
		return fmt.Sprintf("it often drops the link, and had %s to come back", limit)
	}
	return fmt.Sprintf("it had %s to come back", limit)
}

// whyTimeout says where the timeout comes from.
func whyTimeout(d *device, cfg Config) string {
	limit := Words(d.Device.AwayAfter)
	switch {
	case d.Settings.AwayAfter > 0:
		return "its timeout is set to " + limit
	case cfg.AwayAfter > 0:
		return "the timeout for all devices is set to " + limit
	case d.model.weeks() < firstDayWeeks:
		return "its habits are not known yet, so it had " + limit
	case d.model.dropsLink():
		return fmt.Sprintf("it drops the link when it sleeps, and had %s to come back", limit)
	}
	if usual := d.model.slept.usual(); usual > 0 {
		return fmt.Sprintf("it is usually heard within %s, and had %s", Words(usual), limit)
	}
	return fmt.Sprintf("it is hardly ever silent, and had %s", limit)
}

func whyAddress(was, is netip.Addr, s Sighting) string {
	return fmt.Sprintf("%s from %s; it was %s before", s.Kind, is, was)
}

func whySensingBack(l *link, blind time.Duration) string {
	return fmt.Sprintf("%s hears again after %s; every device gets its whole timeout anew", l.name, Words(blind))
}

// emitBaseline reports all devices that were found on the first run.
func (e *Engine) emitBaseline() {
	var list foundList
	for _, id := range sortedIDs(e.devices) {
		if d := e.devices[id]; !d.FirstSeen.IsZero() { // not only in the device file
			list.add(d)
		}
	}
	found := fmt.Sprintf("%d devices found", list.count)
	if list.count == 1 {
		found = "one device found"
	}
	e.out.Events = append(e.out.Events, Event{
		Type: Baseline, Time: e.now.Round(0).UTC(), Devices: list.devices,
		Why: "first run: " + found + "; from now on each new one is reported",
	})
}
