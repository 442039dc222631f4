package mqtt

import (
	"context"
	"errors"
	"hash/maphash"
	"net"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/discovery"
	"porchlight/presence"
)

const farewell = 2 * time.Second // for the broker to take our offline

// link is one connection: a client that is never used again, and what has been
// published on it.
type link struct {
	*wire
	s    *Session
	seed maphash.Seed
	wake chan struct{} // holds one: the writer has something to look at

	// Guarded by Session.mu: work for the writer.
	states, details, seen []*tracked
	clears                []presence.ID
	summaryStale          bool
	groupsStale           bool
	machineStale          bool

	inbound inbound
	batches chan []presence.Event // from the event pump

	// The writer's own.
	inflight   window
	sent       map[presence.ID]*sent
	sentInfo   sentInfo
	groups     map[string]*sentGroup // by slug
	groupsAt   time.Time             // when there may be something to do for groups
	groupsTurn bool                  // new groups may be announced
	machine    sentMachine
	summaryAt  time.Time // when a stale summary may go
	stage      stage
	stageAt    time.Time // when stage ends
	leftovers  time.Time // when to look for left-overs; zero: done
	bulk       []item
	deferred   []due
	clearing   []due
	batch      []presence.Event
	unacked    int // events in flight
	urgent     urgent
	trials     [families]trial // watched: subscribe's
	trying     atomic.Pointer[attempt]
	unproven   atomic.Pointer[attempt] // acknowledged, and nothing after it
	askAt      time.Time               // when to ask for other instances; zero: never asked
	saidAt     time.Time               // when we last said that we are there
	onlineAt   time.Time               // when online was last published
	anew       bool                    // the connection is to be made again
}

// runLink makes a connection and serves it until it ends. lasted is how long
// the broker had accepted it, 0 if never.
func (s *Session) runLink(ctx context.Context, r *reporter) (lasted time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &link{
		wire: newWire(), s: s, seed: maphash.MakeSeed(),
		wake:    make(chan struct{}, 1),
		batches: make(chan []presence.Event),
		sent:    make(map[presence.ID]*sent),
		groups:  make(map[string]*sentGroup),
	}
	l.inbound.init()
	l.client = paho.NewClient(l.options(ctx))
	defer l.hangUp()
	if err := l.connect(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := l.subscribe(ctx); err != nil {
		return time.Since(began), err
	}
	s.attach(l)
	r.connected()
	defer s.detach(l)

	ended := make(chan error, 1)
	s.writers.Go(func() { ended <- l.write(ctx) })
	s.writers.Go(func() { l.pumpEvents(ctx) })
	s.writers.Go(func() { l.obey(ctx) })
	select {
	case <-ctx.Done():
		l.sayGoodbye(ended)
		return time.Since(began), nil
	case err = <-ended:
		if errors.Is(err, errAnew) {
			l.client.Disconnect(200) // without a last will
			return time.Since(began), err
		}
		// The writer found it broken. The client says why a moment later.
		select {
		case <-l.lost:
			err = l.lostErr
		case <-time.After(100 * time.Millisecond):
		}
	case <-l.lost:
		err = l.lostErr
		cancel()
		select { // it knows what it was about to send
		case <-ended:
		case <-time.After(time.Second):
		}
	}
	return time.Since(began), l.blame(err)
}

// options are the client's.
func (l *link) options(ctx context.Context) *paho.ClientOptions {
	s := l.s
	user, password := s.credentials()
	return l.wire.options(ctx, s.dial, user, password).
		SetClientID(s.rivals.clientID()).
		SetBinaryWill(s.topics.Status(), []byte(discovery.Offline), 1, true).
		// An acknowledgement may wait until the broker reads, and that until we do.
		SetAutoAckDisabled(true).
		SetDefaultPublishHandler(func(c paho.Client, m paho.Message) {
			l.receive(c, m)
			go m.Ack()
		})
}

// dial makes a connection to the broker.
func (s *Session) dial(ctx context.Context) (net.Conn, error) {
	if s.cfg.Dial != nil {
		return s.cfg.Dial(ctx)
	}
	c, err := s.addr.dial(ctx, &s.cfg)
	if err != nil {
		return nil, err
	}
	return newStubbing(c), nil
}

// poke makes the writer look for work. It may be called on a nil link.
func (l *link) poke() {
	if l == nil {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// sayGoodbye publishes offline when the writer has ended, since the last will
// fires on an unclean end only, and ends the connection cleanly.
func (l *link) sayGoodbye(ended <-chan error) {
	deadline := time.NewTimer(farewell)
	defer deadline.Stop()
	select {
	case <-ended:
	case <-l.lost:
		return
	case <-deadline.C:
		return
	}
	said := make(chan paho.Token, 1)
	l.s.writers.Go(func() {
		token := l.client.Publish(l.s.topics.Status(), 1, true, discovery.Offline)
		token.WaitTimeout(farewell)
		said <- token
	})
	select {
	case token := <-said:
		_ = l.reap() // the events that were in flight before it
		if token.Error() == nil {
			l.client.Disconnect(200)
		}
	case <-l.lost:
	case <-deadline.C:
	}
}
