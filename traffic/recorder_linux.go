package traffic

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Config is what a Recorder needs.
type Config struct {
	// Interfaces are the names of those whose traffic is recorded; any may be
	// missing for now. None: all that there are and that come, but loopback, and
	// those whose packets are seen again on another one: ports of a bridge, a bond
	// or a team, and VLANs. What is forwarded passes two, and is counted on both.
	Interfaces []string

	Round time.Duration // how long a round is; a minute if 0
	Top   int           // how many hosts, and how many devices, are named in a round; 10 if 0

	// Attendance, if not nil, has the Recorder record only while someone is at the
	// machine.
	Attendance Attendance

	// Save stores a round. It is called on one goroutine, and again with the same
	// round while it fails. Two rounds may have the same Start and belong
	// together: recording was interrupted, or the clock was set back.
	Save func(context.Context, Round) error

	// Listeners returns the ports that are listened on now, their Held is not
	// looked at. It is asked twice a round, on a goroutine that may wait. It may be
	// nil.
	Listeners func() ([]Port, error)

	// Devices returns what the LAN's devices are called, by their addresses; nil: as
	// the last time. It is asked as often. It may be nil.
	Devices func() map[netip.Addr]string

	Log *slog.Logger
}

// Attendance says whether someone is at the machine.
type Attendance interface {
	// Attended returns what is known now, and a channel that is closed when that
	// has changed.
	Attended() (bool, <-chan struct{})
	// Problem says why that is not known; empty: it is.
	Problem() string
}

// Recorder counts what passes this machine's interfaces, and hands over a Round
// for each span of time.
type Recorder struct {
	cfg     Config
	backlog *backlog
	survey  *survey

	mu        sync.Mutex
	recording bool
	fault     string   // why nothing is recorded; empty: it is, or nobody is there
	missing   []string // interfaces
}

// NewRecorder makes a Recorder; Run starts it.
func NewRecorder(cfg Config) *Recorder {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Round <= 0 {
		cfg.Round = time.Minute
	}
	if cfg.Top <= 0 {
		cfg.Top = 10
	}
	return &Recorder{
		cfg:     cfg,
		backlog: newBacklog(cfg.Save, cfg.Log),
		survey:  &survey{listeners: cfg.Listeners, devices: cfg.Devices},
	}
}

// Problems says, for people, what keeps traffic from being recorded. It may be
// called at any time.
func (r *Recorder) Problems() (all []string) {
	r.mu.Lock()
	all = slices.Clone(r.missing)
	if r.fault != "" {
		all = append(all, r.fault)
	}
	r.mu.Unlock()
	if r.cfg.Attendance != nil {
		if p := r.cfg.Attendance.Problem(); p != "" {
			all = append(all, "traffic is not recorded: "+p)
		}
	}
	if p := r.survey.problem(); p != "" {
		all = append(all, p)
	}
	return append(all, r.backlog.problems()...)
}

// Waits between attempts to record.
const (
	minRetry = time.Second
	maxRetry = time.Minute
)

// Run records until ctx ends, and returns nil then, with the last round, which is
// not a whole one, saved. What keeps it from recording it tries again, and tells as
// a problem. Run a Recorder once.
//
// It records in the network namespace of the goroutine that calls it.
func (r *Recorder) Run(ctx context.Context) error {
	saving, saved := context.WithCancel(context.WithoutCancel(ctx))
	var saver sync.WaitGroup
	saver.Go(func() { r.backlog.run(saving) })
	defer saver.Wait()
	defer saved()

	for delay := minRetry; ctx.Err() == nil; {
		began := time.Now()
		err := r.whileAttended(ctx)
		if err == nil {
			delay = minRetry
			continue
		}
		if time.Since(began) > maxRetry {
			delay = minRetry
		}
		r.failed("traffic is not recorded: " + err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, maxRetry)
	}
	return nil
}

// whileAttended waits until someone is at the machine, and records until nobody is
// any more.
func (r *Recorder) whileAttended(ctx context.Context) error {
	if r.cfg.Attendance == nil {
		return r.record(ctx)
	}
	attended, changed := r.cfg.Attendance.Attended()
	if !attended {
		select {
		case <-ctx.Done():
		case <-changed:
		}
		return nil
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		for attended {
			select {
			case <-inner.Done():
				return
			case <-changed:
				attended, changed = r.cfg.Attendance.Attended()
			}
		}
		cancel()
	})
	return r.record(inner)
}

// begun notes that packets are heard.
func (r *Recorder) begun() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg.Log.Info("recording traffic")
	r.recording, r.fault = true, ""
}

// ended notes that none are heard any more.
func (r *Recorder) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.recording {
		r.cfg.Log.Info("traffic is no longer recorded")
	}
	r.recording, r.missing = false, nil
}

// failed notes why none are.
func (r *Recorder) failed(fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault != r.fault {
		r.cfg.Log.Error(fault)
	}
	r.fault = fault
}

// miss notes which interfaces are not there.
func (r *Recorder) miss(missing []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range missing {
		if !slices.Contains(r.missing, m) {
			r.cfg.Log.Warn(m)
		}
	}
	r.missing = missing
}
