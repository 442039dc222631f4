package systemd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mdlayher/sdnotify"
	"golang.org/x/sys/unix"
)

const (
	// startBeat is how often the main loop is asked until it is ready.
	startBeat = 100 * time.Millisecond
	// statusBeat is how often it is asked where no watchdog is set.
	statusBeat = 20 * time.Second
)

// manager is who is told; sdnotify.Notifier is one. Each string is one
// assignment, such as READY=1.
type manager interface {
	Notify(state ...string) error
	Close() error
}

// State is what the main loop answers.
type State struct {
	Ready bool   // everything that can listen does
	Line  string // for people, such as "12 of 30 home"; one line
}

// Config is what a Service needs.
type Config struct {
	// Ask has the main loop itself answer. An error, also by the end of its
	// context, means that the loop does not turn.
	Ask func(context.Context) (State, error)
	Log *slog.Logger
}

// Service is Porchlight as the service manager sees it. The methods of one that
// nobody listens to do nothing.
type Service struct {
	cfg     Config
	manager manager // nil: nobody listens
	beat    time.Duration
}

// New returns a Service for the manager that started this process.
func New(cfg Config) (*Service, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg, beat: beat(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"), os.Getpid())}
	n, err := sdnotify.New()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("opening %s %q, which the service manager set: %w", sdnotify.Socket, os.Getenv(sdnotify.Socket), err)
	}
	s.manager = n
	return s, nil
}

// beat is how often the watchdog hears of us: three times in the interval that
// the manager set, in microseconds, for the process pid.
func beat(usec, pid string, self int) time.Duration {
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || pid != "" && pid != strconv.Itoa(self) {
		return statusBeat
	}
	return min(max(time.Duration(n)*time.Microsecond/3, startBeat), statusBeat)
}

// Run tells the manager once the main loop is ready, then that it is alive, for
// as long as the loop itself answers, and at the end of ctx that it stops.
func (s *Service) Run(ctx context.Context) error {
	if s.manager == nil {
		return nil
	}
	defer func() { _ = s.manager.Close() }()
	every, line, silent := startBeat, "", false
	for ctx.Err() == nil {
		state, err := s.ask(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			if !silent {
				s.cfg.Log.Error("the main loop does not answer; the service manager is not told that it is alive", "err", err)
			}
		case every == startBeat && state.Ready:
			every, line = s.beat, state.Line
			s.tell(sdnotify.Ready, status(line))
		case every == startBeat: // not yet
		case state.Line != line:
			line = state.Line
			s.tell("WATCHDOG=1", status(line))
		default:
			s.tell("WATCHDOG=1")
		}
		silent = err != nil
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	s.tell(sdnotify.Stopping, status("stopping"))
	return nil
}

// ask gives the main loop a beat's time to answer.
func (s *Service) ask(ctx context.Context) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, s.beat)
	defer cancel()
	return s.cfg.Ask(ctx)
}

// Reload tells the manager that the settings are read again while f does it.
func (s *Service) Reload(f func()) {
	if s.manager == nil {
		f()
		return
	}
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // fails for clocks that are none
	s.tell(sdnotify.Reloading, fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
	defer s.tell(sdnotify.Ready)
	f()
}

func (s *Service) tell(state ...string) {
	if err := s.manager.Notify(state...); err != nil {
		s.cfg.Log.Warn("telling the service manager", "state", state[0], "err", err)
	}
}

// status is the line that systemctl status shows.
func status(line string) string {
	return "STATUS=" + strings.ReplaceAll(line, "\n", " ")
}
