package mqtt

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// answerWithin is how long instances have to answer.
const answerWithin = 1500 * time.Millisecond

// Instance is a Porchlight that runs.
type Instance struct {
	Host  string    // the machine's name
	Since time.Time // of its start
	// HomeAssistant is when Home Assistant last said on its status topic that
	// it starts or ends; zero: not since Since.
	HomeAssistant time.Time
}

// Ask connects to the broker of cfg, asks which Porchlights with the prefix and
// node of cfg are there, and says goodbye. It takes two seconds. The error is a
// Refusal.
func Ask(ctx context.Context, cfg Config) ([]Instance, error) {
	if err := cfg.check(); err != nil {
		return nil, Refusal{err.Error(), "correct the setting"}
	}
	a, _ := parseAddress(&cfg) // checked above
	topic := cfg.Discovery.Instance()
	answers := make(chan claim, 4*maxRivals)
	w := newWire()
	dial := func(ctx context.Context) (net.Conn, error) {
		c, err := a.dial(ctx, &cfg)
		if err != nil {
			return nil, err
		}
		return newSlim(c), nil // anybody may answer, and at any length
	}
	w.client = paho.NewClient(w.options(ctx, dial, a.username, a.password).
		SetKeepAlive(10 * time.Second). // 10 also ends a line, so that a web server answers
		SetClientID(newRivals(cfg.Log, &cfg.Discovery.Topics, "").clientID()).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			if c, ok := parseClaim(m.Payload()); ok && !m.Retained() && c.Run != "" {
				select {
				case answers <- c:
				default:
				}
			}
		}))
	defer w.hangUp()
	if err := w.connect(ctx); err != nil {
		return nil, explain(err, &a, &cfg)
	}
	if _, err := w.subscribeAll(ctx, map[string]byte{topic: 0}); err != nil {
		return nil, explain(err, &a, &cfg)
	}
	w.client.Publish(topic, 0, false, claim{Ask: true}.payload())
	found := make(map[string]Instance)
	end := time.NewTimer(answerWithin)
	defer end.Stop()
	for {
		select {
		case c := <-answers:
			if len(found) < 2*maxRivals {
				found[c.Run] = Instance{c.Host, c.Since, c.HomeAssistant}
			}
			continue
		case <-w.lost: // the question may be forbidden
		case <-ctx.Done():
		case <-end.C:
			w.client.Disconnect(100)
		}
		return slices.SortedFunc(maps.Values(found), func(a, b Instance) int { return a.Since.Compare(b.Since) }), nil
	}
}
