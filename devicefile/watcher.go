package devicefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"porchlight/follow"
	"porchlight/presence"
)

const (
	// quiet is how long the file must have been left alone before it is read:
	// some editors empty it first, and then write.
	quiet = 150 * time.Millisecond
	// lookEvery is how often the file is looked at without being told.
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
	active string // the content that counts
	kept   string // what Keep was given last
	absent bool   // that there is no file has been told

	mu      sync.Mutex
	problem string
}

// New returns a Watcher; Load and then Run are called, once each.
func New(cfg Config) *Watcher { return &Watcher{cfg: cfg, kept: cfg.Last} }

// Load reads the file, or takes what it said last, and returns what counts.
func (w *Watcher) Load() []presence.Declaration {
	content, err := Read(w.cfg.Path)
	var last []presence.Declaration
	if err != nil || string(content) != w.kept { // else it is read twice for nothing
		var wrong error
		if last, wrong = Parse([]byte(w.kept)); wrong == nil {
			w.active = w.kept
		}
	}
	list, err := w.parse(content, err)
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
	return follow.Run(ctx, follow.Config{
		Files: []follow.File{{Path: w.cfg.Path, Read: func() (take func(), whole bool) {
			content, err := Read(w.cfg.Path)
			return func() { w.take(content, err, declare) }, true
		}}},
		Quiet: quiet, Patience: lookEvery, Poll: lookEvery, Log: w.cfg.Log,
	})
}

// take takes what the file is now. It declares what that says, unless what
// counted before still does.
func (w *Watcher) take(content []byte, err error, declare func([]presence.Declaration)) {
	before, wrong := w.active, w.Problem() != ""
	if err == nil && !wrong && w.active == string(content) {
		return
	}
	list, err := w.parse(content, err)
	switch {
	case err != nil:
	case w.active == before:
		w.cfg.Log.Info("the device file is in order again", "file", w.cfg.Path, "devices", len(list))
	default:
		w.cfg.Log.Info("the device file has changed", "file", w.cfg.Path, "devices", len(list))
		declare(list)
	}
}

// parse makes of the content of the file, or of what is wrong with it, what is
// declared, and says a fault, once.
func (w *Watcher) parse(content []byte, err error) ([]presence.Declaration, error) {
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
	if w.active = string(content); w.active != w.kept {
		w.kept = w.active
		w.cfg.Keep(w.kept)
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
// MaxSize. Errors do not repeat the path.
func Read(path string) ([]byte, error) {
	f, err := follow.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: let the user that Porchlight runs as read it", fs.ErrPermission)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	return content, follow.Reason(err)
}
