package mqtt

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"porchlight/discovery"
)

// deathLimit is how many connections in a row must end at the same thing
// before it is left out.
const deathLimit = 2

// rules is what a session has found out about the broker's access rules (see
// trial). Some brokers say no to a subscription; all that they do about a
// message is to drop it in silence (mosquitto), or to end the connection
// (mochi, RabbitMQ, HiveMQ): MQTT 3.1.1 has no other answer (section 3.3.5).
type rules struct {
	log    *slog.Logger
	topics *discovery.Topics

	mu       sync.Mutex
	faults   map[access]string // what is forbidden, in words
	listed   []string          // the same, sorted
	deaths   map[access]int    // connections in a row that ended at it; deathLimit: leave it out
	singly   bool              // subscribe to one filter after the other
	progress bool              // something more is left out
}

// access is a filter and what to do there.
type access struct {
	do, filter string
}

// What to do.
const (
	read  = "read"
	write = "write"
)

func newRules(log *slog.Logger, topics *discovery.Topics) *rules {
	return &rules{log: log, topics: topics, faults: make(map[access]string), deaths: make(map[access]int)}
}

func (r *rules) writing(f family) access { return access{write, f.filter(r.topics)} }

// problems returns what is forbidden, in words. The caller must not change it.
func (r *rules) problems() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.listed
}

// forbid notes a fault, and logs it if it is new. loss is what does not work; a
// fault without one is none.
func (r *rules) forbid(a access, loss, words string) {
	if loss == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.faults[a] == "" {
		r.log.Warn(words)
	}
	r.faults[a] = words
	r.listed = slices.Sorted(maps.Values(r.faults)) // a new one: the old is read without a lock
}

// allow takes a fault back.
func (r *rules) allow(a access) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.faults[a] == "" {
		return
	}
	delete(r.faults, a)
	r.listed = slices.Sorted(maps.Values(r.faults))
	r.log.Info("the broker now lets Porchlight " + a.do + " " + a.filter)
}

// unreadable notes that the broker refuses a subscription.
func (r *rules) unreadable(filter, loss string) {
	r.forbid(access{read, filter}, loss,
		fmt.Sprintf("the broker does not let Porchlight read %s: %s; allow it in its access rules", filter, loss))
}

// readable notes that the broker grants a subscription.
func (r *rules) readable(filter string) {
	r.lived(access{read, filter})
	r.allow(access{read, filter})
}

// dropped notes that the broker acknowledges what is written to f and does not
// pass it on. certain: it lets us read there.
func (r *rules) dropped(f family, certain bool) {
	a := r.writing(f)
	words := fmt.Sprintf("the broker does not let Porchlight write %s: %s; allow it in its access rules", a.filter, f.loss())
	if !certain {
		words = fmt.Sprintf("the broker seems not to let Porchlight write %s, as nothing of it comes back: %s; allow to write and to read it in its access rules", a.filter, f.loss())
	}
	r.forbid(a, f.loss(), words+f.instead())
}

// died notes that the connection ended at a, and that something is to be left
// out if it was not the first time.
func (r *rules) died(a access, loss, instead string) {
	r.mu.Lock()
	r.deaths[a]++
	out := r.deaths[a] == deathLimit
	r.progress = r.progress || out
	r.mu.Unlock()
	if out {
		r.forbid(a, loss, fmt.Sprintf("the broker does not let Porchlight %s %s: %s; allow it in its access rules%s", a.do, a.filter, loss, instead))
	}
}

// lived notes that the connection did not end at a.
func (r *rules) lived(a access) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.deaths, a)
}

// barred reports whether to leave a out.
func (r *rules) barred(a access) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deaths[a] >= deathLimit
}

// doubt has the next connection subscribe to one filter after the other, so
// that it shows at which one the broker ends it.
func (r *rules) doubt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.singly = true
}

func (r *rules) oneByOne() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.singly
}

// again has the next connection try once what is left out: the last one ended
// for another reason, so the broker may have new rules.
func (r *rules) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a, n := range r.deaths {
		if r.deaths[a] = deathLimit - 1; n < deathLimit {
			delete(r.deaths, a)
		}
	}
}

// takeProgress reports whether something more is left out since the last call.
func (r *rules) takeProgress() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.progress
	r.progress = false
	return p
}
