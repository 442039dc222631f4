package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"porchlight/presence"
)

// setDevice changes what the user has decided about a device, by a form that has
// any of the fields of presence.ParseChange, and goes back to where it was sent.
func (p *pages) setDevice(w http.ResponseWriter, r *http.Request) {
	d, ok := p.device(w, r)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		p.fault(w, r, http.StatusBadRequest, "Nothing was changed", errors.New("the form is too long, or not a form"))
		return
	}
	if r.PostForm.Get("groups") == groupsText(&d) {
		r.PostForm.Del("groups") // nothing was said of them: a guest's are not the user's, and a name can have commas
	}
	c, err := changeOf(r.PostForm)
	if err != nil {
		p.fault(w, r, http.StatusUnprocessableEntity, "Nothing was changed", err)
		return
	}
	p.cfg.Commands.Set(d.ID, c)
	p.back(w, r)
}

// forgetDevice removes a device with all that was learned and set.
func (p *pages) forgetDevice(w http.ResponseWriter, r *http.Request) {
	d, ok := p.device(w, r)
	switch {
	case !ok:
	case len(d.FromFile) > 0:
		p.fault(w, r, http.StatusConflict, "Nothing was forgotten",
			fmt.Errorf("%s is in the device file: remove it there", d.DisplayName()))
	default:
		p.cfg.Commands.Forget(d.ID)
		seeOther(w, rootOf(r)+"./")
	}
}

// scan starts a sweep.
func (p *pages) scan(w http.ResponseWriter, r *http.Request) {
	p.cfg.Commands.Scan()
	p.back(w, r)
}

// device returns the device that the path names. It answers itself when there
// is none.
func (p *pages) device(w http.ResponseWriter, r *http.Request) (d presence.Device, ok bool) {
	d, _, ok = p.deviceAmong(w, r)
	return d, ok
}

// deviceAmong is device, with all devices.
func (p *pages) deviceAmong(w http.ResponseWriter, r *http.Request) (d presence.Device, all []presence.Device, ok bool) {
	all, _, err := p.cfg.Source.Snapshot(r.Context())
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "Porchlight does not answer", err)
		return d, nil, false
	}
	if d, ok = among(all, r); !ok {
		p.gone(w, r, presence.ID(r.PathValue("id")))
		return d, nil, false
	}
	return d, all, true
}

// among returns the one of the devices that the path of r names.
func among(devices []presence.Device, r *http.Request) (d presence.Device, ok bool) {
	id := presence.ID(r.PathValue("id"))
	for i := range devices {
		if devices[i].ID == id {
			return devices[i], true
		}
	}
	return d, false
}

var errNotItsMAC = errors.New("this device has no such MAC")

// back sends the browser to the page that the form was on, else to the first.
func (p *pages) back(w http.ResponseWriter, r *http.Request) {
	to := rootOf(r) + "./"
	if u, err := url.Parse(r.Referer()); err == nil && u.Host == r.Host && u.Path != "" {
		to = u.EscapedPath() // as the browser sees it, so also behind a proxy that cuts a part off
		if u.RawQuery != "" {
			to += "?" + u.RawQuery
		}
		if strings.HasPrefix(to, "//") {
			to = rootOf(r) + "./"
		}
	}
	seeOther(w, to)
}

// keep is the choice that leaves a setting as it is.
const keep = "keep"

// changeOf reads a Change from the fields of a form. An empty field takes back
// what was set; a box that is not ticked counts as such when its field is among
// "boxes".
func changeOf(form url.Values) (presence.Change, error) {
	fields := map[string]any{}
	for name, values := range form {
		value := strings.TrimSpace(values[0])
		switch {
		case name == "boxes":
			for _, box := range values {
				if !form.Has(box) {
					fields[box] = false
				}
			}
		case name == "name" || name == "notes":
			fields[name] = value
		case name == "groups":
			fields[name] = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == '\n' })
		case value == "yes" || value == "no":
			fields[name] = value == "yes"
		case name == "follow" && value == keep:
		case name == "track" || name == "nudge" || name == "follow" || name == "away_after" && value == "":
			fields[name] = nil
		default:
			fields[name] = value
		}
	}
	payload, err := json.Marshal(fields)
	if err != nil {
		return presence.Change{}, err
	}
	c, unknown, err := presence.ParseChange(payload)
	if err == nil && len(unknown) > 0 {
		err = fmt.Errorf("unknown fields: %s", strings.Join(unknown, ", "))
	}
	return c, err
}
