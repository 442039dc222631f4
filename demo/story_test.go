package demo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

// checkStory reports what makes no sense in a story that begins with the
// household as it is when the curtain rises. places is carried on.
func checkStory(t *testing.T, beats []beat, places map[string]place, changed map[string]time.Duration) {
	t.Helper()
	wired := map[string]bool{}
	for _, th := range household(presence.MAC{}) {
		wired[th.key] = th.wired || th.body == router
	}
	begun := map[verb]time.Duration{} // outages
	last := time.Duration(0)
	for _, b := range beats {
		if b.at < last {
			t.Errorf("%v %q comes before %v", b.at, b.say, last)
		}
		last = b.at
		if (b.say == "") != (b.do == end) || len(b.say) > 150 {
			t.Errorf("%v: caption %q", b.at, b.say)
		}
		switch b.do {
		case end:
		case down, pull:
			if len(begun) > 0 {
				t.Errorf("%v %q: an outage in an outage", b.at, b.say)
			}
			begun[b.do] = b.at
			for who, at := range changed {
				if b.at-at < 6*time.Second || places[who] == out && b.at-at < settle {
					t.Errorf("%v %q: %s has only just changed, at %v", b.at, b.say, who, at)
				}
			}
		case up, plug:
			if took := b.at - begun[b.do-1]; begun[b.do-1] == 0 || took < 4*time.Second || took > 20*time.Second {
				t.Errorf("%v %q: an outage of %v", b.at, b.say, took)
			}
			delete(begun, b.do-1)
		default:
			was, known := places[b.who]
			took := b.at - changed[b.who]
			to, ok := becomes[b.do]
			switch {
			case !known || wired[b.who] || !ok || was != to.from:
				t.Errorf("%v %q: %s was %d", b.at, b.say, b.who, was)
			case len(begun) > 0:
				t.Errorf("%v %q: during an outage", b.at, b.say)
			case b.do == wake && took > napMax, b.do == rejoin && took > dropMax:
				t.Errorf("%v %q: silent for %v", b.at, b.say, took)
			case b.do == join && changed[b.who] > 0 && took < absence:
				t.Errorf("%v %q: away for %v, too short to be seen", b.at, b.say, took)
			}
			places[b.who], changed[b.who] = to.to, b.at
		}
	}
	if len(begun) > 0 {
		t.Error("an outage without an end")
	}
}

func startPlaces() map[string]place {
	places := map[string]place{}
	for _, th := range household(presence.MAC{}) {
		places[th.key] = there
		if th.away {
			places[th.key] = out
		}
	}
	return places
}

func TestOpening(t *testing.T) {
	beats := opening()
	checkStory(t, beats, startPlaces(), map[string]time.Duration{})
	if got := beats[len(beats)-1]; got.do != end || got.at > 100*time.Second {
		t.Errorf("the first part ends with %+v", got)
	}
	seen := map[verb]bool{}
	for _, b := range beats {
		seen[b.do] = true
	}
	for v := leave; v <= end; v++ {
		if !seen[v] {
			t.Errorf("verb %d does not occur", v)
		}
	}
}

// TestStory follows the story for about twenty hours under many seeds: whatever
// the dice say, it makes sense.
func TestStory(t *testing.T) {
	for seed := range uint64(50) {
		s := newStory(seed)
		places, changed := startPlaces(), map[string]time.Duration{}
		for range 10 {
			var part []beat
			for part == nil || part[len(part)-1].do != end {
				part = append(part, s.next())
				s.advance()
			}
			checkStory(t, part, places, changed)
			if took := part[len(part)-1].at - part[0].at; took > 8*time.Minute {
				t.Errorf("seed %d: a part of %v", seed, took)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestStorySeed(t *testing.T) {
	tell := func(seed uint64) (all []beat) {
		s := newStory(seed)
		for range 100 {
			all = append(all, s.next())
			s.advance()
		}
		return all
	}
	allow := cmp.AllowUnexported(beat{})
	if diff := cmp.Diff(tell(3), tell(3), allow); diff != "" {
		t.Error("the same seed tells another story", diff)
	}
	if cmp.Diff(tell(3), tell(4), allow) == "" {
		t.Error("another seed tells the same story")
	}
}
