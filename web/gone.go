package web

import (
	"net/http"
	"time"

	"porchlight/presence"
)

// gone answers for an id that no device has. The past may know it still: one that
// was merged is part of another, whose page has everything, and one that was
// forgotten has left its comings and goings.
func (p *pages) gone(w http.ResponseWriter, r *http.Request, id presence.ID) {
	v := struct {
		layout
		Past *devicePast // nil: there is none
	}{layout: p.layout(r, "There is no such device", "none")}
	v.Fault = "It is not known, or was forgotten."
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		now, err := p.cfg.History.Now(r.Context(), id)
		if err == nil && now != id {
			seeOther(w, rootOf(r)+"devices/"+string(now))
			return
		}
		mac, _ := presence.ParseMAC(string(id))
		past, err := p.pastOf(r.Context(), &presence.Device{ID: id, MAC: mac}, time.Now())
		if err == nil && (past.Events != "" || len(past.Names) > 0) {
			v.Fault = "It was forgotten. This is what is left of it."
			v.Past = &past
		}
	}
	p.render(w, http.StatusNotFound, "gone.html", v)
}
