package bridge

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"porchlight/presence"
)

// maxWhy bounds, in bytes, the reason of an event that is reported.
const maxWhy = 250

// Report puts events about this machine (presence.MachineTypes) into the log, like
// those of the engine, and returns when they are there. Programs and users are
// named by others, so their texts are made fit to be shown; what such events do
// not have is left out. With an error they may be lost.
func (b *Bridge) Report(ctx context.Context, events []presence.Event) error {
	_, err := ask(ctx, b, func() struct{} {
		for _, e := range events {
			b.turn.events = append(b.turn.events, presence.Event{
				Type: e.Type, Time: cmp.Or(e.Time, time.Now()).Round(0).UTC(), Addr: e.Addr.WithZone(""),
				Interface: presence.CleanText(e.Interface, presence.MaxName),
				Why:       presence.CleanText(e.Why, maxWhy),
				Socket:    presence.CleanSocket(e.Socket),
			})
		}
		b.finish(time.Now())
		return struct{}{}
	})
	if err != nil {
		return fmt.Errorf("putting what is new on this machine into the log: %w", err)
	}
	return nil
}
