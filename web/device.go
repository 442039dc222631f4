package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"porchlight/discovery"
	"porchlight/presence"
)

// deviceView is what device.html shows.
type deviceView struct {
	layout
	ID      presence.ID
	Home    bool
	State   string // in words, with since when
	Why     string
	New     bool
	Facts   []fact
	Silence silenceChart
	Form    deviceForm
	Past    devicePast
	Same    identity
	InFile  bool

	Connections string // query for those with it; empty: they are not shown
}

// fact is a line of what is known.
type fact struct{ What, Is string }

// deviceForm is what can be set, as it is.
type deviceForm struct {
	Name, Icon, Groups, AwayAfter, Notes string

	DefaultName, DefaultIcon, Learned string

	Kinds, Track, Nudge, Follow options
	Known, Important, NoReplies bool

	Fixed map[string]bool // the fields that the device file decides
}

// devicePage shows one device, and what can be set of it.
func (p *pages) devicePage(w http.ResponseWriter, r *http.Request) {
	d, devices, ok := p.deviceAmong(w, r)
	if !ok {
		return
	}
	learned, err := p.cfg.Source.Silences(r.Context(), d.ID)
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "Porchlight does not answer", err)
		return
	}
	now := time.Now()
	v := deviceView{
		layout: p.layout(r, d.DisplayName(), "device"), ID: d.ID, Home: d.State == presence.Home,
		State: stateWords(&d, now), Why: d.Why, Facts: factsOf(&d, now),
		Silence: newSilenceChart(learned, d.AwayAfter), Form: formOf(&d), Same: identityOf(&d, devices), InFile: len(d.FromFile) > 0,
	}
	if p.cfg.Connections != nil {
		v.Connections = "?" + url.Values{"device": {d.DisplayName()}}.Encode()
	}
	if v.Past, err = p.pastOf(r.Context(), &d, now); err != nil {
		v.Past.Fault = err.Error()
	}
	p.render(w, http.StatusOK, "device.html", v)
}

// stateWords is the state of d as one says it: "home for 3 h 05 min".
func stateWords(d *presence.Device, now time.Time) string {
	state := "home"
	if d.State != presence.Home {
		state = "away"
	}
	if d.Since.IsZero() || d.LastSeen.IsZero() && d.State != presence.Home {
		return state + ", never heard so far"
	}
	return state + " for " + presence.Words(now.Sub(d.Since))
}

// nameSources says where a host name comes from.
var nameSources = map[presence.NameSource]string{
	presence.NameFromDHCP:  "by DHCP",
	presence.NameFromLease: "from a lease file",
	presence.NameFromHosts: "from a hosts file",
	presence.NameFromMDNS:  "by mDNS",
	presence.NameFromDNS:   "by DNS",
}

// factsOf lists what is known of d, without what is empty.
func factsOf(d *presence.Device, now time.Time) (facts []fact) {
	add := func(what, is string) {
		if is != "" {
			facts = append(facts, fact{what, is})
		}
	}
	seen := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return fmt.Sprintf("%s (%s ago)", t.Local().Format("2 Jan 2006 15:04"), presence.Words(now.Sub(t)))
	}
	mac := d.MAC.String()
	if d.MAC.Private() {
		mac += ", private: it may change"
	}
	if d.Addr.IsValid() {
		add("IPv4 address", d.Addr.String())
	}
	for i, a := range d.IPv6 {
		what := ""
		if i == 0 {
			what = "IPv6 addresses"
		}
		facts = append(facts, fact{what, a.String()})
	}
	add("MAC address", mac)
	for _, m := range d.MACs {
		if m != d.MAC {
			add("also", m.String())
		}
	}
	add("Vendor", d.Vendor)
	name := d.HostName
	if by := nameSources[d.HostNameSource]; name != "" && by != "" {
		name += ", " + by
	}
	add("Host name", name)
	add("Vendor class", d.VendorClass)
	add("Client id", d.ClientID)
	add("DHCP fingerprint", d.Fingerprint)
	add("Heard on", d.Interface)
	add("First seen", seen(d.FirstSeen))
	add("Last heard", seen(d.LastSeen))
	return facts
}

// switchOf are the choices of a switch that is on, off, or left to a setting.
func switchOf(set *bool, otherwise string) options {
	is := ""
	if set != nil {
		is = map[bool]string{true: "yes", false: "no"}[*set]
	}
	list := choices(map[string]string{"yes": "yes", "no": "no"}, is)
	list[0].Text = otherwise
	return list
}

// followOf are the choices of what a device is known by when its MAC changes. One
// that a form cannot make stays as it is.
func followOf(set *presence.Follow) options {
	texts, is := map[string]string{"yes": "its host name and what it asks for by DHCP"}, ""
	switch {
	case set == nil || *set == presence.Follow{}:
	case *set == presence.Follow{Same: true}:
		is = "yes"
	default:
		is = keep
		texts[keep] = "as it was set: " + strings.Join(strings.Fields(set.HostName+" "+set.ClientID+" "+set.Fingerprint), ", ")
	}
	list := choices(texts, is)
	list[0].Text = "by nothing: another MAC is another device"
	return list
}

// groupsText is the groups of a device as the form has them.
func groupsText(d *presence.Device) string { return strings.Join(d.Groups, ", ") }

func formOf(d *presence.Device) deviceForm {
	plain := *d
	plain.Name, plain.Icon = "", ""
	f := deviceForm{
		Name: d.Name, Icon: d.Icon, Groups: groupsText(d), Notes: d.Notes,
		DefaultName: plain.DisplayName(), DefaultIcon: discovery.Icon(&plain), Learned: presence.Words(d.AwayAfter),
		Known: d.Known, Important: d.Important, NoReplies: d.IgnoreARPReplies,
		Fixed: map[string]bool{},
	}
	if d.Settings.AwayAfter > 0 {
		f.AwayAfter = d.Settings.AwayAfter.String()
	}
	kinds := map[string]string{}
	for _, k := range presence.DeviceKinds() {
		kinds[string(k)] = string(k)
	}
	f.Kinds = choices(kinds, string(d.Kind))
	f.Kinds[0].Text = "not said"
	f.Track = switchOf(d.Track, "by the setting TRACK")
	f.Nudge = switchOf(d.Nudge, "by its kind (setting NUDGE)")
	f.Follow = followOf(d.Follow)
	for _, name := range d.FromFile {
		f.Fixed[name] = true
	}
	return f
}

// silenceChart is the picture of what was learned of a device's silences: how
// often it was silent for how long, and after how long it is away.
type silenceChart struct {
	Words         string
	Bars          []column
	Ticks         []tick
	Limit         float64 // x of the away timeout
	LimitText     string
	Width, Height float64
}

type column struct {
	X, Y, Width, Height float64
	Joined              bool
	Title               string
}

type tick struct {
	X    float64
	Text string
}

const (
	chartWidth, chartHeight = 640, 160
	barsHeight              = 120
)

// newSilenceChart draws s. The lengths are on a logarithmic scale, as the
// learned ones are; the heights are by the square root, so that rare long
// silences can be seen beside the many short ones.
func newSilenceChart(s presence.Silences, awayAfter time.Duration) silenceChart {
	c := silenceChart{Width: chartWidth, Height: chartHeight}
	first := slices.IndexFunc(s.Bins, func(b presence.SilenceBin) bool { return b.Slept+b.Joined > 0 })
	if first < 0 {
		c.Words = "Nothing is known of its silences yet. It is away after " + presence.Words(awayAfter) + " without a sign of life."
		return c
	}
	bins := s.Bins[first:]
	x := newLogScale(bins, awayAfter)
	most := slices.MaxFunc(bins, func(a, b presence.SilenceBin) int { return cmp.Compare(a.Slept+a.Joined, b.Slept+b.Joined) })
	scale := barsHeight / sqrt(most.Slept+most.Joined)
	for i, b := range bins {
		left := x.of(b.UpTo)
		if i > 0 {
			left = x.of(bins[i-1].UpTo)
		} else {
			left -= x.bin
		}
		slept, all := scale*sqrt(b.Slept), scale*sqrt(b.Slept+b.Joined)
		width := max(x.of(b.UpTo)-left-0.5, 0.5)
		if b.Slept > 0.01 {
			c.Bars = append(c.Bars, column{left, barsHeight - slept, width, slept, false, "silent for up to " + presence.Words(b.UpTo) + ", there all the time"})
		}
		if b.Joined > 0.01 {
			c.Bars = append(c.Bars, column{left, barsHeight - all, width, all - slept, true, "silent for up to " + presence.Words(b.UpTo) + ", then joined again"})
		}
	}
	c.Ticks = x.ticks()
	c.Limit, c.LimitText = x.of(awayAfter), "away after "+presence.Words(awayAfter)
	longest := bins[len(bins)-1].UpTo
	for _, b := range bins {
		if b.Slept > 0.01 {
			longest = b.UpTo
		}
	}
	c.Words = fmt.Sprintf("It sleeps for up to %s, and is usually heard within %s. It is away after %s.",
		presence.Words(longest), presence.Words(max(s.Usual, time.Second)), presence.Words(awayAfter))
	return c
}
