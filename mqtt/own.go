package mqtt

import (
	"bytes"
	"hash/maphash"
	"slices"
	"time"

	"porchlight/discovery"
	"porchlight/presence"
)

// summaryDelay lets what people wait for go before the summary; summaryEvery
// is the least time between two.
const (
	summaryDelay = 100 * time.Millisecond
	summaryEvery = time.Second
)

// sentInfo is what was published of the bridge's own topics.
type sentInfo struct {
	summary    uint64 // hash
	summaryAt  time.Time
	bridge     bool     // its discovery message, which depends on
	interfaces []string // these
	bridgeAt   time.Time
}

// bridgeDue stands for the bridge's own device in the deferred queue.
const bridgeDue presence.ID = ""

func (l *link) publishBridge(now time.Time) {
	if !l.s.cfg.Announce {
		return
	}
	l.s.mu.Lock()
	sensing := l.s.summary.Sensing
	l.s.mu.Unlock()
	interfaces := make([]string, 0, len(sensing))
	for _, i := range sensing {
		interfaces = append(interfaces, i.Interface)
	}
	if l.sentInfo.bridge && slices.Equal(interfaces, l.sentInfo.interfaces) {
		return
	}
	if at := l.sentInfo.bridgeAt.Add(settle); now.Before(at) {
		l.deferred = append(l.deferred, due{bridgeDue, at})
		return
	}
	o := &l.s.cfg.Discovery
	payload := o.Bridge(interfaces, l.inbound.bridgeConfig())
	l.publish(familyConfig, l.s.topics.BridgeConfig(), true, payload, nil)
	l.inbound.setBridgeConfig(payload)
	l.sentInfo.bridge, l.sentInfo.bridgeAt, l.sentInfo.interfaces = true, now, interfaces
	if !bytes.Equal(payload, o.Bridge(interfaces, nil)) {
		// It removes components: the next message leaves them out.
		l.sentInfo.bridge = false
		l.deferred = append(l.deferred, due{bridgeDue, now.Add(settle)})
	}
}

// stepSummary publishes the summary when it is stale and its time has come.
func (l *link) stepSummary(now time.Time) bool {
	if l.summaryDue(now).After(now) {
		return false
	}
	l.publishSummary(now)
	l.publishBridge(now) // an interface may have come or gone
	return true
}

// summaryDue returns when to publish the summary; the far future when it is
// not stale. A fresh change is first put off by summaryDelay.
func (l *link) summaryDue(now time.Time) time.Time {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if !l.summaryStale {
		return now.Add(time.Hour)
	}
	if l.summaryAt.IsZero() {
		l.summaryAt = now.Add(summaryDelay)
	}
	if at := l.sentInfo.summaryAt.Add(summaryEvery); at.After(l.summaryAt) {
		return at
	}
	return l.summaryAt
}

func (l *link) publishSummary(now time.Time) {
	l.s.mu.Lock()
	l.summaryStale, l.summaryAt = false, time.Time{}
	summary := l.s.summary
	l.s.mu.Unlock()
	payload := discovery.Summary(&summary)
	hash := maphash.Bytes(l.seed, payload)
	if hash == l.sentInfo.summary {
		return
	}
	l.sentInfo.summary, l.sentInfo.summaryAt = hash, now
	l.publish(familySummary, l.s.topics.Summary(), true, payload, nil)
}

// onlineEvery is the least time between two messages that say online.
const onlineEvery = 5 * time.Second

func (l *link) publishOnline(now time.Time) {
	l.onlineAt = now
	l.inbound.statusLost.Store(false)
	l.publish(familyStatus, l.s.topics.Status(), true, []byte(discovery.Online), nil)
}

// stepOnline says online again when somebody else has said offline there:
// another instance that ended, or a connection that this one lost and whose
// last will comes late.
func (l *link) stepOnline(now time.Time) bool {
	if now.Before(l.onlineDue(now)) {
		return false
	}
	l.publishOnline(now)
	return true
}

func (l *link) onlineDue(now time.Time) time.Time {
	if !l.inbound.statusLost.Load() {
		return now.Add(time.Hour)
	}
	return l.onlineAt.Add(onlineEvery)
}
