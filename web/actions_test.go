package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

func TestSetDevice(t *testing.T) {
	for name, test := range map[string]struct {
		form url.Values
		want string // what is set; empty: nothing, with this fault
		says string
	}{
		"a name":         {url.Values{"name": {"Kettle"}}, "[name]", ""},
		"mine":           {url.Values{"name": {""}, "known": {"yes"}}, "[name known]", ""},
		"a name of yes":  {url.Values{"name": {"yes"}}, "[name]", ""},
		"groups":         {url.Values{"groups": {"Kids, Tablets,,"}}, "[groups]", ""},
		"a group of no":  {url.Values{"groups": {"no"}}, "[groups]", ""},
		"the same ones":  {url.Values{"groups": {"Guests, of ours, too"}, "name": {"Ben"}}, "[name]", ""},
		"no groups":      {url.Values{"groups": {""}}, "[groups]", ""},
		"in seconds":     {url.Values{"away_after": {"90"}}, "[away_after]", ""},
		"by policy":      {url.Values{"track": {""}}, "[track]", ""},
		"followed":       {url.Values{"follow": {"yes"}}, "[follow]", ""},
		"not followed":   {url.Values{"follow": {""}}, "[follow]", ""},
		"as it follows":  {url.Values{"follow": {keep}, "name": {"x"}}, "[name]", ""},
		"by its kind":    {url.Values{"nudge": {""}}, "[nudge]", ""},
		"learned":        {url.Values{"away_after": {""}}, "[away_after]", ""},
		"fixed":          {url.Values{"away_after": {"10m"}}, "[away_after]", ""},
		"unticked":       {url.Values{"boxes": {"known", "important"}, "important": {"yes"}}, "[known important]", ""},
		"no such kind":   {url.Values{"kind": {"fridge"}}, "", "kind: want one of"},
		"no such time":   {url.Values{"away_after": {"soon"}}, "", "away_after: want"},
		"an icon":        {url.Values{"icon": {"<b>"}}, "", "icon: want"},
		"unknown":        {url.Values{"nmae": {"x"}}, "", "unknown fields: nmae"},
		"one of two bad": {url.Values{"name": {"x"}, "kind": {"fridge"}}, "", "kind"},
		"too long":       {url.Values{"notes": {strings.Repeat("x", maxBody)}}, "", "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			h := family(time.Now())
			h.devices[3].Groups = []string{"Guests, of ours", "too"}
			w := post(handler(t, Config{Source: h, Commands: h}), "/devices/001132aabb01", test.form)
			var want []string
			status := http.StatusSeeOther
			if test.want != "" {
				want = []string{"set 001132aabb01 " + test.want}
			}
			if diff := cmp.Diff(want, h.done); diff != "" {
				t.Error(diff)
			}
			if test.says != "" {
				status = http.StatusUnprocessableEntity
				if name == "too long" {
					status = http.StatusRequestEntityTooLarge
				}
			}
			if w.Code != status || !strings.Contains(words(w), test.says) {
				t.Errorf("status %d\n%s", w.Code, words(w))
			}
		})
	}
}

func TestForgetDevice(t *testing.T) {
	h := family(time.Now())
	h.devices[0].FromFile = []string{"name"}
	page := handler(t, Config{Source: h, Commands: h})
	if w := post(page, "/devices/"+string(h.devices[0].ID)+"/forget", nil); w.Code != http.StatusConflict || !strings.Contains(words(w), "in the device file") {
		t.Errorf("in the file: status %d\n%s", w.Code, words(w))
	}
	for _, id := range []string{"ffffffffffff", "..%2f..", "x"} {
		if w := post(page, "/devices/"+id+"/forget", nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", id, w.Code)
		}
	}
	if w := post(page, "/devices/001132aabb01/forget", nil); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "../.././" {
		t.Errorf("status %d, to %q", w.Code, w.Header().Get("Location"))
	}
	if diff := cmp.Diff([]string{"forget 001132aabb01"}, h.done); diff != "" {
		t.Error(diff)
	}
}

// TestBack returns to the page that a form was on, and nowhere else.
func TestBack(t *testing.T) {
	for referer, want := range map[string]string{
		"":                                  "./",
		"http://localhost:8580/?state=home": "/?state=home",
		"http://localhost:8580/api/ingress/x/devices/y": "/api/ingress/x/devices/y",
		"http://evil.example/":                          "./",
		"http://localhost:8580//evil.example/":          "./",
		"://":                                           "./",
	} {
		h := family(time.Now())
		w := post(handler(t, Config{Source: h, Commands: h}), "/scan", nil, func(r *http.Request) { r.Header.Set("Referer", referer) })
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("from %q to %q, want %q", referer, got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	h := family(time.Now())
	h.devices[2].Groups, h.devices[2].Kind = []string{"The Kids"}, presence.Phone // Anna's phone
	h.devices[3].Notes = "in the cellar"
	for query, want := range map[string]string{
		"":                             "Anna's phone nas Apple, Inc. 02:03 living-room-tv",
		"state=home":                   "Anna's phone nas",
		"state=not_home":               "Apple, Inc. 02:03 living-room-tv",
		"q=ANNA":                       "Anna's phone",
		"q=192.168.1.4":                "living-room-tv",
		"q=00:11:32":                   "nas",
		"q=cellar":                     "nas",
		"group=the_kids":               "Anna's phone",
		"group=The+Kids":               "Anna's phone",
		"kind=phone&state=home":        "Anna's phone",
		"vendor=Synology+Incorporated": "nas",
		"vendor=Synology+Incorporated&state=not_home": "",
		"q=%3Cscript%3E": "",
	} {
		var names []string
		w := get(t, Config{Source: h}, "/?"+query)
		for _, m := range deviceLinks.FindAllStringSubmatch(w.Body.String(), -1) {
			names = append(names, readable(m[1]))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s shows %q, want %q", query, got, want)
		}
		if strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%s comes back as it is", query)
		}
		if want == "" && !strings.Contains(words(w), "No device is like that.") {
			t.Errorf("%s: the page does not say that there is none", query)
		}
	}
}

// TestNewcomers shows who stands out as new.
func TestNewcomers(t *testing.T) {
	now := time.Now()
	h := family(now)
	h.summary.BaselineAt = now.Add(-30 * 24 * time.Hour)
	shown := func() int {
		return strings.Count(get(t, Config{Source: h}, "/").Body.String(), "It is mine")
	}
	if got := shown(); got != 2 { // the laptop and the television; Anna's phone has a name, the NAS has been here for 8 days
		t.Errorf("%d stand out, want 2", got)
	}
	h.devices[0].Known = true
	h.devices[1].FromFile = []string{"groups"}
	if got := shown(); got != 0 {
		t.Errorf("%d stand out although all are known", got)
	}
	h.devices[0].Known = false
	h.summary.BaselineAt = now
	if got := shown(); got != 0 {
		t.Errorf("%d of the first run's list stand out", got)
	}
}

// TestFollowOnThePage: what a form cannot say, it leaves alone.
func TestFollowOnThePage(t *testing.T) {
	for chosen, follow := range map[string]*presence.Follow{
		"":                     nil,
		`value="yes" selected`: {Same: true},
		`value="keep" selected>as it was set: Annas-iPhone`: {HostName: "Annas-iPhone"},
	} {
		h := family(time.Now())
		h.devices[2].Follow = follow
		body := ask(handler(t, Config{Source: h, History: past(t)}), "/devices/026f1e10007c").Body.String()
		_, form, _ := strings.Cut(body, `name="follow"`)
		form, _, _ = strings.Cut(form, "</select>")
		if !strings.Contains(form, chosen) || strings.Contains(form, "selected") != (chosen != "") {
			t.Errorf("%+v: %s", follow, form)
		}
	}
}
