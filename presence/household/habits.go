package household

import (
	"math"
	"math/rand/v2"
	"time"
)

// Class groups devices by what may be expected of a departure.
type Class string

// The classes.
const (
	Responsive Class = "responsive" // always answers
	Sleeper    Class = "sleeper"    // answers when it is awake
	Dropper    Class = "dropper"    // leaves the Wi-Fi in its sleep and joins again when it wakes
)

// Habit is how one device behaves: a semi-Markov process of being awake and
// asleep while it is in the house, and the outings of whoever carries it.
type Habit struct {
	Name  string
	Class Class

	Awake    time.Duration // mean of the time awake between two sleeps
	DaySleep time.Duration // longest sleep from 07:00 to 23:00; 0: never sleeps
	Night    time.Duration // longest sleep at night
	Spread   float64       // of the logarithm of its sleeps; 0: the usual 0.6, cut at the longest; others are not cut

	Chatter  time.Duration // mean time between frames that it sends by itself while awake
	Announce time.Duration // announces itself this often, asleep or not; 0: never
	Light    float64       // chance that it hears a probe while asleep

	Outings func(r *rand.Rand, day time.Time) []Outing // when it is away, per day; nil: never
}

// LongestSleep is the longest silence that the device can make while it is there.
func (h Habit) LongestSleep() time.Duration { return max(h.DaySleep, h.Night) }

// Outing is a time out of the house.
type Outing struct{ From, To time.Time }

// sleep draws how long a sleep at t lasts: log-normal, cut at the longest.
func (h Habit) sleep(r *rand.Rand, t time.Time) time.Duration {
	longest := h.DaySleep
	if hour := t.Hour(); hour < 7 || hour >= 23 {
		longest = h.Night
	}
	if longest <= 0 {
		return 0
	}
	spread := h.Spread
	if spread == 0 {
		spread = 0.6
	}
	d := max(time.Duration(float64(longest)*0.4*math.Exp(spread*r.NormFloat64())), 5*time.Second)
	if h.Spread == 0 {
		d = min(d, longest)
	}
	return d
}

func exponential(r *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(mean))
}

func at(day time.Time, hour float64) time.Time {
	return day.Add(time.Duration(hour * float64(time.Hour)))
}

// worker leaves for work on weekdays, and for errands of 20 to 90 minutes.
func worker(r *rand.Rand, day time.Time) []Outing {
	var outs []Outing
	if wd := day.Weekday(); wd != time.Saturday && wd != time.Sunday {
		outs = append(outs, Outing{at(day, 7.5+r.Float64()), at(day, 16.5+2*r.Float64())})
	} else if r.Float64() < 0.7 {
		outs = append(outs, errand(r, day, 10, 15))
	}
	if r.Float64() < 0.5 {
		outs = append(outs, errand(r, day, 19, 21))
	}
	return outs
}

// homebody goes out for errands only.
func homebody(r *rand.Rand, day time.Time) []Outing {
	outs := []Outing{errand(r, day, 9, 11)}
	if r.Float64() < 0.6 {
		outs = append(outs, errand(r, day, 14, 17))
	}
	return outs
}

func errand(r *rand.Rand, day time.Time, from, to float64) Outing {
	start := at(day, from+(to-from)*r.Float64())
	return Outing{start, start.Add(20*time.Minute + time.Duration(r.Float64()*float64(70*time.Minute)))}
}

// lid is a laptop that is shut three times a day, and at night.
func lid(r *rand.Rand, day time.Time) []Outing {
	return []Outing{
		{day.Add(time.Minute), at(day, 8+r.Float64())},
		errand(r, day, 11.5, 12.5),
		errand(r, day, 15, 16),
		{at(day, 22+r.Float64()), day.Add(24 * time.Hour)},
	}
}

// unplugged is a device that someone pulls out for some hours once a week.
func unplugged(r *rand.Rand, day time.Time) []Outing {
	if r.Float64() > 1.0/7 {
		return nil
	}
	start := at(day, 9+8*r.Float64())
	return []Outing{{start, start.Add(time.Hour + time.Duration(r.Float64()*float64(3*time.Hour)))}}
}

// Household returns the sixteen devices of a home.
func Household() []Habit {
	return []Habit{
		{Name: "plug", Class: Responsive, Chatter: 10 * time.Minute},
		{Name: "television", Class: Responsive, Chatter: 2 * time.Minute},
		{Name: "speaker", Class: Responsive, Chatter: 5 * time.Minute},
		{Name: "camera", Class: Responsive, Chatter: time.Minute, Outings: unplugged},
		{Name: "lamp", Class: Responsive, Announce: time.Minute},
		{Name: "thermostat", Class: Responsive, Announce: time.Minute, Outings: unplugged},
		{Name: "printer", Class: Responsive, Chatter: 20 * time.Minute, Outings: unplugged},
		{Name: "phone with ARP offload", Class: Responsive, Chatter: 3 * time.Minute, Outings: worker},
		{Name: "tablet with ARP offload", Class: Responsive, Chatter: 3 * time.Minute, Outings: homebody},
		{Name: "laptop", Class: Responsive, Chatter: time.Minute, Outings: lid},
		{Name: "phone, sleeps up to 40 min", Class: Sleeper, Awake: 4 * time.Minute, DaySleep: 12 * time.Minute, Night: 40 * time.Minute, Chatter: 20 * time.Second, Light: 0.02, Outings: worker},
		{Name: "second phone, up to 40 min", Class: Sleeper, Awake: 6 * time.Minute, DaySleep: 15 * time.Minute, Night: 40 * time.Minute, Chatter: 20 * time.Second, Light: 0.05, Outings: homebody},
		{Name: "phone, sleeps up to 15 min", Class: Sleeper, Awake: 5 * time.Minute, DaySleep: 8 * time.Minute, Night: 15 * time.Minute, Chatter: 20 * time.Second, Light: 0.02, Outings: worker},
		{Name: "child's phone, up to 15 min", Class: Sleeper, Awake: 8 * time.Minute, DaySleep: 15 * time.Minute, Night: 15 * time.Minute, Chatter: 15 * time.Second, Light: 0.05, Outings: homebody},
		{Name: "watch, sleeps up to 6 min", Class: Sleeper, Awake: time.Minute, DaySleep: 6 * time.Minute, Night: 6 * time.Minute, Chatter: 20 * time.Second, Light: 0.1, Outings: worker},
		{Name: "phone that drops the Wi-Fi", Class: Dropper, Awake: 6 * time.Minute, DaySleep: 30 * time.Minute, Night: 30 * time.Minute, Chatter: 15 * time.Second, Outings: worker},
	}
}
