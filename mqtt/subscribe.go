package mqtt

import "context"

// subscription is a filter that we listen to.
type subscription struct {
	filter string
	qos    byte
	loss   string // what does not work without it; empty: nothing
}

// subscriptions are all filters that we listen to.
func (s *Session) subscriptions() []subscription {
	const stale = "what is left on the broker of old devices is not cleared"
	t := &s.topics
	all := []subscription{
		{t.Scan(), 1, "Home Assistant's scan button does nothing"},
		{t.AllSets(), 1, "devices cannot be changed over MQTT"},
		// What comes on these is our own, and much: nothing to acknowledge.
		{t.AllConfigs(), 0, "what is deleted in Home Assistant comes back"},
		{t.AllStates(), 0, stale},
		{t.AllAttributes(), 0, stale},
		{t.AllNames(), 0, stale},
		{t.AllLastSeen(), 0, stale},
		{t.AllGroupStates(), 0, stale},
		{t.Summary(), 0, ""},
		{t.Machine(), 0, ""},
		{t.Event(), 0, ""},
		{t.Status(), 0, ""},
		{t.Instance(), 0, familyInstance.loss()},
	}
	if s.cfg.Announce {
		all = append(all, subscription{s.cfg.HAStatusTopic, 1, "Home Assistant's start is not noticed"})
	}
	return all
}

// subscribe asks for everything that we listen to. A filter that the broker
// refuses is reported once; the rest goes on.
func (l *link) subscribe(ctx context.Context) error {
	all := l.s.subscriptions()
	if l.s.rules.oneByOne() {
		for _, sub := range all {
			if err := l.subscribeTo(ctx, sub); err != nil {
				return err
			}
		}
		return nil
	}
	err := l.subscribeTo(ctx, all...)
	if err != nil && ctx.Err() == nil && endedByBroker(err) {
		l.s.rules.doubt()
		return forbidden{err, access{read, "one of its topics"}}
	}
	return err
}

func (l *link) subscribeTo(ctx context.Context, subs ...subscription) error {
	r := l.s.rules
	filters := make(map[string]byte, len(subs))
	for _, sub := range subs {
		if !r.barred(access{read, sub.filter}) {
			filters[sub.filter] = sub.qos
		}
	}
	if len(filters) == 0 {
		return nil
	}
	refused, err := l.subscribeAll(ctx, filters)
	if err != nil {
		if len(subs) == 1 && ctx.Err() == nil && endedByBroker(err) {
			at := access{read, subs[0].filter}
			r.died(at, subs[0].loss, "")
			return forbidden{err, at}
		}
		return err
	}
	for _, sub := range subs {
		_, asked := filters[sub.filter]
		switch {
		case refused[sub.filter]:
			r.unreadable(sub.filter, sub.loss)
		case asked:
			r.readable(sub.filter)
			l.watch(sub.filter)
		}
	}
	return nil
}

// watch notes that what is written to a family comes back.
func (l *link) watch(filter string) {
	for f := range families {
		if f.filter(&l.s.topics) == filter {
			l.trials[f].watched = true
		}
	}
}
