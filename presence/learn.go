package presence

import (
	"net/netip"
	"time"
)

// This file is what the Engine learns of a device from each of its sightings.

// learnSilence adds the silence that has just ended to what is known of d.
func (e *Engine) learnSilence(d *device, silence time.Duration, ev Evidence, at time.Time) {
	if ev == Join && d.ended > 0 && at.Sub(d.endedAt) < joinLag {
		// The silence ended with a join after all; its first frame was not the join.
		d.model.join(d.ended)
		d.ended = 0
	}
	if at.Sub(d.endedAt) >= joinLag {
		e.settle(d)
	}
	if d.State == Home && !d.tainted {
		d.model.atHome(silence)
	}
	if d.tainted || silence < shortest || silence > e.cfg.AwayMax {
		return
	}
	if ev == Join {
		d.model.join(silence)
	} else {
		d.ended, d.endedAt = silence, at
	}
	e.tune(d)
}

// settle learns a silence that was kept back in case a join follows.
func (e *Engine) settle(d *device) {
	if d.ended > 0 {
		d.model.sleep(d.ended)
		d.ended = 0
	}
}

// tune sets the away timeout by what is known now. When it is asked in another
// way than before, that is nothing: the silences are others.
func (e *Engine) tune(d *device) {
	how := asUsual
	switch {
	case d.IgnoreARPReplies:
		how = inVain
	case e.nudged(d):
		how = withNudges
	}
	if d.model.asked != how {
		d.model, d.ended, d.tainted = Model{asked: how}, 0, true
	}
	d.Device.AwayAfter = e.timeout(d)
}

func (e *Engine) timeout(d *device) time.Duration {
	switch {
	case d.Settings.AwayAfter > 0:
		return d.Settings.AwayAfter
	case e.cfg.AwayAfter > 0:
		return e.cfg.AwayAfter
	}
	return e.learned(d)
}

// learned is the timeout by the model: long enough to be asked in, and within
// the bounds of the settings.
func (e *Engine) learned(d *device) time.Duration {
	lo := max(e.cfg.AwayMin, e.cfg.ProbeInterval+minWindow)
	// The check of those who are always there comes on top.
	hi := e.cfg.AwayMax - min(checkAsks*checkSpacing+checkSpacing, e.cfg.AwayMax/20)
	return d.model.timeout(e.cfg.FalseAways, e.cfg.AwayInitial, min(lo, hi), hi)
}

// nameHold is how long a name stays before another can take its place: names
// come from strangers, and each change is stored and published.
const nameHold = time.Minute

// learnNames takes what a DHCP message told. A server's word counts only where
// the device has said nothing itself, and what it says by DHCPv6 only where it
// does not use DHCPv4 too: it may call itself otherwise there. What others call
// it gives way to all of that.
func (e *Engine) learnNames(d *device, s Sighting) {
	h := s.DHCP
	if h == nil {
		return
	}
	weak := s.Evidence() == None || s.Kind.dhcpv6() && d.Addr.IsValid()
	if h.HostName != "" && !d.HostNameSource.Replaces(NameFromDHCP) {
		d.HostName = ""
	}
	held := !d.namedAt.IsZero() && e.now.Sub(d.namedAt) < nameHold
	changed := false
	for _, f := range []struct {
		to   *string
		from string
	}{
		{&d.HostName, h.HostName},
		{&d.VendorClass, h.VendorClass},
		{&d.ClientID, h.ClientID},
		{&d.Fingerprint, h.Fingerprint},
	} {
		if f.from == "" || *f.to == f.from || *f.to != "" && (weak || held) {
			continue
		}
		*f.to = f.from
		changed = true
		if f.to == &d.HostName {
			d.HostNameSource = NameFromDHCP
		}
	}
	if changed {
		d.namedAt = e.now
		e.mark(d)
	}
}

// learnAddress takes the address that d has just used.
func (e *Engine) learnAddress(d *device, s Sighting) {
	if !hostAddr(s.Addr) || e.spokenFor(d, s) {
		return
	}
	if s.Addr.Is6() {
		if s.answers() && d.tried > 1 {
			d.expected = netip.Addr{} // it was asked there too, in vain
		}
		if d.useIPv6(s.Addr, s.At) {
			e.mark(d)
			e.consult(d)
		}
		return
	}
	if s.Kind == ARPProbe || s.Kind == DHCPDiscover || s.Kind == DHCPRequest && d.Addr.IsValid() && (d.State == Home || d.foreign(s.Addr)) {
		// It asks for the address and may not get it.
		d.expect(s.Addr)
		return
	}
	was := d.Addr
	returned := d.returned(was, s.Addr)
	if !d.use(s.Addr, s.At) {
		return
	}
	e.mark(d)
	e.readdressed(d)
	if was.IsValid() && d.State == Home && !returned {
		e.emit(AddressChanged, d, whyAddress(was, d.Addr, s))
	}
}
