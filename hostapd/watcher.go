package hostapd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"porchlight/presence"
)

// maxSockets is how many of a directory are used.
const maxSockets = 64

// Config is what a Watcher needs. None of the functions may wait.
type Config struct {
	// Sockets are control sockets, and directories of them, as ctrl_interface
	// in hostapd's configuration names one. They need not exist yet.
	Sockets []string
	// Interface says on which interface the stations of an access point are
	// heard, such as the bridge that it is in; empty: not known. nil: on its own.
	Interface func(ap string) string
	Sight     func(presence.Sighting)
	Lost      func(ap string) // what was said of its stations counts no longer
	Log       *slog.Logger

	pace pace
}

func (c *Config) interfaceOf(ap string) string {
	if c.Interface == nil {
		return ap
	}
	return c.Interface(ap)
}

// Watcher follows the access points of this machine.
type Watcher struct {
	cfg Config

	mu    sync.Mutex
	peers map[string]*peer  // by the path of the socket
	empty map[string]string // the problem with each of cfg.Sockets, by path; empty: none
}

// peer is a control socket.
type peer struct {
	running bool
	retryAt time.Time
	wait    time.Duration
	problem string // empty: none, or it was not tried yet
}

// New returns a Watcher; Run starts it.
func New(cfg Config) *Watcher {
	cfg.pace = usualPace
	return &Watcher{cfg: cfg, peers: map[string]*peer{}, empty: map[string]string{}}
}

// Run follows the access points until ctx ends, and returns nil then.
func (w *Watcher) Run(ctx context.Context) error {
	if len(w.cfg.Sockets) == 0 {
		<-ctx.Done()
		return nil
	}
	var g errgroup.Group
	tick := time.NewTicker(w.cfg.pace.look)
	defer tick.Stop()
	for {
		for _, path := range w.due(time.Now()) {
			g.Go(func() error {
				w.follow(ctx, path)
				return nil
			})
		}
		select {
		case <-ctx.Done():
			return g.Wait()
		case <-tick.C:
		}
	}
}

// due looks for sockets, and returns those to be connected to now.
func (w *Watcher) due(now time.Time) (start []string) {
	var all []string
	for _, path := range w.cfg.Sockets {
		found, err := socketsAt(path)
		w.note(path, err)
		all = append(all, found...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, p := range w.peers {
		if !p.running && !slices.Contains(all, path) {
			delete(w.peers, path)
		}
	}
	for _, path := range all {
		p := w.peers[path]
		if p == nil {
			p = &peer{}
			w.peers[path] = p
		}
		if !p.running && !now.Before(p.retryAt) {
			p.running = true
			start = append(start, path)
		}
	}
	return start
}

// note keeps, and says once, why there is nothing at one of cfg.Sockets; nil:
// there is.
func (w *Watcher) note(path string, err error) {
	problem := w.problem(path, err)
	w.mu.Lock()
	was := w.empty[path]
	w.empty[path] = problem
	w.mu.Unlock()
	if problem != "" && problem != was {
		w.cfg.Log.Warn("waiting for hostapd", "why", problem)
	}
}

// socketsAt returns the control sockets at path: itself, or what is in it.
func socketsAt(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		if entry.Type() == fs.ModeSocket && len(found) < maxSockets {
			found = append(found, filepath.Join(path, entry.Name()))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing is in %s: %w", path, fs.ErrNotExist)
	}
	return found, nil
}

// follow has one session with the access point behind a socket.
func (w *Watcher) follow(ctx context.Context, path string) {
	ap, worked := filepath.Base(path), false
	log := w.cfg.Log.With("access_point", ap, "socket", path)
	err := runSession(ctx, &w.cfg, ap, path, func(stations int) {
		worked = true
		w.settle(path, "", true)
		log.Info("listening to hostapd", "stations", stations)
	})
	if ctx.Err() != nil {
		return
	}
	problem := w.problem(path, err)
	if was := w.settle(path, problem, false); problem != "" && (worked || was != problem) {
		log.Warn("hostapd does not say who is associated", "why", problem)
	}
}

// settle notes how it is with a socket, and returns what the problem was before.
func (w *Watcher) settle(path, problem string, running bool) (was string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.peers[path]
	was = p.problem
	p.running, p.problem = running, problem
	if running {
		p.wait = 0
		return was
	}
	p.wait = min(max(2*p.wait, w.cfg.pace.look), w.cfg.pace.wait)
	p.retryAt = time.Now().Add(p.wait)
	return was
}

// problem says in words what err is about. It is none that a socket knows of no
// stations which is only one of those in a directory: hostapd's global one may
// be there too.
func (w *Watcher) problem(path string, err error) string {
	if err == nil || errors.Is(err, errNoBSS) && !slices.Contains(w.cfg.Sockets, path) {
		return ""
	}
	text, remedy := Explain(path, err)
	return text + ": " + remedy
}

// Problems says where nothing is heard of hostapd, and what to do, for a person.
func (w *Watcher) Problems() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, problem := range w.empty {
		all = append(all, problem)
	}
	for _, p := range w.peers {
		all = append(all, p.problem)
	}
	slices.Sort(all)
	return slices.DeleteFunc(all, func(problem string) bool { return problem == "" })
}
