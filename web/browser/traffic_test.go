package browser

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"porchlight/traffic"
)

// meter has the traffic that the test says.
type meter struct {
	mu     sync.Mutex
	rounds []traffic.Round
	err    error
}

// Buckets implements web.Traffic.
func (m *meter) Buckets(_ context.Context, since, until time.Time, step time.Duration) ([]traffic.Round, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return traffic.Bucket(m.rounds, since, until, step), m.err
}

// set has something else from now on.
func (m *meter) set(rounds []traffic.Round, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rounds, m.err = rounds, err
}

// count puts something into the last round.
func (m *meter) count(k traffic.Key, c traffic.Count) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rounds[len(m.rounds)-1].Counts[k] = c
}

// household is a month of a home: busy evenings, a nightly backup, a night in
// which nobody recorded, and a service that came last week.
func household(now time.Time) *meter {
	m := &meter{}
	for at := now.AddDate(0, 0, -31).Truncate(10 * time.Minute); at.Before(now); at = at.Add(10 * time.Minute) {
		hour := float64(at.Hour()) + float64(at.Minute())/60
		if ago := now.Sub(at); ago > 26*time.Hour && ago < 34*time.Hour || ago < 24*time.Hour && hour >= 11 && hour < 13 {
			continue
		}
		busy := math.Exp(-(hour-20)*(hour-20)/9) + 0.25*math.Exp(-(hour-8)*(hour-8)/4) + 0.05
		wave := 1 + 0.3*math.Sin(float64(at.Unix())/4000) + 0.2*math.Sin(float64(at.Unix())/1300)
		r := traffic.Round{Start: at.UTC(), Length: 10 * time.Minute, Counted: 10 * time.Minute, Counts: map[traffic.Key]traffic.Count{}}
		put := func(on string, p traffic.Protocol, d traffic.Direction, mb float64) {
			bytes := uint64(mb * wave * 1e6)
			r.Counts[traffic.Key{Interface: on, Protocol: p, Direction: d}] = traffic.Count{Packets: bytes/900 + 1, Bytes: bytes}
		}
		for d, share := range []float64{1, 0.12} {
			d := traffic.Direction(d)
			put("eth0", traffic.TLS, d, 900*busy*share)
			put("eth0", traffic.QUIC, d, 520*busy*share)
			put("eth0", traffic.TCP, d, 160*busy*share+20)
			put("eth0", traffic.UDP, d, 60*busy*share)
			put("eth0", traffic.DNS, d, 4*busy)
			put("eth0", traffic.MDNS, d, 1)
			put("eth0", traffic.ARP, d, 0.5)
			put("eth0", traffic.ICMP, d, 0.3)
			put("docker0", traffic.TCP, d, 90*busy)
		}
		if hour >= 3 && hour < 4 {
			put("eth0", traffic.TLS, traffic.Out, 800)
		}
		for i := range 6 {
			mb := uint64(400e6*busy) / uint64(i+1)
			r.Hosts = append(r.Hosts, traffic.Talker{Addr: netip.AddrFrom4([4]byte{203, 0, 113, byte(7 * (i + 1))}), In: traffic.Count{Bytes: mb}, Out: traffic.Count{Bytes: mb / 9}})
			r.Devices = append(r.Devices, traffic.Talker{Device: fmt.Sprintf("Phone %02d", i), In: traffic.Count{Bytes: mb / 8}, Out: traffic.Count{Bytes: mb}})
		}
		hold := func(protocol string, n uint16, program string, share float64) {
			r.Ports = append(r.Ports, traffic.Port{Protocol: protocol, Port: n, Program: program, Held: time.Duration(share * float64(r.Length))})
		}
		hold("tcp", 22, "sshd", 1)
		hold("udp", 53, "dnsmasq", 1)
		hold("tcp", 443, "nginx", 1)
		hold("tcp", 445, "smbd", 1)
		hold("udp", 5353, "avahi-daemon", 1)
		if now.Sub(at) < 6*24*time.Hour {
			hold("tcp", 8096, "jellyfin", 1)
		}
		hold("tcp", 9091, "transmission-da", min(busy*1.3, 1))
		if hour >= 3 && hour < 4 {
			hold("tcp", 873, "rsync", 0.4)
		}
		if at.Hour() == 15 {
			r.Dropped = 1234
		}
		m.rounds = append(m.rounds, r)
	}
	return m
}

// TestTraffic draws a day, a week and a month.
func TestTraffic(t *testing.T) {
	records, _ := month(6)
	h := newHouse(t, "", records)
	b := h.open("traffic")
	b.shows("GB in,")
	b.shows("in this time nothing is known")
	b.shows("came faster than they could be counted")
	b.picture("day")
	b.barriers()
	// Of several the largest: where it is cut depends on the hour.
	for _, what := range []struct {
		selector string
		least    float64 // in square pixels
	}{{"path.p-tls", 3000}, {"path.p-quic", 2000}, {"path.p-tcp", 1000}, {"rect.gap", 5000}, {"rect.slot", 300}, {".heat rect.h5", 3000}, {".share rect.in", 50}} {
		area := eval[float64](b, fmt.Sprintf(`Math.max(0, ...[...document.querySelectorAll(%s)].map((e) => { const r = e.getBoundingClientRect(); return r.width * r.height; }))`, quote(what.selector)))
		if area < what.least {
			t.Errorf("%s covers %v", what.selector, area)
		}
	}
	if n := eval[int](b, `document.querySelectorAll("#ports .lane").length`); n != 8 {
		t.Errorf("%d ports", n)
	}
	eval[bool](b, `document.querySelectorAll(".areas rect.slot")[3].dispatchEvent(new MouseEvent("click", {bubbles: true}))`)
	b.until(`/In .*: .*tls [0-9]+ %.* Out /.test(document.getElementById("said").textContent)`)
	eval[bool](b, `document.querySelector("#ports rect.h5").dispatchEvent(new MouseEvent("click", {bubbles: true}))`)
	b.until(`document.querySelector("#ports ~ .said, section:has(#ports) .said").textContent.includes("listened on for 100 % of the time")`)
	eval[bool](b, `document.getElementById("areas").focus(); true`)
	b.run(chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowLeft))
	first := eval[string](b, `document.querySelector("#areas .at title").textContent`)
	if said := eval[string](b, `document.getElementById("said").textContent`); said != first || !strings.Contains(first, "00:00 to ") {
		t.Errorf("the arrow keys lead to %q, and %q is said", first, said)
	}
	if !eval[bool](b, `document.getElementById("areas").dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowLeft", altKey: true, bubbles: true, cancelable: true}))`) {
		t.Error("the way back of the browser is taken")
	}
	b.run(chromedp.SetValue(css(`select[name=interface]`), "docker0"))
	eval[bool](b, `document.querySelector("select[name=interface]").dispatchEvent(new Event("input", {bubbles: true}))`)
	b.until(`document.querySelectorAll("#protocols tbody tr").length === 1`)
	b.run(chromedp.Navigate(h.url + "traffic?of=packets"))
	b.shows("packets/s")
	b.click(`a[href*="span=week"]`)
	b.until(`document.querySelectorAll("#rows tbody tr").length === 7`)
	b.picture("week")
	b.barriers()
	b.run(chromedp.Navigate(h.url + "traffic?span=month"))
	b.until(`document.querySelectorAll("#rows tbody tr").length === 30`)
	b.picture("month")
	b.barriers()
	b.click(`#busiest a[href^="devices/"]`)
	b.shows("What is known")
}

// TestTrafficLive has what passes meanwhile on the page without a reload, and says
// when it cannot be read any more.
func TestTrafficLive(t *testing.T) {
	h := newHouse(t, "", nil)
	h.meter.set(nil, traffic.ErrEmpty)
	b := h.open("traffic")
	b.shows("So far nothing was.")
	b.picture("off")
	b.barriers()
	h.meter.set(nil, nil)
	h.hear(1, "nas")
	b.shows("0 B in, 0 B out")
	b.shows("othing was recorded in this time")
	b.picture("nothing")
	b.barriers()
	if text := b.text(); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("the page says %s", text)
	}
	eval[bool](b, `document.querySelector("#times summary").click(); window.same = true`)
	h.meter.set(household(time.Now()).rounds, nil)
	h.hear(2, "annas-phone")
	b.until(`!document.querySelector("h1").textContent.startsWith("0 B in")`)
	eval[bool](b, `document.getElementById("areas").focus(); window.old = document.getElementById("areas"); true`)
	b.run(chromedp.KeyEvent(kb.ArrowLeft))
	h.meter.count(traffic.Key{Interface: "eth0"}, traffic.Count{Packets: 1e6, Bytes: 1e9})
	h.hear(3, "printer")
	b.until(`window.old !== document.getElementById("areas")`)
	b.until(`window.same && document.activeElement.id === "areas" && !!document.querySelector("#areas .at") && document.getElementById("times").open`)
	b.expect = []string{"503"}
	h.meter.set(nil, errors.New("the file is damaged"))
	h.hear(4, "guest")
	b.until(`document.body.classList.contains("stale")`)
}
