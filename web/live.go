package web

import (
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// maxStreams is how many pages can be live at once.
	maxStreams = 600
	// liveLeast is the least time between two messages of a stream: many things
	// that happen together are one change of the page.
	liveLeast = 250 * time.Millisecond
	// liveBeat is how often a stream says something when nothing happens, so
	// that proxies keep it, and so that who is gone is noticed.
	liveBeat = 15 * time.Second
	// liveWrite is how long one message may take to be read.
	liveWrite = 10 * time.Second
)

// live is a stream (server-sent events, WHATWG HTML, section 9.2) that says when
// there is something new, and nothing else: the page then fetches itself again.
// Streams end when ending is closed.
func live(source Source, ending <-chan struct{}) http.Handler {
	var streams atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if streams.Add(1) > maxStreams {
			streams.Add(-1)
			http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
			return
		}
		defer streams.Add(-1)
		out := http.NewResponseController(w)
		say := func(text string) bool {
			_ = out.SetWriteDeadline(time.Now().Add(liveWrite))
			_, err := w.Write([]byte(text))
			return err == nil && out.Flush() == nil
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Header().Set("X-Accel-Buffering", "no") // nginx, and so Home Assistant's ingress
		changed := source.Changed()
		_ = out.SetReadDeadline(time.Time{})
		if !say("retry: 2000\n\n") {
			return
		}
		beat := time.NewTicker(liveBeat)
		defer beat.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-ending:
				return
			case <-beat.C:
				if !say(": \n\n") {
					return
				}
			case <-changed:
				changed = source.Changed() // before the page is fetched, so that nothing is missed
				if !say("data: changed\n\n") || !wait(r, ending, liveLeast) {
					return
				}
			}
		}
	})
}

// wait returns false when the client of r is gone, or all is, before d has passed.
func wait(r *http.Request, ending <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.Context().Done():
		return false
	case <-ending:
		return false
	case <-t.C:
		return true
	}
}
