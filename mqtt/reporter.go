package mqtt

import (
	"log/slog"
	"sync"
	"time"
)

// remindEvery is how often a reason that stays the same is logged again.
const remindEvery = 30 * time.Minute

// reporter logs why there is no connection: once for each change of the
// reason, then at long intervals.
type reporter struct {
	log    *slog.Logger
	broker string
	brief  int // connections in a row that ended soon
	why    string
	at     time.Time
}

func (r *reporter) report(why string) {
	if why == r.why && time.Since(r.at) < remindEvery {
		return
	}
	r.why, r.at = why, time.Now()
	r.log.Warn("no connection to the broker: "+why, "broker", r.broker)
}

func (r *reporter) connected() {
	if r.brief < briefLimit {
		r.why = ""
		r.log.Info("connected to the broker", "broker", r.broker)
	}
}

// throttle lets one warning a minute through for each key.
type throttle struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const (
	throttleEvery = time.Minute
	throttleKeys  = 256 // strangers can make up topics
)

func (t *throttle) warn(log *slog.Logger, key, msg string, args ...any) {
	if t.allow(key, time.Now()) {
		log.Warn(msg, args...)
	}
}

func (t *throttle) allow(key string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.last[key]; ok && now.Sub(at) < throttleEvery {
		return false
	}
	if t.last == nil {
		t.last = make(map[string]time.Time)
	}
	if len(t.last) >= throttleKeys {
		for k, at := range t.last {
			if now.Sub(at) >= throttleEvery {
				delete(t.last, k)
			}
		}
		if len(t.last) >= throttleKeys {
			return false
		}
	}
	t.last[key] = now
	return true
}
