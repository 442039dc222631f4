package presence

import (
	"fmt"
	"time"
)

// This file is about frames in which one station speaks for another MAC: the
// Ethernet source is not the sender that the packet names. A repeater sends so
// for those behind it, an access point or a sleep proxy for those that do not
// hear, and an impostor for whom it likes.

// maxVoices bounds the stations that are watched.
const maxVoices = 64

// voice is a station that answers for others without being believed.
type voice struct {
	last   time.Time
	others recent[MAC]
}

// disbelieved reports whether s is an answer that another station gave for its
// device, and that does not count. It counts only for a device that is known to
// speak through this station, which then is a repeater; for a while after a
// restart that is not known, and who is home has the benefit of the doubt.
func (e *Engine) disbelieved(d *device, s Sighting) bool {
	if s.Via == (MAC{}) || !s.answers() && s.Kind != ARPAnnouncement {
		return false
	}
	doubt := d != nil && d.via == (MAC{}) && d.State == Home && s.At.Sub(e.restored) < e.cfg.AwayMax
	if doubt || d != nil && d.via == s.Via {
		return false
	}
	e.noteVoice(s)
	return true
}

// heardVia notes through which station d speaks, by what it has said itself.
func (d *device) heardVia(s Sighting) {
	switch {
	case s.Kind.reached(): // through a router
	case s.Via == (MAC{}):
		d.via = s.MAC
	case !s.answers() && s.Kind != ARPAnnouncement:
		d.via = s.Via
	}
}

// noteVoice counts for how many MACs the station behind s has answered.
func (e *Engine) noteVoice(s Sighting) {
	v := e.voices[s.Via]
	if v == nil {
		if len(e.voices) >= maxVoices {
			e.forgetVoice()
		}
		v = &voice{}
		e.voices[s.Via] = v
	}
	v.last = s.At
	if v.others.note(s.MAC, s.At) {
		e.tellTrouble(trouble{kind: ProxyFound, mac: s.Via}, e.byMAC[s.Via], s.Interface, whyVoice)
	}
}

// forgetVoice makes room for another one.
func (e *Engine) forgetVoice() {
	var out MAC
	for m, v := range e.voices {
		if o := e.voices[out]; o == nil || v.last.Before(o.last) || v.last.Equal(o.last) && compareMACs(m, out) < 0 {
			out = m
		}
	}
	delete(e.voices, out)
}

func whyVoice() string {
	return fmt.Sprintf("it answers in the name of %d devices and more that do not speak through it: it is a proxy, and its answers do not count", ManyAddresses)
}
