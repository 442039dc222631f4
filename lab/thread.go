package lab

import (
	"errors"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// errClosed is returned for work given to a lab that is closed.
var errClosed = errors.New("the lab is closed")

// thread is an OS thread that stays in one network namespace for all its life.
// Children are started from it, because PDEATHSIG fires when the thread that
// forked ends, not the process.
type thread struct {
	work chan func()
	quit chan struct{}
	gone chan struct{} // closed when the thread takes no more work

	mu     sync.Mutex
	closed bool
	cmds   map[*Cmd]struct{} // started and not yet waited for
}

func newThread() *thread {
	t := &thread{
		work: make(chan func()),
		quit: make(chan struct{}),
		gone: make(chan struct{}),
		cmds: make(map[*Cmd]struct{}),
	}
	ownThread(func() {
		defer close(t.gone)
		for {
			select {
			case f := <-t.work:
				f()
			case <-t.quit:
				return
			}
		}
	})
	return t
}

// run runs f on the thread and waits for it. f must be short, and must not run
// further work on the thread.
func (t *thread) run(f func() error) error {
	result := make(chan error, 1)
	select {
	case t.work <- func() { result <- f() }:
		return <-result
	case <-t.quit:
		return errClosed
	}
}

// close kills the thread's children, waits for them, and ends the thread.
func (t *thread) close() {
	t.mu.Lock()
	already := t.closed
	t.closed = true
	var cmds []*Cmd
	for c := range t.cmds {
		cmds = append(cmds, c)
	}
	t.mu.Unlock()
	if already {
		<-t.gone
		return
	}
	for _, c := range cmds {
		_ = c.kill()
	}
	for _, c := range cmds {
		<-c.done
	}
	close(t.quit)
	<-t.gone
}

// ownThread runs f in a goroutine on an OS thread that nothing else ever uses:
// the goroutine ends locked, so the runtime ends the thread with it, whatever
// namespace f has left it in.
//
// It is never the main thread, whose namespace is the one that /proc/self
// shows, and which cannot end.
func ownThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(locked)
			f()
		}()
		<-locked // until then this goroutine occupies the main thread
		runtime.UnlockOSThread()
	}()
}
