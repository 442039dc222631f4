package demo

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"porchlight/presence"
)

// The lines of a demo that is not shown on a terminal: one for each thing that
// happens.

func tellBeat(w io.Writer, v *view, b beat, now time.Time) {
	if b.say != "" {
		_, _ = fmt.Fprintf(w, "%6s  > %s\n", stamp(now.Sub(v.began)), b.say)
	}
}

func tellEvent(w io.Writer, v *view, e *presence.Event) {
	_, _ = fmt.Fprintf(w, "%6s    %-16s %s: %s\n", stamp(e.Time.Sub(v.began)), clean(string(e.Type)),
		clean(cmp.Or(e.Name, e.Interface)), clean(e.Why))
}
