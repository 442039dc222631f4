package leases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"porchlight/presence"
)

const (
	// pollEvery is how often files are looked at without being told: some file
	// systems tell nothing, and a directory may come later.
	pollEvery = 30 * time.Second
	// quiet is how long a file must stay as it is before it is read: dnsmasq
	// empties its file and writes it anew.
	quiet = time.Second
	// patience is how long a file that never stays as it is, or that does not
	// end with a line's end, is left alone.
	patience = 10 * time.Second
	// readGap is the least time between two readings of one file.
	readGap = 5 * time.Second
)

// Config is what a Watcher needs.
type Config struct {
	Leases, Hosts []string // paths; none of them need exist yet

	// Tell gets all that stands in the files of one kind, whenever that has
	// changed. It must not wait.
	Tell func(from presence.NameSource, told []presence.Told)

	Log *slog.Logger // nil: no log
}

// Watcher reads the files, and again when they change. A file that is gone,
// that cannot be read or that is just being written counts as it was last read.
type Watcher struct {
	cfg   Config
	log   *slog.Logger
	files []*watched
}

// NewWatcher makes a Watcher; Run starts it.
func NewWatcher(cfg Config) *Watcher {
	w := &Watcher{cfg: cfg, log: cfg.Log}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	for _, path := range cfg.Leases {
		w.files = append(w.files, &watched{path: absolute(path), from: presence.NameFromLease, read: ReadLeases})
	}
	for _, path := range cfg.Hosts {
		w.files = append(w.files, &watched{path: absolute(path), from: presence.NameFromHosts, read: ReadHosts})
	}
	return w
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// Run watches until ctx ends, and returns nil then.
func (w *Watcher) Run(ctx context.Context) error {
	if len(w.files) == 0 {
		<-ctx.Done()
		return nil
	}
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("changes of lease files are noticed late", "by", pollEvery, "err", err)
		w.watch(ctx, nil, nil, func() {})
		return nil
	}
	defer func() { _ = notifier.Close() }()
	w.watch(ctx, notifier.Events, notifier.Errors, func() { w.subscribe(notifier) })
	return nil
}

// subscribe has changes in the files' directories told, as far as they exist.
// The files themselves are replaced now and then.
func (w *Watcher) subscribe(notifier *fsnotify.Watcher) {
	have := notifier.WatchList()
	for _, f := range w.files {
		if dir := filepath.Dir(f.path); !slices.Contains(have, dir) && notifier.Add(dir) == nil {
			have = append(have, dir)
		}
	}
}

// watch looks at the files at the start, when one is told to have changed, and
// now and then. subscribe is called each time before it looks at all of them.
func (w *Watcher) watch(ctx context.Context, events <-chan fsnotify.Event, errs <-chan error, subscribe func()) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var polled time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if !slices.ContainsFunc(w.files, func(f *watched) bool { return f.concerns(e.Name) }) {
				continue
			}
		case <-errs: // some events were lost
		case <-timer.C:
		}
		now := time.Now()
		if polled.IsZero() || now.Sub(polled) >= pollEvery {
			polled = now
			subscribe()
		}
		next := pollEvery
		if w.look(now) {
			next = quiet
		}
		timer.Reset(next)
	}
}

// look looks at all files, and tells what is new. It reports whether a file
// waits to be read.
func (w *Watcher) look(now time.Time) (waiting bool) {
	fresh := map[presence.NameSource]bool{}
	for _, f := range w.files {
		news, waits, err := f.look(now)
		waiting = waiting || waits
		w.report(f, news, err)
		fresh[f.from] = fresh[f.from] || news
	}
	for from, is := range fresh {
		if is {
			w.cfg.Tell(from, w.told(from))
		}
	}
	return waiting
}

// told returns what stands in all files of a kind. The first one that is set
// comes last, and so counts where two speak of the same device.
func (w *Watcher) told(from presence.NameSource) (all []presence.Told) {
	for _, f := range slices.Backward(w.files) {
		if f.from == from {
			all = append(all, f.file.Told...)
		}
	}
	return all
}

// report logs what is new, and a fault once.
func (w *Watcher) report(f *watched, news bool, err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if fault != "" && fault != f.fault {
		w.log.Warn("names are not read; what was read before stays", "err", err)
	}
	if news {
		level := slog.LevelDebug
		if !f.told || f.fault != "" {
			level = slog.LevelInfo
		}
		w.log.Log(context.Background(), level, "read names", "file", f.path, "format", string(f.file.Format),
			"entries", len(f.file.Told), "names", f.file.Names(), "left_out", f.file.LeftOut)
		f.told = true
	}
	if news || err != nil {
		f.fault = fault
	}
}

// watched is one file.
type watched struct {
	path string
	from presence.NameSource
	read func(string) (File, error)

	file  File   // as it was last read
	told  bool   // it was read at least once
	fault string // the last one that was logged

	done    print // of the file as it was last read, or found unreadable
	seen    print // as it was last looked at
	since   time.Time
	restive time.Time // since when it differs from done; zero: it does not
	readAt  time.Time
}

// concerns reports whether a change of the file at path is one of f: Kea's
// clean-up keeps files beside it.
func (f *watched) concerns(path string) bool {
	rest, ok := strings.CutPrefix(path, f.path)
	return ok && (rest == "" || rest[0] == '.')
}

// look reads the file if it has changed and is quiet now. news is whether it
// was read, waits whether it is to be looked at again soon.
func (f *watched) look(now time.Time) (news, waits bool, err error) {
	p := printOf(f.path)
	if p == f.done {
		f.restive = time.Time{}
		return false, false, nil
	}
	if f.restive.IsZero() {
		f.restive = now
	}
	if p != f.seen {
		f.seen, f.since = p, now
	}
	first := f.readAt.IsZero()
	impatient := now.Sub(f.restive) >= patience
	if !first && (now.Sub(f.since) < quiet && !impatient || now.Sub(f.readAt) < readGap) {
		return false, true, nil
	}
	f.readAt = now
	file, err := f.read(f.path)
	if err == nil && !impatient && (!file.Whole || printOf(f.path) != p) {
		return false, true, nil // it is just being written
	}
	f.done, f.restive = p, time.Time{}
	if err != nil {
		return false, false, fmt.Errorf("%w%s", err, remedy(err))
	}
	f.file = file
	return true, false, nil
}

func remedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "; it is waited for"
	case errors.Is(err, fs.ErrPermission):
		return "; give the user that Porchlight runs as the right to read it"
	case errors.Is(err, errFormat):
		return "; name hosts files in PORCHLIGHT_HOSTS_FILES"
	}
	return ""
}
