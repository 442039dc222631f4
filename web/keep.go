package web

import (
	"net/http"
	"sync"
	"time"
)

const (
	// keepFor is how long a page is handed to others as it is: when something
	// happens, everybody who looks at it asks for it at once.
	keepFor = 500 * time.Millisecond
	maxKept = 8
)

// keeper keeps the pages that were just made. A page is made anew when there is
// something new to show, and after every command that came by the page.
type keeper struct {
	source Source

	mu    sync.Mutex
	turn  int // counts commands
	pages map[string]*kept
}

// kept is a page as it was made. Who asks for it while it is being made waits.
type kept struct {
	mu      sync.Mutex
	turn    int
	at      time.Time
	changed <-chan struct{}
	body    []byte
}

// keep serves next, or what it has said a moment ago.
func (k *keeper) keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		page, turn := k.page(r.URL.RequestURI())
		status, body := k.make(page, turn, next, w, r)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
}

// make returns what next answers, or has answered. Nothing is sent here: a client
// that reads slowly holds nobody up.
func (k *keeper) make(page *kept, turn int, next http.Handler, w http.ResponseWriter, r *http.Request) (status int, body []byte) {
	page.mu.Lock()
	defer page.mu.Unlock()
	if page.fresh(turn, time.Now()) {
		return http.StatusOK, page.body
	}
	made := &copier{ResponseWriter: w, status: http.StatusOK}
	page.turn, page.at, page.changed = turn, time.Now(), k.source.Changed() // before, so that nothing is missed
	page.body = nil
	next.ServeHTTP(made, r)
	if made.status == http.StatusOK {
		page.body = made.body
	}
	return made.status, made.body
}

func (p *kept) fresh(turn int, now time.Time) bool {
	if p.body == nil || p.turn != turn || now.Sub(p.at) >= keepFor {
		return false
	}
	select {
	case <-p.changed:
		return false
	default:
		return true
	}
}

// page returns the place of a page, and which turn it is.
func (k *keeper) page(url string) (*kept, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.pages[url]
	if p == nil {
		if len(k.pages) >= maxKept || k.pages == nil {
			k.pages = map[string]*kept{}
		}
		p = &kept{}
		k.pages[url] = p
	}
	return p, k.turn
}

// after serves next, which may change what pages show.
func (k *keeper) after(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.turn++
		}()
		next.ServeHTTP(w, r)
	})
}

// copier keeps what is written.
type copier struct {
	http.ResponseWriter
	status int
	body   []byte
}

// WriteHeader implements http.ResponseWriter.
func (c *copier) WriteHeader(status int) { c.status = status }

// Write implements http.ResponseWriter.
func (c *copier) Write(b []byte) (int, error) {
	c.body = append(c.body, b...)
	return len(b), nil
}
