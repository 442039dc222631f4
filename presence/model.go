package presence

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

const (
	// binsPerOctave makes a bin 9 % wide: finer than any margin, coarse enough
	// that a week of sleep fills neighbouring bins.
	binsPerOctave = 8
	// maxBins covers silences from one second to 36 hours.
	maxBins = 17 * binsPerOctave

	// halfLife is the time at home after which a silence counts half: a new
	// phone model or access point has replaced the old habits in a few weeks.
	halfLife = 14 * 24 * time.Hour

	week = 7 * 24 * time.Hour

	// shortest is the shortest silence worth keeping: half of the smallest
	// sensible timeout.
	shortest = 10 * time.Second

	// Long silences that stand apart from all others by outlierGap empty bins (a
	// factor of 1.3) or more are outliers: joins that nobody heard, or a sleep
	// as it happens once. They are left out as long as they weigh no more than
	// outlierBase and outlierStep for each empty bin, at most outlierMost; the
	// further apart, the less it can have been a sleep.
	outlierGap  = 2
	outlierBase = 1
	outlierStep = 0.35
	outlierMost = 5

	// A silence that ends with a join is a habit of the device, not of people,
	// when it happens this many times a day: nobody leaves a house that often.
	habitPerDay = 6
	habitWeight = 12

	// firstDay is the time at home before which the model is not believed
	// below AwayInitial: it takes a night to know how a phone sleeps.
	firstDay      = 24 * time.Hour
	firstDayWeeks = float64(firstDay) / float64(week)
)

// Model is what was learned of a device's silences. It is kept with the device
// and stored by MarshalBinary. The zero Model has learned nothing.
type Model struct {
	slept  histogram     // silences that ended without a join: it was there and slept
	joined histogram     // silences that ended with a join: it was away, or drops the link in its sleep
	home   float64       // time at home, in weeks, faded like the silences
	leaves float64       // departures, faded
	fresh  time.Duration // time at home that is not in home yet
	asked  asked         // how, while this was learned
}

// histogram holds the faded weight of silences by the logarithm of their
// length; it is as long as its longest silence.
type histogram []float32

func binOf(silence time.Duration) int {
	s := silence.Seconds()
	if s < 1 {
		return 0
	}
	return min(int(math.Log2(s)*binsPerOctave), maxBins-1)
}

// edge returns the upper edge of bin i.
func edge(i int) time.Duration {
	return time.Duration(math.Exp2(float64(i+1)/binsPerOctave) * float64(time.Second))
}

func (h *histogram) add(silence time.Duration) {
	i := binOf(silence)
	for len(*h) <= i {
		*h = append(*h, 0)
	}
	(*h)[i]++
}

func (h histogram) weight() (sum float64) {
	for _, w := range h {
		sum += float64(w)
	}
	return sum
}

// fade multiplies every weight by f, and drops the bins at the top that no
// longer count.
func (h *histogram) fade(f float64) {
	top := 0
	for i := range *h {
		(*h)[i] *= float32(f)
		if (*h)[i] > 0.01 {
			top = i + 1
		}
	}
	*h = (*h)[:top]
}

// exceeded returns the silence that all but the allowed weight stay within,
// after the outliers are left out; 0 when there is nothing to go by. scale is
// how much more outliers may weigh than in a history of one week.
func (h histogram) exceeded(allowed, scale float64) time.Duration {
	above := 0.0
	for i := h.believed(scale) - 1; i >= 0; i-- {
		above += float64(h[i])
		if above > allowed {
			return edge(i)
		}
	}
	return 0
}

// believed returns the number of bins that are left when the outliers are cut
// off at the top.
func (h histogram) believed(scale float64) int {
	top, empty, above := len(h), 0, 0.0
	for i := len(h) - 1; i >= 0 && above <= outlierMost*scale; i-- {
		if h[i] <= 0.01 {
			empty++
			continue
		}
		limit := scale * min(outlierBase+outlierStep*float64(empty), outlierMost)
		if above > 0 && empty >= outlierGap && above <= limit {
			top = i + 1
		}
		above += float64(h[i])
		empty = 0
	}
	return top
}

// usual is the silence that people are told of: 95 % stay within it.
func (h histogram) usual() time.Duration { return h.exceeded(h.weight()*0.05, 0) }

// atHome lets d of time at home pass: old habits fade.
func (m *Model) atHome(d time.Duration) {
	// Fading in steps of hours costs nothing and changes nothing.
	m.fresh += d
	if m.fresh < 6*time.Hour {
		return
	}
	f := math.Exp2(-float64(m.fresh) / float64(halfLife))
	m.slept.fade(f)
	m.joined.fade(f)
	m.leaves *= f
	m.home = m.home*f + float64(m.fresh)/float64(week)
	m.fresh = 0
}

// weeks returns the faded time at home, in weeks.
func (m *Model) weeks() float64 { return m.home + float64(m.fresh)/float64(week) }

// sleep learns a silence that ended without a join.
func (m *Model) sleep(silence time.Duration) { m.slept.add(silence) }

// join learns a silence that ended with a join.
func (m *Model) join(silence time.Duration) { m.joined.add(silence) }

// left learns that the device was declared away.
func (m *Model) left() { m.leaves++ }

// dropsLink reports whether silences that end with a join are this device's
// way to sleep: far more often than people leave a house.
func (m *Model) dropsLink() bool {
	w := m.joined.weight()
	return w >= habitWeight && w/(m.weeks()*7) >= habitPerDay
}

// answers reports whether the device, as far as is known, nearly always answers
// when it is first asked, within the given silence: then a probe that is not
// answered was probably lost, and is worth repeating at once.
func (m *Model) answers(within time.Duration) bool {
	if m.weeks() < firstDayWeeks {
		return true
	}
	quick, all := 0.0, 0.0
	for i, w := range m.slept {
		all += float64(w)
		if edge(i) <= within {
			quick += float64(w)
		}
	}
	return quick >= 0.97*all
}

// neverAway reports whether the device is practically never away: it has been
// watched for a day, and left no more than once in the last weeks.
func (m *Model) neverAway() bool {
	return m.weeks() >= firstDayWeeks && m.leaves < 1.5
}

// rare returns the silence that is exceeded at most falseAways times a week.
func (m *Model) rare(h histogram, falseAways float64) time.Duration {
	weeks := m.weeks()
	return h.exceeded(falseAways*weeks, 0.6+0.4*weeks)
}

func (m *Model) margin(t time.Duration) time.Duration {
	return time.Duration(float64(t) * (1.06 + 0.2/(1+m.weeks())))
}

// linkDrops is how long the device drops the link for as its way to sleep, with
// a margin; 0 when it does not do so.
func (m *Model) linkDrops(falseAways float64) time.Duration {
	if !m.dropsLink() {
		return 0
	}
	return m.margin(m.rare(m.joined, falseAways))
}

// timeout returns the silence after which the device is away: what it exceeds
// at most falseAways times a week, with a margin that shrinks from a quarter to
// a tenth as the history grows. Before the first day at home it is not below initial.
func (m *Model) timeout(falseAways float64, initial, lo, hi time.Duration) time.Duration {
	weeks := m.weeks()
	t := m.rare(m.slept, falseAways)
	if m.dropsLink() {
		t = max(t, m.rare(m.joined, falseAways))
	}
	if t == 0 && weeks < firstDayWeeks {
		return initial
	}
	t = m.margin(t)
	if weeks < firstDayWeeks {
		t = max(t, initial)
	}
	return min(max(t, lo), hi)
}

// asked is how a device is asked: its silences are others then.
type asked byte

const (
	asUsual asked = iota
	inVain        // its answers do not count
	withNudges
	asksEnd
)

// modelVersion is the first byte of a stored model; how the device was asked
// is added to it.
const modelVersion = 1

var errModel = errors.New("not a stored model of silences")

// MarshalBinary implements encoding.BinaryMarshaler.
func (m *Model) MarshalBinary() ([]byte, error) {
	b := []byte{modelVersion + byte(m.asked)}
	for _, f := range []float64{m.home, m.leaves, m.fresh.Seconds()} {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f)))
	}
	for _, h := range []histogram{m.slept, m.joined} {
		b = h.append(b)
	}
	return b, nil
}

// append writes the runs of bins that are not empty: start, length, weights.
func (h histogram) append(b []byte) []byte {
	for i := 0; i < len(h); {
		n := 0
		for i+n < len(h) && h[i+n] > 0 {
			n++
		}
		if n > 0 {
			b = append(b, byte(i), byte(n))
			for _, w := range h[i : i+n] {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(w))
			}
		}
		i += max(n, 1)
	}
	return append(b, 0, 0)
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. On an error m is
// unchanged.
func (m *Model) UnmarshalBinary(b []byte) error {
	if len(b) < 13 || b[0] < modelVersion || b[0] >= modelVersion+byte(asksEnd) {
		return errModel
	}
	var f [3]float64
	for i := range f {
		f[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[1+4*i:])))
		if !(f[i] >= 0 && f[i] < 1e6) {
			return errModel
		}
	}
	n := Model{home: f[0], leaves: f[1], fresh: time.Duration(f[2] * float64(time.Second)), asked: asked(b[0] - modelVersion)}
	var err error
	b = b[13:]
	for _, h := range []*histogram{&n.slept, &n.joined} {
		if b, err = h.read(b); err != nil {
			return err
		}
	}
	if len(b) != 0 {
		return errModel
	}
	*m = n
	return nil
}

func (h *histogram) read(b []byte) ([]byte, error) {
	for len(b) >= 2 {
		start, n := int(b[0]), int(b[1])
		b = b[2:]
		if n == 0 {
			return b, nil
		}
		if start < len(*h) || start+n > maxBins || len(b) < 4*n {
			return nil, errModel
		}
		for len(*h) < start {
			*h = append(*h, 0)
		}
		for i := range n {
			w := math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
			if !(w > 0 && w < 1e9) {
				return nil, errModel
			}
			*h = append(*h, w)
		}
		b = b[4*n:]
	}
	return nil, errModel
}
