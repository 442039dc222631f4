package doctor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// clockState is what the kernel says of its clock (adjtimex(2)).
type clockState struct {
	status int32
	err    error
}

func readClock() clockState {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return clockState{t.Status, err}
}

// buildYear is a year that this program cannot be older than.
const buildYear = 2026

func checkClock(now time.Time, c clockState) Finding {
	const check = "clock"
	const remedy = "Turn on time synchronisation on this machine (not in its containers): sudo timedatectl set-ntp true"
	if y := now.UTC().Year(); y < buildYear || y > buildYear+50 {
		return fail(check, fmt.Sprintf("The clock says %s, which cannot be right; times in the log would be wrong, and TLS would fail.", now.UTC().Format(time.DateOnly)), remedy)
	}
	switch {
	case c.err != nil: // a sandbox forbids the question
		return ok(check, "The clock shows a plausible date; whether it is synchronised cannot be told here.")
	case c.status&unix.STA_UNSYNC != 0:
		return warn(check, "The clock is not synchronised; away timers do not mind, but the times in the log may be wrong.", remedy)
	}
	return ok(check, "The clock is synchronised.")
}
