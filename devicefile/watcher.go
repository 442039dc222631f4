package devicefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"porchlight/presence"
)

const (
	// quiet is how long the file must have been left alone before it is read:
	// some editors empty it first, and then write.
	quiet = 150 * time.Millisecond
	// lookEvery is how often the file is looked at although nobody says that it
	// has changed: network file systems do not, nor does a single file that is
	// mounted into a container.
	lookEvery = 5 * time.Second
)

// Config is what a Watcher needs.
type Config struct {
	Path string
	// Last is what Keep was given last, also by an earlier process: it counts
	// for as long as the file has a fault, or is not there.
	Last string
	// Keep is called with the content of each file that had no fault.
	Keep func(content string)
	Log  *slog.Logger
}

// Watcher follows one device file.
type Watcher struct {
	cfg    Config
	active string      // the content that counts
	info   os.FileInfo // of the file that was read last, which may have a fault; nil: none
	linked bool        // there are symbolic links in the path
	absent bool        // that there is no file has been told

	mu      sync.Mutex
	problem string
}

// New returns a Watcher; Load and then Run are called, once each.
func New(cfg Config) *Watcher {
	if abs, err := filepath.Abs(cfg.Path); err == nil {
		cfg.Path = abs
	}
	return &Watcher{cfg: cfg}
}

// Load reads the file, or takes what it said last, and returns what counts.
func (w *Watcher) Load() []presence.Declaration {
	last, err := Parse([]byte(w.cfg.Last))
	if err == nil {
		w.active = w.cfg.Last
	}
	list, err := w.read()
	if err != nil {
		return last
	}
	w.cfg.Log.Info("read the device file", "file", w.cfg.Path, "devices", len(list))
	return list
}

// Problem says what is wrong with the file, for a person; empty: nothing.
func (w *Watcher) Problem() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problem
}

// Run calls declare with what the file says each time that it changes, until
// ctx ends.
func (w *Watcher) Run(ctx context.Context, declare func([]presence.Declaration)) error {
	notices, err := fsnotify.NewWatcher()
	if err != nil {
		w.cfg.Log.Warn("changes of the device file are noticed late", "within", lookEvery, "err", err)
		notices = &fsnotify.Watcher{} // channels that are never ready
	} else {
		defer func() { _ = notices.Close() }()
		w.follow(notices)
	}
	settled := time.NewTimer(quiet) // it may have changed since Load
	defer settled.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	certain := false // that it has changed
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-notices.Events:
			same := filepath.Base(ev.Name) == filepath.Base(w.cfg.Path)
			if same || w.linked {
				certain = certain || same
				settled.Reset(quiet)
			}
			continue
		case <-notices.Errors: // some notices were lost
		case <-settled.C:
		case <-tick.C:
		}
		changed, fresh := w.changed()
		if fresh {
			settled.Reset(quiet)
			continue
		}
		if changed || certain {
			certain = false
			if list, ok := w.look(); ok {
				declare(list)
			}
		}
		if err == nil {
			w.follow(notices)
		}
	}
}

// follow watches the directories of the file and of what it is a link to. A
// file is not watched itself, as a new one may take its place.
func (w *Watcher) follow(notices *fsnotify.Watcher) {
	dirs := map[string]bool{filepath.Dir(w.cfg.Path): true}
	target, err := filepath.EvalSymlinks(w.cfg.Path)
	w.linked = err != nil || target != w.cfg.Path
	if err == nil {
		dirs[filepath.Dir(target)] = true
	}
	for _, dir := range notices.WatchList() {
		if !dirs[dir] {
			_ = notices.Remove(dir) // it may be gone
		}
	}
	for dir := range dirs {
		_ = notices.Add(dir) // one that is not there yet is tried again
	}
}

// changed reports whether the file is another than the one read last, and
// whether it has been written to just now.
func (w *Watcher) changed() (changed, fresh bool) {
	info, err := os.Stat(w.cfg.Path)
	if err != nil {
		return true, false // it is said only once
	}
	if age := time.Since(info.ModTime()); age >= 0 && age < quiet {
		return false, true
	}
	same := w.info != nil && os.SameFile(info, w.info) && info.Size() == w.info.Size() && info.ModTime().Equal(w.info.ModTime())
	return !same, false
}

// look reads the file again. ok is false when what counted before still does.
func (w *Watcher) look() (list []presence.Declaration, ok bool) {
	before, wrong := w.active, w.Problem() != ""
	list, err := w.read()
	switch {
	case err != nil:
		return nil, false
	case w.active == before && wrong:
		w.cfg.Log.Info("the device file is in order again", "file", w.cfg.Path, "devices", len(list))
		return nil, false
	case w.active == before:
		return nil, false
	}
	w.cfg.Log.Info("the device file has changed", "file", w.cfg.Path, "devices", len(list))
	return list, true
}

// read reads the file, and says what is wrong with it, once.
func (w *Watcher) read() ([]presence.Declaration, error) {
	content, info, err := Read(w.cfg.Path)
	w.info = info
	if errors.Is(err, fs.ErrNotExist) {
		if w.active == "" {
			if !w.absent {
				w.cfg.Log.Info("there is no device file: it is read as soon as there is one", "file", w.cfg.Path)
			}
			w.absent = true
			return nil, err
		}
		w.fault(`it is gone; to take back what it said, write "devices: []" into it or unset PORCHLIGHT_DEVICES_FILE`)
		return nil, err
	}
	var list []presence.Declaration
	if err == nil {
		list, err = Parse(content)
	}
	if err != nil {
		w.fault(err.Error())
		return nil, err
	}
	w.mu.Lock()
	w.problem = ""
	w.mu.Unlock()
	if w.active != string(content) {
		w.active = string(content)
		w.cfg.Keep(w.active)
	}
	return list, nil
}

// fault notes what is wrong, and says it if it is another fault than before.
func (w *Watcher) fault(text string) {
	text = w.cfg.Path + ": " + text
	w.mu.Lock()
	same := w.problem == text
	w.problem = text
	w.mu.Unlock()
	if same {
		return
	}
	msg := "the device file does not count as it is"
	if w.active != "" {
		msg += ": what it said before still does"
	}
	w.cfg.Log.Error(msg, "fault", text)
}

// Read returns the content of a device file, of which Parse refuses more than
// MaxSize.
func Read(path string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, plain(err)
	}
	if !info.Mode().IsRegular() {
		return nil, info, errors.New("it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, info, plain(err)
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, info, plain(err)
	}
	return content, info, nil
}

// plain says what is wrong with a file without repeating its path.
func plain(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: let the user that Porchlight runs as read it", fs.ErrPermission)
	}
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
