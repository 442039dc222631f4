package traffic

import "time"

// window is the span of a round by the wall clock: it begins at a multiple of its
// length, in UTC.
type window struct {
	start  time.Time
	length time.Duration
}

func windowAt(now time.Time, length time.Duration) window {
	return window{now.UTC().Truncate(length), length}
}

func (w window) end() time.Time { return w.start.Add(w.length) }

// holds reports whether now is in it. After the clock was set, in either
// direction, and after the machine has slept, it often is not.
func (w window) holds(now time.Time) bool {
	now = now.Round(0) // the wall clock decides, not the monotonic one
	return !now.Before(w.start) && now.Before(w.end())
}

// maxTick is how late it is seen that the clock was set, or that the machine slept.
const maxTick = time.Second

// wait is when to look again whether it is over.
func (w window) wait(now time.Time) time.Duration {
	return min(max(w.end().Sub(now.Round(0)), 0), maxTick)
}
