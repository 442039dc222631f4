package web

import (
	"net/http"
	"slices"

	"porchlight/presence"
)

// identity is what the page of a device says of its MACs, and of devices that may
// be the same.
type identity struct {
	MACs   []string // all, if there are several
	May    []may    // what may be the same device
	Others options  // all other devices
}

// may is a device that may be the same.
type may struct {
	Into, ID    presence.ID // whose part it would become, and what
	Name, Other string
}

// identityOf looks for what may be the same device as d: what it resembles, and
// what resembles it.
func identityOf(d *presence.Device, devices []presence.Device) (v identity) {
	for _, m := range d.MACs {
		v.MACs = append(v.MACs, m.String())
	}
	names := map[string]string{}
	for _, o := range devices {
		if o.ID == d.ID {
			continue
		}
		names[string(o.ID)] = o.DisplayName() + ", " + o.MAC.String()
		if d.Resembles == o.ID {
			v.May = append(v.May, may{o.ID, d.ID, o.DisplayName(), d.DisplayName()})
		}
		if o.Resembles == d.ID {
			v.May = append(v.May, may{d.ID, o.ID, d.DisplayName(), o.DisplayName()})
		}
	}
	v.Others = choices(names, "")
	v.Others[0].Text = "choose a device"
	return v
}

// merge makes the device that the form names part of the one of the path.
func (p *pages) merge(w http.ResponseWriter, r *http.Request) {
	d, ok := p.device(w, r)
	if !ok {
		return
	}
	id := presence.ID(r.PostFormValue("id"))
	if err := p.cfg.Commands.MergeNow(r.Context(), d.ID, []presence.ID{id}); err != nil {
		p.fault(w, r, http.StatusConflict, "Nothing was merged", err)
		return
	}
	seeOther(w, rootOf(r)+"devices/"+string(d.ID))
}

// split makes the MAC that the form names a device of its own.
func (p *pages) split(w http.ResponseWriter, r *http.Request) {
	d, ok := p.device(w, r)
	if !ok {
		return
	}
	m, err := presence.ParseMAC(r.PostFormValue("mac"))
	if err == nil && !slices.Contains(d.MACs, m) {
		p.fault(w, r, http.StatusUnprocessableEntity, "Nothing was split", errNotItsMAC)
		return
	}
	if err == nil {
		err = p.cfg.Commands.SplitNow(r.Context(), d.ID, []presence.MAC{m})
	}
	if err != nil {
		p.fault(w, r, http.StatusConflict, "Nothing was split", err)
		return
	}
	seeOther(w, rootOf(r)+"devices/"+string(d.ID))
}
