package presence

import "time"

// TrackPolicy decides which devices become entities.
type TrackPolicy string

// The policies.
const (
	TrackAll   TrackPolicy = "all"
	TrackNamed TrackPolicy = "named" // only those with a user's name
	TrackNone  TrackPolicy = "none"
)

// Config is what the Engine is told once. Zero values, but for MaxTracked, mean
// the defaults of the settings.
type Config struct {
	FalseAways    float64       // how often a week a silence may exceed the learned timeout
	AwayInitial   time.Duration // the timeout before there is history
	AwayMin       time.Duration
	AwayMax       time.Duration
	AwayAfter     time.Duration // fixes the timeout of all devices; 0: learned
	WiFiAwayAfter time.Duration // how long who has left the Wi-Fi has to come back
	ProbeInterval time.Duration // how long a home device may be silent before it is asked
	ProbeRate     float64       // probes a second, unless the number of devices needs more
	OutageHold    time.Duration // negative: nobody is held
	ForgetAfter   time.Duration // how long an unnamed device may be unheard before it is forgotten
	Track         TrackPolicy
	NewGuests     GuestPolicy
	MaxTracked    int // 0: none; negative: the default
	MaxDevices    int

	// Nudge are the kinds of devices that are woken when they are silent.
	Nudge []DeviceKind

	// Passive is set when nobody can be asked, as in a capture: only probes
	// that are reported by Asked count, and none is waited for.
	Passive bool
	// Baseline is set on the first run: devices are admitted without an event
	// each, until EndBaseline reports them all in one.
	Baseline bool
	// BaselineAt is when the first run's list was made: who was first seen
	// before is not new.
	BaselineAt time.Time
	// Told are the newest events of the log: what is told once is not told again
	// because of a restart.
	Told []Event
	// Self are this machine's own MACs; they are not devices.
	Self []MAC
	// Declared is what the device file says at the start; see Declare.
	Declared []Declaration
	// Vendor names the vendor of a universally administered MAC; may be nil.
	Vendor func(MAC) string
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&c.AwayInitial, 10*time.Minute)
	set(&c.AwayMin, 20*time.Second)
	set(&c.AwayMax, time.Hour)
	set(&c.WiFiAwayAfter, 20*time.Second)
	set(&c.ProbeInterval, 30*time.Second)
	if c.OutageHold == 0 {
		c.OutageHold = 5 * time.Minute
	}
	set(&c.ForgetAfter, 720*time.Hour)
	if c.FalseAways <= 0 {
		c.FalseAways = 0.25
	}
	if c.ProbeRate <= 0 {
		c.ProbeRate = 50
	}
	if c.Track == "" {
		c.Track = TrackAll
	}
	if c.NewGuests == "" {
		c.NewGuests = GuestsEach
	}
	if c.MaxTracked < 0 {
		c.MaxTracked = 500
	}
	if c.MaxDevices <= 0 {
		c.MaxDevices = 16384
	}
	if c.Vendor == nil {
		c.Vendor = func(MAC) string { return "" }
	}
	return c
}
