package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

func TestMergeOnThePage(t *testing.T) {
	h := family(time.Now())
	tv, phone := h.devices[1].ID, h.devices[2].ID
	h.devices[1].Resembles = phone
	h.devices[2].MACs = []presence.MAC{h.devices[2].MAC, {2, 0, 0, 0, 0, 9}}
	page := handler(t, Config{Source: h, Commands: h, History: past(t)})
	for _, id := range []presence.ID{tv, phone} { // on both pages
		body := ask(page, "/devices/"+string(id)).Body.String()
		if !strings.Contains(body, `action="../devices/`+string(phone)+`/merge" class="suggestion"`) || !strings.Contains(body, `value="`+string(tv)+`"`) {
			t.Errorf("the page of %s suggests nothing:\n%s", id, body)
		}
	}
	if got := ask(page, "/devices/"+string(phone)).Body.String(); !strings.Contains(got, "Split 02:00:00:00:00:09 off") {
		t.Error("no MAC can be split off")
	}
	if got := ask(page, "/devices/001132aabb01").Body.String(); strings.Contains(got, "suggestion") || strings.Contains(got, "Split") {
		t.Error("the NAS is suggested something")
	}
	merge := func(form url.Values) int {
		return post(page, "/devices/"+string(phone)+"/merge", form).Code
	}
	split := func(form url.Values) int {
		return post(page, "/devices/"+string(phone)+"/split", form).Code
	}
	if got := merge(url.Values{"id": {string(tv)}}); got != http.StatusSeeOther {
		t.Errorf("merge: status %d", got)
	}
	if got := split(url.Values{"mac": {"02:00:00:00:00:09"}}); got != http.StatusSeeOther {
		t.Errorf("split: status %d", got)
	}
	if got := split(url.Values{"mac": {"02:00:00:00:00:08"}}); got != http.StatusUnprocessableEntity {
		t.Errorf("splitting off what is not its own: status %d", got)
	}
	if got := split(url.Values{"mac": {"x"}}); got != http.StatusConflict {
		t.Errorf("splitting off nothing: status %d", got)
	}
	if diff := cmp.Diff([]string{"merge 026f1e10007c[a4307a010204]", "split 026f1e10007c[02:00:00:00:00:09]"}, h.done); diff != "" {
		t.Error(diff)
	}
	h.refuses = errors.New("it cannot be part of itself")
	w := post(page, "/devices/"+string(phone)+"/merge", url.Values{"id": {string(phone)}})
	if w.Code != http.StatusConflict || !strings.Contains(words(w), "it cannot be part of itself") {
		t.Errorf("status %d: %s", w.Code, words(w))
	}
}
