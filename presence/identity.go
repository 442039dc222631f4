package presence

import (
	"slices"
	"strings"
)

// maxAlike is how many devices can be alike for this to mean anything: a name
// that more of them have is that of a model.
const maxAlike = 64

// identity is what a device says of itself that can outlast its MAC.
type identity struct {
	hostName, clientID, fingerprint string
}

// identity returns what d says of itself. What others call it does not count.
func (d *device) identity() identity {
	i := identity{clientID: d.ClientID, fingerprint: d.Fingerprint}
	if d.HostNameSource.Replaces(NameFromDHCP) {
		i.hostName = d.HostName
	}
	return i
}

func (h *DHCP) identity() identity { return identity{h.HostName, h.ClientID, h.Fingerprint} }

// keys are what an identity is found by.
func (i identity) keys() (keys []string) {
	if i.hostName != "" {
		keys = append(keys, "h"+strings.ToLower(i.hostName))
	}
	if i.clientID != "" {
		keys = append(keys, "c"+i.clientID)
	}
	if i.fingerprint != "" {
		keys = append(keys, "f"+i.fingerprint)
	}
	return keys
}

// alike reports whether i has everything that want has.
func (i identity) alike(want identity) bool {
	return want != identity{} &&
		(want.hostName == "" || strings.EqualFold(want.hostName, i.hostName)) &&
		(want.clientID == "" || want.clientID == i.clientID) &&
		(want.fingerprint == "" || want.fingerprint == i.fingerprint)
}

// Follow is what else a device is known by besides its MACs: a private MAC that
// nobody has seen before and that says all that is given here by DHCP becomes
// the device's. The zero Follow: nothing.
type Follow struct {
	Same        bool   `json:"same,omitempty"` // the host name and the fingerprint that it has itself
	HostName    string `json:"host_name,omitempty"`
	ClientID    string `json:"client_id,omitempty"`   // hex, as in DHCP
	Fingerprint string `json:"fingerprint,omitempty"` // as in DHCP
}

// maxIdentity bounds the texts of a Follow as dhcpwatch bounds what is heard.
const maxIdentity = 255

// Clean returns f as it can match what is heard; of what cannot, nothing is left.
func (f Follow) Clean() Follow {
	blank := func(drop string) func(rune) rune {
		return func(r rune) rune {
			if strings.ContainsRune(drop, r) {
				return -1
			}
			return r
		}
	}
	if f.Same {
		return Follow{Same: true}
	}
	f.HostName = CleanText(f.HostName, MaxName)
	f.ClientID = strings.Map(blank(" :-."), CleanText(strings.ToLower(f.ClientID), maxIdentity))
	f.Fingerprint = strings.Map(blank(" "), CleanText(f.Fingerprint, maxIdentity))
	return f
}

// follows returns what a newcomer must say to be d; the zero identity: d follows nothing.
func (d *device) follows() identity {
	switch f := d.Follow; {
	case f == nil:
		return identity{}
	case f.Same:
		own := d.identity()
		if own.hostName == "" || own.fingerprint == "" {
			return identity{}
		}
		return identity{hostName: own.hostName, fingerprint: own.fingerprint}
	default:
		return identity{f.HostName, f.ClientID, f.Fingerprint}
	}
}

// known is what a device stands in the index by.
type known struct{ own, follows identity }

func (k known) keys() []string {
	keys := append(k.own.keys(), k.follows.keys()...)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// index has d found by what it says of itself now, and by what it follows.
func (e *Engine) index(d *device) {
	now := known{d.identity(), d.follows()}
	if now == d.indexed {
		return
	}
	e.unindex(d)
	d.indexed = now
	for _, key := range now.keys() {
		e.byIdentity[key] = append(e.byIdentity[key], d)
	}
	if now.follows != (identity{}) {
		e.followers++
	}
}

func (e *Engine) unindex(d *device) {
	for _, key := range d.indexed.keys() {
		rest := slices.DeleteFunc(e.byIdentity[key], func(o *device) bool { return o == d })
		if e.byIdentity[key] = rest; len(rest) == 0 {
			delete(e.byIdentity, key)
		}
	}
	if d.indexed.follows != (identity{}) {
		e.followers--
	}
	d.indexed = known{}
}

// candidates returns the devices that have a part of i, or follow it, by id;
// none where too many have.
func (e *Engine) candidates(i identity) (found []*device) {
	for _, key := range i.keys() {
		if some := e.byIdentity[key]; len(some) <= maxAlike {
			for _, d := range some {
				if !slices.Contains(found, d) {
					found = append(found, d)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b *device) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return found
}
