package connections

import (
	"fmt"
	"time"
)

// budget bounds what is told. Times are of the watcher's clock.
type budget struct {
	Left float64
	At   time.Duration // when it was asked last
	Out  bool          // nothing was left: there is nothing until it was calm for long
}

const (
	// perProgram is how many ports a program may open that are told one by one;
	// it gets one more in an everyPort. Then it is one that does so all the time,
	// and not told before it was calm.
	perProgram = 20
	everyPort  = 2 * time.Hour
	calm       = 24 * time.Hour
	// perMachine is the same for all events together, so that no number of made-up
	// programs floods anybody; it is never out for long.
	perMachine = 60
	everyEvent = time.Minute
)

// fill takes the time into account that has passed.
func (b *budget) fill(now time.Duration, most float64, every time.Duration) {
	if b.Out && now-b.At >= calm {
		b.Left, b.Out = most, false
	}
	if !b.Out {
		b.Left = min(most, b.Left+float64(now-b.At)/float64(every))
	}
	b.At = now
}

// may reports whether something of a program may be told, and takes account of
// it.
func (l *look) may(program string) bool {
	own, asked := l.Each[program]
	if !asked {
		own = budget{Left: perProgram, At: l.Clock}
	}
	own.fill(l.Clock, perProgram, everyPort)
	may := !own.Out && l.afford()
	if may {
		own.Left--
		own.Out = own.Left < 1
	}
	l.Each[program], l.changed = own, true
	return may
}

// afford is the bound of all together.
func (l *look) afford() bool {
	l.All.fill(l.Clock, perMachine, everyEvent)
	if l.All.Left < 1 {
		l.untold++
		l.untilOK = l.Clock + calm
		return false
	}
	l.All.Left--
	return true
}

// last says so when no more will be told of a program.
func (l *look) last(program string) string {
	if l.Each[program].Out {
		return "; it does that often, and no more of it is told until it was calm for a day"
	}
	return ""
}

// Problems are what the watcher cannot tell of.
func (w *Watcher) Problems() (all []string) {
	if w.full {
		all = append(all, fmt.Sprintf("programs listen on more than %d ports of this machine: which of the others open and close is not told (porchlight connections --listening lists them)", mostKnown))
	}
	if w.untold > 0 && w.Clock < w.untilOK {
		all = append(all, fmt.Sprintf("so many ports were opened and closed, or programs new, on this machine that %d of them were not told (porchlight connections diff says what changed)", w.untold))
	} else {
		w.untold = 0
	}
	return all
}
