package follow

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Config says which files are followed, and how.
type Config struct {
	Files []File

	// Quiet is how long a file must have stayed as it is before it is read.
	Quiet time.Duration
	// Patience is after how long a file is read that never stays as it is; one
	// that seems half-written is taken as it is then.
	Patience time.Duration
	// Gap is the least time between two readings of one file.
	Gap time.Duration
	// Poll is how often files are looked at without being told of a change. A
	// directory that comes later is found by this, too.
	Poll time.Duration

	// Round is called after one or more files were taken; may be nil.
	Round func()
	// Notices tells paths that have changed; nil: the system does.
	Notices <-chan string
	Log     *slog.Logger
}

// File is one file. It need not exist yet.
type File struct {
	Path string
	// Beside are the ends of the names of files that belong to it: a change of
	// Path+".2" is one of the file.
	Beside []string
	// Read reads the file. Nothing of it counts before take is called, which it
	// is unless the file has changed meanwhile, or is not whole: such a file is
	// read again soon.
	Read func() (take func(), whole bool)
}

// Run reads all files at the start, at once those that were left alone by then,
// and each again when it has changed, until ctx ends. It returns nil then.
func Run(ctx context.Context, cfg Config) error {
	if len(cfg.Files) == 0 {
		<-ctx.Done()
		return nil
	}
	f := follower{Config: cfg}
	for _, file := range cfg.Files {
		if abs, err := filepath.Abs(file.Path); err == nil {
			file.Path = abs
		}
		f.files = append(f.files, &followed{File: file})
	}
	var events <-chan fsnotify.Event
	var lost <-chan error
	if cfg.Notices == nil {
		notifier, err := fsnotify.NewWatcher()
		if err != nil {
			cfg.Log.Warn("changes of files are noticed late", "file", cfg.Files[0].Path, "within", cfg.Poll, "err", err)
		} else {
			defer func() { _ = notifier.Close() }()
			f.notifier, events, lost = notifier, notifier.Events, notifier.Errors
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	waiting := true // the timer says when to look, whatever is told
	for {
		told := ""
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			told = e.Name
		case told = <-cfg.Notices:
		case <-lost: // some notices were
		case <-timer.C:
			waiting = false
		}
		if waiting || told != "" && !f.concerned(told) {
			continue
		}
		f.subscribe()
		next := cfg.Poll
		if waiting = f.look(time.Now()); waiting {
			next = cfg.Quiet
		}
		timer.Reset(next)
	}
}

type follower struct {
	Config
	files    []*followed
	notifier *fsnotify.Watcher // nil: there is none
}

// concerned reports whether a change at path may be one of a file.
func (f *follower) concerned(path string) bool {
	for _, file := range f.files {
		if file.concerned(path) {
			return true
		}
	}
	return false
}

// subscribe has changes told in the directories of the files and of what they
// are links to, as far as they exist. The files themselves are not watched, as
// others take their place.
func (f *follower) subscribe() {
	if f.notifier == nil {
		return
	}
	dirs := map[string]bool{}
	for _, file := range f.files {
		dirs[filepath.Dir(file.Path)] = true
		if target, err := filepath.EvalSymlinks(file.Path); err == nil && target != file.Path {
			file.behind = filepath.Dir(target)
		} else if err == nil {
			file.behind = ""
		}
		if file.behind != "" {
			dirs[file.behind] = true
		}
	}
	for _, dir := range f.notifier.WatchList() {
		if !dirs[dir] {
			_ = f.notifier.Remove(dir) // it may be gone
		}
	}
	for dir := range dirs {
		_ = f.notifier.Add(dir) // another may have taken its place
	}
}

// look looks at all files, and reports whether one is to be looked at again
// soon.
func (f *follower) look(now time.Time) (waiting bool) {
	taken := false
	for _, file := range f.files {
		took, waits := file.look(&f.Config, now)
		taken, waiting = taken || took, waiting || waits
	}
	if taken && f.Round != nil {
		f.Round()
	}
	return waiting
}
