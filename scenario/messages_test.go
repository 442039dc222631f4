package scenario

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/presence"
)

// hook is a web service beside the observer that messages go to.
type hook struct {
	url     string
	pause   time.Duration // before it answers
	news    chan struct{} // there is a message; it holds one
	release chan struct{} // closed: it answers

	mu       sync.Mutex
	held     bool // it takes messages, and does not answer
	got      []heard
	answered int
}

// heard is a message as the service got it.
type heard struct{ Title, Message string }

func newHook(h *house, pause time.Duration) *hook {
	h.t.Helper()
	k := &hook{pause: pause, news: make(chan struct{}, 1), release: make(chan struct{})}
	var l net.Listener
	h.lab.Must(h.obs.Do(func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:0"); return err }))
	server := &http.Server{Handler: k, ReadHeaderTimeout: patience}
	var g sync.WaitGroup
	g.Go(func() { _ = server.Serve(l) })
	h.t.Cleanup(func() { _ = server.Close(); g.Wait() })
	k.url = fmt.Sprintf("generic://%s/secret-hunter2?disabletls=yes&template=json", l.Addr())
	return k
}

// ServeHTTP notes a message, and answers unless it is held or the process ends.
func (k *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m heard
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &m) != nil {
		return
	}
	k.mu.Lock()
	k.got = append(k.got, m)
	held, release := k.held, k.release
	k.mu.Unlock()
	select {
	case k.news <- struct{}{}:
	default:
	}
	if !held {
		release = nil
	}
	select {
	case <-release:
	case <-r.Context().Done():
		return
	case <-time.After(map[bool]time.Duration{true: time.Hour, false: k.pause}[held]):
	}
	w.WriteHeader(http.StatusOK)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answered++
}

func (k *hook) hold(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held && !on {
		close(k.release)
		k.release = make(chan struct{})
	}
	k.held = on
}

// messages returns all that came, and how many of them were answered.
func (k *hook) messages() (got []heard, answered int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.got), k.answered
}

// titles returns the titles of all that came.
func (k *hook) titles() (all []string) {
	got, _ := k.messages()
	for _, m := range got {
		all = append(all, m.Title)
	}
	return all
}

// counts says how often each of the headlines was told, alone or in a digest.
func (k *hook) counts(headlines []string) map[string]int {
	got, _ := k.messages()
	n := map[string]int{}
	for _, m := range got {
		for line := range strings.Lines(m.Message) {
			for _, h := range headlines {
				if strings.Contains(line, h) {
					n[h]++
				}
			}
		}
	}
	return n
}

// headlineOf is what a message says of e.
func headlineOf(e presence.Event) string {
	switch e.Type {
	case presence.NewDevice:
		return "New device: " + e.Name
	case presence.Arrived:
		return e.Name + " is home"
	case presence.Left:
		return e.Name + " left"
	case presence.Baseline:
		return "The first list of devices"
	}
	return string(e.Type)
}

// TestMessagesOverKills kills Porchlight 50 times while it delivers: at random
// moments, just when the service has a message and has not answered, and just
// after it has. Nothing is missing, and nothing came more than twice.
func TestMessagesOverKills(t *testing.T) {
	t.Parallel()
	const kills, atFirst = 50, 5
	h := houseOn(t, lab.Options{Prefix: netip.MustParsePrefix("10.77.0.0/24")})
	k := newHook(h, 5*time.Millisecond)
	for name, value := range map[string]string{"NOTIFY_URLS": k.url, "NOTIFY_ON": "new, arrived", "NOTIFY_PER_HOUR": "0", "AWAY_AFTER": "30m"} {
		h.env[name] = value
	}
	devices := h.lab.Population(atFirst+kills, lab.Behaviour{Asleep: true}).Devices()
	for _, d := range devices[:atFirst] {
		d.Wake()
	}
	p := h.start()
	<-k.news
	p.stop()
	// Who had no time to answer, on a busy machine, is not in the list, but comes after it.
	first, _ := k.messages()
	list := jsonLines[presence.Event](t, h.must("events", "--json"))[0].Devices
	if first[0].Title != "The first list of devices" || strings.Count(first[0].Message, "\n- ") != len(list) || len(list) == 0 {
		t.Fatalf("of the first run it told %q, found were %+v", first, list)
	}

	random := rand.New(rand.NewPCG(1, 2))
	for n, d := range devices[atFirst:] {
		drain(k.news)
		k.hold(n%4 == 0)
		p := h.start()
		d.Wake()
		switch n % 4 {
		case 0: // the service has it, and has not answered
			k.await(t, d)
		case 1: // some time after the first that it has
			k.await(t, d)
			<-time.After(time.Duration(random.IntN(40)) * time.Millisecond)
		case 2: // it has answered to a message just now
			_, before := k.messages()
			k.await(t, d)
			eventually(t, "an answer", func() error {
				if _, now := k.messages(); now == before {
					return fmt.Errorf("none so far")
				}
				return nil
			})
		case 3: // any time
			k.announce(d, time.Duration(100+random.IntN(500))*time.Millisecond)
		}
		p.cmd.Kill()
	}

	k.hold(false)
	p = h.start()
	var events []presence.Event
	var headlines []string
	eventually(t, "all that was logged to be told", func() error {
		h.announceAll(devices[atFirst:]) // some have not been heard
		events, headlines = events[:0], headlines[:0]
		for _, e := range jsonLines[presence.Event](t, h.must("events", "--json", "-n", "1000")) {
			if e.Type == presence.NewDevice || e.Type == presence.Arrived {
				events, headlines = append(events, e), append(headlines, headlineOf(e))
			}
		}
		if len(events) < 2*kills {
			return fmt.Errorf("%d events", len(events))
		}
		counts := k.counts(headlines)
		for _, h := range headlines {
			if counts[h] == 0 {
				return fmt.Errorf("%q was not told", h)
			}
		}
		return nil
	})
	p.stop()
	slices.Sort(headlines)
	if len(slices.Compact(headlines)) != len(events) {
		t.Fatalf("the events cannot be told apart: %q", headlines)
	}
	twice := 0
	for what, n := range k.counts(headlines) {
		if n > 2 {
			t.Errorf("%q was told %d times", what, n)
		}
		twice += n - 1
	}
	got, answered := k.messages()
	t.Logf("%d events, %d messages, %d of them answered; told twice: %d", len(events), len(got), answered, twice)
	if n := len(slices.DeleteFunc(k.titles(), func(s string) bool { return s != "The first list of devices" })); n != 1 {
		t.Errorf("the first list was told %d times", n)
	}
	p = h.start()
	p.says("listening")
	<-time.After(time.Second)
	p.stop()
	if again, _ := k.messages(); len(again) != len(got) {
		t.Errorf("after a restart it told again: %q", k.titles()[len(got):])
	}
}

// await announces d until the service has a message.
func (k *hook) await(t *testing.T, d *lab.Device) {
	t.Helper()
	eventually(t, "a message", func() error {
		select {
		case <-k.news:
			return nil
		default:
		}
		_, err := d.Announce()
		return fmt.Errorf("none so far, %w", err)
	})
}

// announce announces d for some time.
func (*hook) announce(d *lab.Device, within time.Duration) {
	end := time.After(within)
	for {
		select {
		case <-end:
			return
		case <-time.After(20 * time.Millisecond):
			_, _ = d.Announce()
		}
	}
}

func (h *house) announceAll(devices []*lab.Device) {
	h.t.Helper()
	for _, d := range devices {
		_, err := d.Announce()
		h.lab.Must(err)
	}
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// TestMessagesByGroup tells of groups and devices of the device file, and a
// service that says nothing holds up neither the other nor presence.
func TestMessagesByGroup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	devices := h.lab.Population(4, lab.Behaviour{Asleep: true}).Devices()
	dead, well := newHook(h, 0), newHook(h, 0)
	file := filepath.Join(t.TempDir(), "devices.yaml")
	text := "devices:\n"
	for i, who := range []string{"name: Ann\n    groups: [Parents, All]", "name: Ben\n    groups: [Kids, All]", "name: Front door\n    important: true", "name: Kettle"} {
		text += fmt.Sprintf("  - mac: %s\n    %s\n", presence.MAC(devices[i].MAC), who)
	}
	h.lab.Must(os.WriteFile(file, []byte(text), 0o644))
	h.env["DEVICES_FILE"], h.env["AWAY_AFTER"] = file, "3s"
	h.env["NOTIFY_URLS"] = "dead=" + dead.url + " well=" + well.url
	h.env["NOTIFY_ON"] = "new>well, arrived/kids, left/Kids>well, left/front door>well!, arrived/02:00:00:00:00:00"
	dead.hold(true)
	p := h.begin()
	for _, d := range devices {
		d.Wake()
	}
	h.announceAll(devices)
	for _, d := range devices {
		h.sub.awaitTopic(topics.State(idOf(d)), "home")
	}
	for _, d := range devices[:3] {
		d.Sleep()
		h.sub.awaitTopic(topics.State(idOf(d)), "not_home")
	}
	want := []string{"Ben is home", "Ben left", "Front door left", "The first list of devices"}
	eventually(t, "the messages", func() error {
		got := slices.Sorted(slices.Values(well.titles()))
		for _, name := range []string{"Ann", "Ben", "Front door", "Kettle"} {
			got = slices.DeleteFunc(got, func(s string) bool { return s == "New device: "+name })
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("it told %q, want %q", got, want)
		}
		return nil
	})
	if got := dead.titles(); !slices.Equal(got, []string{"Ben is home"}) {
		t.Errorf("the one that says nothing was told %q", got)
	}
	dead.hold(false)
	p.stop()
	if said := p.stderr.String(); strings.Contains(said, "hunter2") {
		t.Errorf("it shows a secret:\n%s", said)
	}

	h.must("notify", "--test")
	h.env["NOTIFY_URLS"] += " none=ntfy://user:hunter2@127.0.0.1:9/hunter2topic?scheme=http"
	p, status := h.run("notify", "--test")
	out := p.stdout.String()
	if status != 1 || !containsAll(out, []string{"dead: taken\n", "well: taken\n", "none: not taken: ", "connection refused"}) || strings.Contains(out+p.stderr.String(), "hunter2") {
		t.Errorf("exit status %d: %s%s", status, out, p.stderr.String())
	}
	h.env["NOTIFY_ON"] = "left/Kidz"
	if _, found := h.doctor(); found["messages"].Level != "warn" || !strings.Contains(found["messages"].Text, "Kidz") {
		t.Errorf("the doctor says %+v", found["messages"])
	}
}
