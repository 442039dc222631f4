package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"
)

// Options says how to show the demo.
type Options struct {
	// Program is Porchlight itself; it is started as "Program run".
	Program string
	// For is how long the demo lasts; 0: until the context ends.
	For time.Duration
	// Seed decides how the story goes on after its first minute and a half.
	Seed uint64
	// Out is where it is shown: on a terminal as a screen that is redrawn in
	// place, elsewhere a line per thing that happens.
	Out io.Writer
	// NoColour leaves the colours out.
	NoColour bool
	// Plain asks for lines even on a terminal.
	Plain bool
	// SettledKey is the key under which Porchlight notes in its database that
	// its first run is over; the demo is not one.
	SettledKey string
}

// redrawEvery is how often the screen is redrawn though nothing happened: the
// times go on.
const redrawEvery = 200 * time.Millisecond

// Run shows the demo until ctx ends or its time is over, and then returns nil.
// Nothing of it is left behind. It returns lab.ErrNeedsRoot without root, and
// lab.ErrNoProgram when a program that the LAN needs is not installed.
func Run(ctx context.Context, o Options) error {
	_, err := play(ctx, o, newStory(o.Seed))
	return err
}

// play shows a story, and returns what there was to see at its end.
func play(ctx context.Context, o Options, st *story) (v *view, err error) {
	s, err := raise(ctx)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	defer s.close()
	dir, err := os.MkdirTemp("", "porchlight-demo-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := remember(dir, o.SettledKey, s); err != nil {
		return nil, err
	}
	if err := s.dismiss(); err != nil {
		return nil, err
	}
	c, err := start(ctx, o.Program, dir, s)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	defer c.stop()
	v = newView(s.things, s.truths(), time.Now())
	v.look = c.look()
	err = show(ctx, o, v, s, c, st)
	if err == nil {
		_, _ = fmt.Fprintf(o.Out, "The demo is over: %s.\n", v.score.words())
	}
	return v, err
}

// stopped is err, unless a start failed because it was interrupted.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// show tells the story until its time is over.
func show(ctx context.Context, o Options, v *view, s *stage, c *child, st *story) error {
	playing, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	failed := make(chan error, 1)
	report := func(err error) error {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
		return nil
	}
	defer func() { cancel(); _ = g.Wait() }()
	g.Go(func() error { return report(s.live(playing)) })

	screen := screenFor(o)
	if screen != nil {
		defer screen.close()
	} else {
		_, _ = fmt.Fprintln(o.Out, "Look at its topics: "+v.look)
	}
	over := make(<-chan time.Time)
	if o.For > 0 {
		over = time.After(o.For)
	}
	redraw := time.NewTicker(redrawEvery)
	defer redraw.Stop()
	next := time.NewTimer(st.next().at)
	defer next.Stop()
	for {
		if screen != nil {
			if err := screen.draw(v, time.Now()); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-over:
			return nil
		case err := <-failed:
			return err
		case <-c.cmd.Done():
			return stopped(ctx, c.fault())
		case <-redraw.C:
		case m := <-c.messages:
			if e := v.take(m); e != nil && screen == nil {
				tellEvent(o.Out, v, e)
			}
		case now := <-next.C:
			b := st.next()
			v.play(b, now)
			if screen == nil {
				tellBeat(o.Out, v, b, now)
			}
			g.Go(func() error { return report(s.perform(playing, b)) })
			st.advance()
			next.Reset(time.Until(v.began.Add(st.next().at)))
		}
	}
}

// screenFor takes the terminal over, if there is one.
func screenFor(o Options) *terminal {
	f, ok := o.Out.(*os.File)
	if !ok || o.Plain || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return openTerminal(f, !o.NoColour)
}
