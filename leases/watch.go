package leases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"porchlight/follow"
	"porchlight/presence"
)

const (
	// pollEvery is how often files are looked at without being told.
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

// keaEnds are the ends of the names of what Kea's clean-up keeps beside a file.
var keaEnds = []string{".completed", ".2", ".1"}

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
	cfg     Config
	files   []*watched
	notices <-chan string // nil: the system's
}

// watched is one file.
type watched struct {
	path string
	from presence.NameSource
	read func(string) (File, error)

	file  File   // as it was last read
	told  bool   // it was read at least once
	news  bool   // it was read in this round
	fault string // the last one that was logged
}

// NewWatcher makes a Watcher; Run starts it.
func NewWatcher(cfg Config) *Watcher {
	w := &Watcher{cfg: cfg}
	if w.cfg.Log == nil {
		w.cfg.Log = slog.New(slog.DiscardHandler)
	}
	for _, path := range cfg.Leases {
		w.files = append(w.files, &watched{path: path, from: presence.NameFromLease, read: ReadLeases})
	}
	for _, path := range cfg.Hosts {
		w.files = append(w.files, &watched{path: path, from: presence.NameFromHosts, read: ReadHosts})
	}
	return w
}

// Run watches until ctx ends, and returns nil then.
func (w *Watcher) Run(ctx context.Context) error {
	cfg := follow.Config{
		Quiet: quiet, Patience: patience, Gap: readGap, Poll: pollEvery,
		Round: w.tell, Notices: w.notices, Log: w.cfg.Log,
	}
	for _, f := range w.files {
		cfg.Files = append(cfg.Files, follow.File{Path: f.path, Beside: keaEnds, Read: func() (take func(), whole bool) {
			file, err := f.read(f.path)
			return func() { w.take(f, file, err) }, file.Whole || err != nil
		}})
	}
	return follow.Run(ctx, cfg)
}

// take notes what was read, and logs what is new, and a fault once.
func (w *Watcher) take(f *watched, file File, err error) {
	if err != nil {
		err = fmt.Errorf("%w%s", err, remedy(err))
		if f.fault != err.Error() {
			w.cfg.Log.Warn("names are not read; what was read before stays", "err", err)
		}
		f.fault = err.Error()
		return
	}
	level := slog.LevelDebug
	if !f.told || f.fault != "" {
		level = slog.LevelInfo
	}
	w.cfg.Log.Log(context.Background(), level, "read names", "file", f.path, "format", string(file.Format),
		"entries", len(file.Told), "names", file.Names(), "left_out", file.LeftOut)
	f.file, f.told, f.news, f.fault = file, true, true, ""
}

// tell tells what stands in all files of each kind of which one was read. The
// first one that is set comes last, and so counts where two speak of the same
// device.
func (w *Watcher) tell() {
	for _, from := range []presence.NameSource{presence.NameFromLease, presence.NameFromHosts} {
		var all []presence.Told
		news := false
		for _, f := range slices.Backward(w.files) {
			if f.from == from {
				all = append(all, f.file.Told...)
				news = news || f.news
				f.news = false
			}
		}
		if news {
			w.cfg.Tell(from, all)
		}
	}
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
