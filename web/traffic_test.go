package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/traffic"
)

// meter is a Traffic with these rounds.
type meter struct {
	rounds []traffic.Round
	gone   error
	asked  []string // of what spans
}

func (m *meter) Buckets(_ context.Context, since, until time.Time, step time.Duration) ([]traffic.Round, error) {
	m.asked = append(m.asked, strconv.Itoa(int(until.Sub(since)/step)))
	return traffic.Bucket(m.rounds, since, until, step), m.gone
}

// passed is a round of ten minutes on two interfaces.
func passed(at time.Time, text string) traffic.Round {
	const length = 10 * time.Minute
	key := func(on string, p traffic.Protocol, d traffic.Direction) traffic.Key {
		return traffic.Key{Interface: on, Protocol: p, Direction: d}
	}
	return traffic.Round{
		Start: at.UTC(), Length: length, Counted: length, Dropped: 3,
		Counts: map[traffic.Key]traffic.Count{
			key("eth0", traffic.TLS, traffic.In):  {Packets: 600, Bytes: 600_000},
			key("eth0", traffic.TLS, traffic.Out): {Packets: 300, Bytes: 60_000},
			key("eth0", traffic.DNS, traffic.In):  {Packets: 60, Bytes: 6000},
			key(text, traffic.UDP, traffic.Out):   {Packets: 6, Bytes: 1200},
		},
		Hosts:   []traffic.Talker{{Addr: netip.MustParseAddr("203.0.113.7"), In: traffic.Count{Packets: 6, Bytes: 9000}}},
		Devices: []traffic.Talker{{Device: text, Out: traffic.Count{Packets: 6, Bytes: 6000}}, {Device: "nas", In: traffic.Count{Packets: 1, Bytes: 100}}},
		Ports: []traffic.Port{
			{Protocol: "tcp", Port: 443, Program: text, Held: length},
			{Protocol: "udp", Port: 53, Program: "dnsmasq", Held: length / 2},
		},
	}
}

// metered is a day and more of such rounds, of which two hours are missing.
func metered(now time.Time, text string) *meter {
	m := &meter{}
	for ago := 30 * time.Hour; ago > 10*time.Minute; ago -= 10 * time.Minute {
		if ago > 5*time.Hour && ago <= 7*time.Hour {
			continue
		}
		m.rounds = append(m.rounds, passed(now.Add(-ago), text))
	}
	return m
}

func TestTrafficPage(t *testing.T) {
	now := time.Now()
	page := handler(t, Config{Source: family(now), Traffic: metered(now, "docker0"), TrafficMode: "attended", History: past(t)})
	w := ask(page, "/traffic")
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, words(w))
	}
	for _, want := range []string{
		"It is recorded while somebody is at this machine.", "in this time nothing is known: it was not recorded", "packets (under 1 %) came faster than they could be counted",
		"docker0 eth0", "nas 1", "203.0.113.7", "443 tcp docker0", "53 udp dnsmasq", "not recorded",
		"In 1.0 kB/s: tls 99 %. Out 102 B/s: tls 98 %", "1.0 kB/s",
	} {
		if !strings.Contains(words(w), want) {
			t.Errorf("%q is not in\n%s", want, words(w))
		}
	}
	body := w.Body.String()
	for _, want := range []string{
		`<path class="p-tls" d="M`, `<path class="p-udp" d="M`, `<rect class="gap" x="`, `class="h5"`, `class="h3"`, `<a href="devices/001132aabb01"><bdi>nas</bdi></a>`,
		`<a href="connections?remote=203.0.113.7">`, `aria-label="tcp 443, docker0: listened on for 100 % of the time"`, `aria-label="udp 53, dnsmasq: listened on for 50 % of the time"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in the page", want)
		}
	}
	if strings.Contains(body, `class="p-quic"`) || strings.Contains(body, "NaN") || strings.Contains(body, "Inf") {
		t.Error("there is something in the picture that did not pass")
	}
	if one := ask(page, "/traffic?interface=docker0"); strings.Contains(one.Body.String(), `class="p-tls"`) || !strings.Contains(one.Body.String(), `class="p-udp"`) || !strings.Contains(words(one), "0 B in,") {
		t.Errorf("one interface: %s", words(one))
	}
	if packets := words(ask(page, "/traffic?of=packets")); !strings.Contains(packets, "In 1.1 packets/s: tls 91 %, dns 9 %") {
		t.Errorf("packets: %s", packets)
	}
	for _, query := range []string{"?span=week", "?span=month", "?span=x&day=x&interface=x&of=x", "?day=2999-01-01", "?day=1971-01-01&span=month", "?day=" + now.Format(time.DateOnly)} {
		if w := ask(page, "/traffic"+query); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `class="areas"`) {
			t.Errorf("%s: status %d", query, w.Code)
		}
	}
}

// TestTrafficUntil: a day that is none is told of, and forgotten.
func TestTrafficUntil(t *testing.T) {
	page := handler(t, Config{Source: family(time.Now()), Traffic: metered(time.Now(), "x"), History: past(t)})
	w := ask(page, "/traffic?day=tomorrow&span=week")
	if !strings.Contains(words(w), "tomorrow is no day such as 2026-03-01: this is up to now") || strings.Contains(w.Body.String(), "day=tomorrow") || strings.Contains(w.Body.String(), `value="tomorrow"`) {
		t.Errorf("%s", words(w))
	}
	if got := words(ask(page, "/traffic?day=2026-03-01")); strings.Contains(got, "is no day") {
		t.Error(got)
	}
}

// TestTrafficOff: the page and the API say in a line how it is turned on.
func TestTrafficOff(t *testing.T) {
	const want = "PORCHLIGHT_TRAFFIC=always"
	for name, source := range map[string]Traffic{"none": nil, "nothing so far": &meter{gone: traffic.ErrEmpty}} {
		page := handler(t, Config{Source: family(time.Now()), Traffic: source, TrafficMode: "off", History: past(t)})
		if w := ask(page, "/traffic"); w.Code != http.StatusOK || !strings.Contains(words(w), want) {
			t.Errorf("%s: status %d: %s", name, w.Code, words(w))
		}
	}
	page := handler(t, Config{Source: family(time.Now()), History: past(t)})
	if w := ask(page, "/api/v1/traffic"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), want) {
		t.Errorf("the API: status %d: %s", w.Code, w.Body)
	}
	page = handler(t, Config{Source: family(time.Now()), Traffic: &meter{gone: errors.New("the disk is gone")}, History: past(t)})
	for _, path := range []string{"/traffic", "/api/v1/traffic"} {
		if w := ask(page, path); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the disk is gone") {
			t.Errorf("%s: status %d: %s", path, w.Code, words(w))
		}
	}
}

var coordinates = regexp.MustCompile(`[ML]([0-9.]+) ([0-9.]+)`)

// TestAreas: the areas lie upon each other, are as high as what passed, and have
// no part in a gap.
func TestAreas(t *testing.T) {
	from := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var rounds []traffic.Round
	for i := range 10 {
		r := traffic.Round{Start: from.Add(time.Duration(i) * time.Hour), Length: time.Hour}
		if i != 4 && i != 5 {
			r.Counted = time.Hour
			r.Counts = map[traffic.Key]traffic.Count{
				{Interface: "eth0", Protocol: traffic.TCP, Direction: traffic.In}:  {Bytes: 3600 * 100},
				{Interface: "eth0", Protocol: traffic.TLS, Direction: traffic.In}:  {Bytes: 3600 * 300},
				{Interface: "eth0", Protocol: traffic.TCP, Direction: traffic.Out}: {Bytes: 3600 * 100},
			}
		}
		if i == 9 { // a quarter was counted, at the same rate
			r.Counted /= 4
			for k, c := range r.Counts {
				r.Counts[k] = traffic.Count{Bytes: c.Bytes / 4}
			}
		}
		rounds = append(rounds, r)
	}
	to := from.Add(10 * time.Hour)
	picture := &trafficPicture{from: from, to: to, now: to, rounds: rounds}
	svg := string(newAreas(slotsOf(rounds, "", units[""]), picture, units[""]).draw("x"))
	// 400 in and 100 out: the line is at 192, and each 100 has 0.94 × 48 = 45.12.
	path := func(class string) (xs, ys []float64) {
		t.Helper()
		_, rest, ok := strings.Cut(svg, `<path class="`+class+`" d="`)
		if !ok {
			t.Fatalf("no %s in %s", class, svg)
		}
		d, _, _ := strings.Cut(rest, `"`)
		for _, m := range coordinates.FindAllStringSubmatch(d, -1) {
			x, _ := strconv.ParseFloat(m[1], 64)
			y, _ := strconv.ParseFloat(m[2], 64)
			xs, ys = append(xs, x), append(ys, y)
		}
		return xs, ys
	}
	for class, want := range map[string][2]float64{"p-tcp": {192, 146.9}, "p-tls": {146.9, 11.5}} {
		xs, ys := path(class)
		for i := range xs {
			if xs[i] > 400 && xs[i] < 600 {
				t.Errorf("%s has a point in the gap, at %v", class, xs[i])
			}
			if ys[i] != want[0] && ys[i] != want[1] {
				t.Errorf("%s is at %v", class, ys[i])
			}
		}
	}
	for _, want := range []string{`<rect class="gap" x="400" width="200"`, `y1="192"`, `<text x="4" y="98.8">200 B/s</text>`, "Counted for 15 min of 1 h 00 min"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is not in\n%s", want, svg)
		}
	}
}

// TestPeaks: beside a few that are far above all others the rest is still to be
// seen, and the picture says how high they are.
func TestPeaks(t *testing.T) {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	key := traffic.Key{Interface: "eth0", Protocol: traffic.TLS, Direction: traffic.In}
	draw := func(high uint64, peaks ...int) (svg, words string) {
		rounds := make([]traffic.Round, 96)
		for i := range rounds {
			bytes := uint64(900 * 100)
			if slices.Contains(peaks, i) {
				bytes *= high + uint64(i)
			}
			rounds[i] = traffic.Round{Start: from.Add(time.Duration(i) * 15 * time.Minute), Length: 15 * time.Minute, Counted: 15 * time.Minute, Counts: map[traffic.Key]traffic.Count{key: {Packets: 1, Bytes: bytes}}}
		}
		picture := &trafficPicture{from: from, to: from.AddDate(0, 0, 1), now: from.AddDate(0, 0, 1), rounds: rounds}
		a := newAreas(slotsOf(rounds, "", units[""]), picture, units[""])
		words = a.cutWords()
		return string(a.draw("x")), words
	}
	if svg, words := draw(100); strings.Contains(svg, "peak") || words != "" {
		t.Errorf("without a peak: %s", words)
	}
	if svg, words := draw(100, 10, 11, 60); !strings.Contains(words, "(in)") || !strings.Contains(svg, `<text class="peak" x="12.0%" y="26" text-anchor="start">↑ 11.1 kB/s</text>`) ||
		!strings.Contains(svg, `text-anchor="middle">↑ 16.0 kB/s</text>`) || strings.Count(svg, "peak") != 2 || !strings.Contains(svg, ">1.0 kB/s<") || strings.Contains(svg, " -") {
		t.Errorf("with peaks: %s in %s", words, svg)
	}
	if svg, _ := draw(100, 10, 13, 14, 95); !strings.Contains(svg, "↑ 11.4 kB/s") || !strings.Contains(svg, "↑ 19.5 kB/s") || strings.Count(svg, "peak") != 2 {
		t.Errorf("of those that are near each other the highest is told: %s", svg)
	}
	if svg, _ := draw(100, 1, 2, 3, 4, 5, 6); strings.Contains(svg, "peak") {
		t.Error("what is often so is no peak")
	}
	if svg, _ := draw(1000, 10); strings.Contains(svg, "peak") {
		t.Error("a peak is cut off, and the rest is not to be seen all the same")
	}
}

// TestBuckets: what is over is read once, and the rest each time.
func TestBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metered(time.Now().Add(10*time.Minute), "x")
		b := &buckets{source: m}
		span := trafficSpans[0]
		ask := func() []traffic.Round {
			from, to := span.of("", time.Now())
			rounds, err := b.between(t.Context(), from, to, span.step, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			want := traffic.Bucket(m.rounds, from, to, span.step)
			if got, want := fmt.Sprint(rounds), fmt.Sprint(want); got != want {
				t.Errorf("after %q:\n%.300s\nwant\n%.300s", m.asked, got, want)
			}
			return rounds
		}
		for range 5 {
			if n := len(ask()); n != 96 {
				t.Errorf("%d parts", n)
			}
			time.Sleep(20 * time.Minute)
		}
		if m.asked[0] != "96" || len(m.asked[1]+m.asked[2]+m.asked[3]) > 6 { // two digits each
			t.Errorf("read were %q parts", m.asked)
		}
		time.Sleep(2 * settledKept)
		m.asked = nil
		if ask(); m.asked[0] != "96" {
			t.Errorf("after a while %q", m.asked)
		}
		for _, from := range []time.Duration{-40 * time.Hour, -24*time.Hour + time.Minute, -time.Minute} {
			if _, err := b.between(t.Context(), time.Now().Add(from), time.Now(), span.step, time.Now()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTrafficAPI(t *testing.T) {
	now := time.Now()
	page := handler(t, Config{Source: family(now), Traffic: metered(now, "docker0"), History: past(t)})
	for query, want := range map[string]int{"": 24, "?from=4h&step=1h": 4, "?from=400d&step=1m": maxParts, "?from=2h&step=1d": 1} {
		var lines []traffic.Line
		w := ask(page, "/api/v1/traffic"+query)
		if err := json.Unmarshal(w.Body.Bytes(), &lines); err != nil || len(lines) != want && len(lines) != want+1 {
			t.Errorf("%s: %d parts, want %d, %v: %.300s", query, len(lines), want, err, w.Body)
		}
	}
	for _, query := range []string{"?step=x", "?step=-1h", "?step=0s", "?from=1h&to=2h"} {
		if w := ask(page, "/api/v1/traffic"+query); w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d", query, w.Code)
		}
	}
}

// Days are those of the calendar, also those of 23 and 25 hours: the one before is
// another one, and between the two nothing is missing.
func TestTrafficSpans(t *testing.T) {
	berlin := inBerlin(t)
	for _, now := range []time.Time{
		time.Date(2026, 3, 31, 12, 5, 0, 0, berlin), time.Date(2026, 10, 27, 12, 5, 0, 0, berlin),
	} {
		for _, s := range trafficSpans {
			from, to := s.of("", now)
			if local := to.Local(); !from.Before(now) || !now.Before(to) || local.Minute() != 0 || s.Days > 1 && local.Hour() != 0 || s.Days == 1 && to.Sub(now) > time.Hour {
				t.Errorf("%s of now is %s to %s", s.Name, from, to)
			}
			for range 5 {
				before := from.Add(-1).Format(time.DateOnly)
				next, end := s.of(before, now)
				if end.Before(from) || !next.Before(from) || next.Hour() != 0 || end.Hour() != 0 || next.AddDate(0, 0, s.Days) != end.Local() {
					t.Errorf("%s before %s to %s: %s to %s", s.Name, from, to, next, end)
				}
				from, to = next, end
			}
		}
	}
}

// TestClocksChange: in a month in which they do each row is a day all the same, of
// 23 hours or 25, and nothing is lost.
func TestClocksChange(t *testing.T) {
	berlin := inBerlin(t)
	for _, now := range []time.Time{time.Date(2026, 4, 10, 12, 5, 0, 0, berlin), time.Date(2026, 11, 10, 12, 5, 0, 0, berlin)} {
		m := &meter{}
		for at := now.AddDate(0, 0, -40); at.Before(now); at = at.Add(10 * time.Minute) {
			m.rounds = append(m.rounds, passed(at, "x"))
		}
		s := trafficSpans[2]
		from, to := s.of("", now)
		parts, err := m.Buckets(t.Context(), from, to, s.reads(from, to))
		if err != nil {
			t.Fatal(err)
		}
		picture := &trafficPicture{s, from, to, now, s.byClock(parts)}
		rows := picture.times("")
		if len(picture.rounds) != 180 || len(rows) != 30 {
			t.Errorf("%d slots, %d rows", len(picture.rounds), len(rows))
		}
		for i, row := range rows {
			if want := from.AddDate(0, 0, i).Format("Mon 2 Jan"); row.From != want || row.Note != "" {
				t.Errorf("row %d is of %q, want %q; %s", i, row.From, want, row.Note)
			}
		}
		got, want := traffic.Merge(picture.rounds), traffic.Merge(parts)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in all\n%.300v\nwant\n%.300v", got, want)
		}
		if from, to := s.of("2026-02-20", now); s.reads(from, to) != s.step {
			t.Error("in February they do not change")
		}
	}
}
