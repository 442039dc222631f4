package mqtt

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"porchlight/discovery"
	"porchlight/presence"
)

const (
	// askEvery is how often another instance that is known is asked whether it
	// is still there; one that has not been heard for goneAfter is gone.
	askEvery  = time.Minute
	goneAfter = 150 * time.Second
	// answerEvery is the least time between two answers.
	answerEvery = time.Second

	maxClaim  = 1 << 10 // bytes
	maxRivals = 8
)

// claim is the payload of the instance topic. Who wants to know who is there
// asks, and every instance answers; an asker without Run is none itself.
type claim struct {
	Run   string    `json:"run,omitempty"` // another for each start of a program
	Host  string    `json:"host,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// HomeAssistant is when it last said something on its status topic.
	HomeAssistant time.Time `json:"home_assistant,omitzero"`

	Ask bool `json:"ask,omitempty"`
}

// parseClaim reads a payload, which anybody may have written.
func parseClaim(payload []byte) (c claim, ok bool) {
	if len(payload) > maxClaim || json.Unmarshal(payload, &c) != nil {
		return claim{}, false
	}
	c.Run = presence.CleanText(c.Run, 64)
	c.Host = cmp.Or(presence.CleanText(c.Host, presence.MaxName), "an unknown machine")
	return c, c.Run != "" || c.Ask
}

func (c claim) payload() []byte {
	b, _ := json.Marshal(c) // cannot fail
	return b
}

// hostName is this machine's name, fit to be shown.
func hostName() string {
	name, _ := os.Hostname()
	return presence.CleanText(name, presence.MaxName)
}

// rivals is the other instances with our prefix and node on the broker. They
// and we overwrite each other's messages.
type rivals struct {
	log  *slog.Logger
	node string
	self claim

	mu    sync.Mutex
	known map[string]*rival // by run
	heard time.Time         // when Home Assistant said something
}

type rival struct {
	host    string
	heardAt time.Time
}

func newRivals(log *slog.Logger, topics *discovery.Topics, host string) *rivals {
	return &rivals{
		log: log, node: topics.Node, known: make(map[string]*rival),
		self: claim{Run: strings.ToLower(rand.Text()), Host: host, Since: time.Now().UTC().Truncate(time.Second)},
	}
}

// clientID returns the client id: another one for each run, since a broker ends
// the connection of a client when another comes with its id, and at most 23
// letters and digits, which every broker accepts (MQTT 3.1.1, sections 3.1.4
// and 3.1.3.1).
func (r *rivals) clientID() string { return "porchlight" + r.self.Run[:13] }

// hear takes what another program says on the instance topic.
func (r *rivals) hear(c claim, now time.Time) {
	if c.Run == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.known[c.Run]; known != nil {
		known.heardAt = now
		return
	}
	if len(r.known) >= maxRivals {
		return
	}
	news := !slices.ContainsFunc(slices.Collect(maps.Values(r.known)), func(old *rival) bool { return old.host == c.Host })
	r.known[c.Run] = &rival{c.Host, now}
	if news {
		r.log.Warn(r.words(c.Host), "started", c.Since)
	}
}

func (r *rivals) words(host string) string {
	return fmt.Sprintf("another Porchlight (on %s) uses PORCHLIGHT_NODE %q on this broker: they overwrite each other's devices; set PORCHLIGHT_NODE to another name on one of them", host, r.node)
}

// hearHomeAssistant notes that Home Assistant has said something, for who asks.
func (r *rivals) hearHomeAssistant(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = now.UTC().Truncate(time.Second)
}

// claim returns what we say of ourselves.
func (r *rivals) claim() claim {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.self
	c.HomeAssistant = r.heard
	return c
}

// any reports whether there is another instance.
func (r *rivals) any() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.known) > 0
}

// excuse gives all time to answer again: there was no connection.
func (r *rivals) excuse(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.known {
		known.heardAt = now
	}
}

// expire forgets those that do not answer, and reports whether the last one
// has gone.
func (r *rivals) expire(now time.Time) (alone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.known)
	maps.DeleteFunc(r.known, func(_ string, known *rival) bool { return now.Sub(known.heardAt) >= goneAfter })
	return before > 0 && len(r.known) == 0
}

// problems names the others, in words.
func (r *rivals) problems() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.known {
		if words := r.words(known.host); !slices.Contains(all, words) {
			all = append(all, words)
		}
	}
	slices.Sort(all)
	return all
}

// stepInstance asks who else is there, and answers who asks.
func (l *link) stepInstance(now time.Time) bool {
	r := l.s.rivals
	switch {
	case l.askAt.IsZero() || !now.Before(l.askAt) && r.any():
		if r.expire(now) {
			r.log.Info("the other Porchlight with this PORCHLIGHT_NODE has gone: publishing everything again", "node", r.node)
			l.anew = true
			return true
		}
		l.askAt = now.Add(askEvery)
		ask := r.claim()
		ask.Ask = true
		l.sayInstance(ask, now)
		return true
	case l.inbound.questioned.Load() && !now.Before(l.saidAt.Add(answerEvery)):
		l.sayInstance(r.claim(), now)
		return true
	}
	return false
}

func (l *link) sayInstance(c claim, now time.Time) {
	l.inbound.questioned.Store(false)
	l.saidAt = now
	l.publish(familyInstance, l.s.topics.Instance(), false, c.payload(), nil)
}

// instanceDue returns when stepInstance has something to do.
func (l *link) instanceDue(now time.Time) time.Time {
	switch {
	case l.inbound.questioned.Load():
		return l.saidAt.Add(answerEvery)
	case l.s.rivals.any():
		return l.askAt
	}
	return now.Add(time.Hour)
}

// receiveClaim takes what is said on the instance topic.
func (l *link) receiveClaim(payload []byte, now time.Time) {
	c, ok := parseClaim(payload)
	switch {
	case !ok:
		l.s.once.warn(l.s.log, "rubbish on a topic of Porchlight's is ignored", l.s.topics.Instance())
	case c.Run == l.s.rivals.self.Run: // our own
	default:
		l.s.rivals.hear(c, now)
		if c.Ask {
			l.inbound.questioned.Store(true)
		}
		l.poke()
	}
}
