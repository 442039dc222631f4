package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"porchlight/presence"
)

// session is what one Run owns. Only its goroutine touches it.
type session struct {
	*Listener
	watch  *linkWatch
	link   linkState
	reader *reader
	dialed bool // there was a socket before

	delay   time.Duration // the last wait before an attempt to dial
	retryAt time.Time     // not before this; zero: at once
	fault   string        // why the socket failed while the link is well; empty: it works

	told   bool
	warned bool             // the last that was told is a warning in the log
	sensed presence.Sensing // the last that was told
}

// reader is the goroutine that reads one socket.
type reader struct {
	conn  *conn
	since time.Time
	end   chan error // gets one error, then the goroutine has ended
}

// follow brings the socket in line with the link, and tells what changed.
func (s *session) follow() error {
	if s.link.Index != 0 {
		link := s.link.Link
		s.Listener.link.Store(&link)
		if s.link.encap != "ether" && s.link.encap != "loopback" {
			return ErrNotEthernet
		}
	} else {
		s.Listener.link.Store(nil)
	}
	if s.reader != nil && (s.reader.conn.index != s.link.Index || !s.link.up) {
		s.stop()
	}
	if s.reader == nil && s.link.up && !time.Now().Before(s.retryAt) {
		if err := s.dial(); permanent(err) {
			return err
		}
	}
	s.tell()
	return nil
}

func (s *session) dial() error {
	c, err := dial(s.link.Index, s.cfg.Filter, s.cfg.Groups)
	if err != nil {
		s.fault = err.Error()
		s.retryLater()
		return err
	}
	if s.dialed {
		s.redials.Add(1)
	}
	s.dialed, s.fault = true, ""
	s.reader = &reader{conn: c, since: time.Now(), end: make(chan error, 1)}
	s.conn.Store(c)
	go s.read(s.reader)
	return nil
}

// read hands over frames until the socket fails.
func (l *Listener) read(r *reader) {
	handle := func(at time.Time, outer tag, raw []byte) {
		f, err := parse(at, l.cfg.Interface, outer, raw)
		if err != nil {
			l.malformed.Add(1)
			return
		}
		l.frames.Add(1)
		l.cfg.Handle(f)
	}
	for {
		if err := r.conn.read(handle); err != nil {
			r.end <- err
			return
		}
		runtime.Gosched() // whom the frames have woken goes first
	}
}

// readerEnd is nil, which blocks for ever, while there is no reader.
func (s *session) readerEnd() <-chan error {
	if s.reader == nil {
		return nil
	}
	return s.reader.end
}

// failed puts away the reader, which has ended with err. The kernel is asked
// about the link, because a link that went down is the likely reason and its
// message may still be on the way.
func (s *session) failed(err error) {
	if time.Since(s.reader.since) > maxRetry {
		s.delay = 0
	}
	s.release()
	s.retryLater()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno // the wrapping says nothing to a person
	}
	s.fault = fmt.Sprintf("reading from %s: %v", s.cfg.Interface, err)
	if link, err := s.watch.list(); err == nil {
		s.link = link
	}
}

// Waits between attempts to open the socket.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

func (s *session) retryLater() {
	s.delay = min(max(2*s.delay, minRetry), maxRetry)
	s.retryAt = time.Now().Add(s.delay)
}

// retryNow is for when the link moved: there is no reason to wait.
func (s *session) retryNow() { s.delay, s.retryAt = 0, time.Time{} }

// stop ends the reader and waits for it.
func (s *session) stop() {
	if s.reader == nil {
		return
	}
	s.reader.conn.interrupt()
	<-s.reader.end
	s.release()
}

func (s *session) release() {
	c := s.reader.conn
	s.reader = nil
	s.conn.Store(nil)
	s.dropped.Add(c.drops())
	c.close()
}

func (s *session) end() {
	s.deaf.Store(true)
	s.stop()
	s.watch.close()
}

// tell reports whether the interface can hear, when that changed.
func (s *session) tell() {
	why, fault := s.link.blind(s.cfg.Interface), ""
	if why == "" && s.reader == nil {
		why, fault = s.fault, s.fault
	}
	blind := why != ""
	s.deaf.Store(blind)
	s.broken.Store(&fault)
	if !blind {
		why = s.cfg.Interface + " hears"
	}
	if s.told && s.sensed.Blind == blind && s.sensed.Why == why {
		return
	}
	s.told = true
	s.sensed = presence.Sensing{At: time.Now(), Interface: s.cfg.Interface, Blind: blind, Why: why}
	s.log.Log(context.Background(), s.level(fault != ""), words(blind), "interface", s.cfg.Interface, "why", why)
	if s.cfg.State != nil {
		s.cfg.State(s.sensed)
	}
}

func words(blind bool) string {
	if blind {
		return "interface cannot hear"
	}
	return "listening"
}

// level is that of the line in the log about what is told. With State somebody
// else says it; without, a fault of the socket would go unnoticed, and so would
// its end. That a link is down is told by those who have State.
func (s *session) level(fault bool) slog.Level {
	warned := s.warned
	s.warned = fault && s.cfg.State == nil
	switch {
	case s.warned:
		return slog.LevelWarn
	case warned:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// linkChanged takes a message about any link. ok is false when the
// subscription has died.
func (s *session) linkChanged(u netlink.LinkUpdate, ok bool) error {
	if !ok {
		return s.watchAgain()
	}
	if !s.link.concerns(s.cfg.Interface, u) {
		return nil
	}
	n, err := s.watch.list()
	if err != nil {
		return err
	}
	if n.Index != s.link.Index || n.up != s.link.up || n.carrier != s.link.carrier {
		s.retryNow()
	}
	s.link = n
	return nil
}

// addrChanged takes a message about an address of the link with this index.
func (s *session) addrChanged(index int, ok bool) error {
	if !ok {
		return s.watchAgain()
	}
	if index != s.link.Index {
		return nil
	}
	var err error
	s.link.Prefixes, s.link.LinkLocal, err = s.watch.addresses(index)
	return err
}

func (s *session) watchAgain() error {
	w, link, err := watchLink(s.cfg.Interface)
	if err != nil {
		return err
	}
	s.watch.close()
	s.watch, s.link = w, link
	s.retryNow()
	return nil
}
