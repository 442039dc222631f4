package presence

import "fmt"

// suggest tells, once, that x may be a device that was known before and has
// another MAC now: it has a private MAC and says the same host name by DHCP, and
// asks for the same, as one that is away and was not heard since x came.
func (e *Engine) suggest(x *device) {
	own := x.identity()
	own.clientID = "" // mostly made of the MAC
	if e.baseline || x.Resembles != "" || x.State != Home || !x.MAC.Private() || len(x.others) > 0 || x.settled() ||
		own.hostName == "" || own.fingerprint == "" {
		return
	}
	var best *device
	for _, d := range e.candidates(identity{hostName: own.hostName}) {
		switch {
		case d == x || d.State == Home || !d.identity().alike(own) || !d.LastSeen.Before(x.FirstSeen):
		case best == nil || trueFirst(d.settled(), best.settled()) < 0,
			d.settled() == best.settled() && d.FirstSeen.Before(best.FirstSeen):
			best = d
		}
	}
	if best == nil {
		return
	}
	x.Resembles = best.ID
	e.mark(x)
	e.emitAbout(MergeSuggested, x, best.ID, fmt.Sprintf(
		"it calls itself %s and asks by DHCP for the same as %s (%s) did, which has been silent for %s",
		x.HostName, best.DisplayName(), best.MAC, Words(x.FirstSeen.Sub(best.LastSeen))))
}

// suggestFor looks for those that came while d, which has left, was still taken
// for home, and may be d.
func (e *Engine) suggestFor(d *device) {
	if name := d.identity().hostName; name != "" {
		for _, x := range e.candidates(identity{hostName: name}) {
			e.suggest(x)
		}
	}
}
