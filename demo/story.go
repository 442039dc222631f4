package demo

import (
	"math/rand/v2"
	"slices"
	"time"
)

// verb is what happens in a beat of the story.
type verb uint8

const (
	leave  verb = iota // walks out without a word
	join               // comes, by DHCP
	sleep              // deaf and dumb, its link stays
	wake               // and says something
	drop               // drops the link to save power
	rejoin             // comes back by DHCP
	down               // the access point goes down, with all that is behind it
	up
	pull // the observer's cable
	plug
	end // nothing: the part of the story is over
)

// beat is one moment of the story.
type beat struct {
	at  time.Duration // since the story began
	who string        // a thing's key; empty for what happens to the network
	do  verb
	say string // to the audience; may be empty
}

// The pace. What takes minutes to hours at home takes seconds here: Porchlight
// is started with settings to match (settings), and with a past in which
// everyone slept as briefly.
const (
	napMax  = 17 * time.Second // Cleo's phone sleeps no longer, now or in the past
	dropMax = 11 * time.Second // nor is Dan's off the link
	// absence is the shortest that Porchlight notices for sure.
	absence = 15 * time.Second
	// settle is how long before an outage nobody may have left or come.
	settle = 14 * time.Second
)

// opening is the story as it is told first: a minute and a half in which
// everything happens once.
func opening() []beat {
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	return []beat{
		{s(3), "ann", join, "Ann comes home. Her phone asks for an address (DHCP), and is home at once."},
		{s(7), "ben", join, "Ben comes home too."},
		{s(11), "cleo", sleep, "Cleo's phone falls asleep and answers nobody. Porchlight knows its habits and waits."},
		{s(14), "guest", join, "A guest joins the Wi-Fi: a device that was never here before."},
		{s(20), "ann", leave, "Ann takes her phone and leaves. It says nothing; Porchlight asks, then decides."},
		{s(27), "cleo", wake, "Cleo's phone wakes. It was never taken for away."},
		{s(33), "dan", drop, "Dan's old phone drops the Wi-Fi in its sleep, as it does all day. Dan is still here."},
		{s(38), "laptop", leave, "The laptop is shut."},
		{s(42), "ann", join, "Ann is back: she forgot her umbrella."},
		{s(44), "dan", rejoin, "Dan's phone wakes and joins again by DHCP: a habit, not an absence."},
		{s(47), "guest", leave, "The guest says good-bye."},
		{s(56), "laptop", join, "The laptop is opened again."},
		{s(62), "", down, "The access point reboots: all that is on Wi-Fi falls silent together. Nobody left."},
		{s(77), "", up, "The access point is back, and everyone with it."},
		{s(82), "", pull, "Somebody pulls the cable of Porchlight's own machine. Being blind is not absence."},
		{s(89), "", plug, "The cable is back. Everyone gets the whole timeout anew."},
		{s(93), "", end, ""},
	}
}

// scene is a small tale that leaves the household as it was: both of its beats
// are of the same thing, or both of the network.
type scene struct {
	who          string
	first, then  verb
	low, high    time.Duration // time between the two
	says, answer string
}

var scenes = []scene{
	{"ann", leave, join, absence, 25 * time.Second, "Ann goes to the shop.", "Ann is back."},
	{"ben", leave, join, absence, 30 * time.Second, "Ben walks the dog.", "Ben and the dog are back."},
	{"cleo", sleep, wake, 11 * time.Second, napMax, "Cleo's phone sleeps, without leaving.", "Cleo's phone wakes."},
	{"cleo", leave, join, 32 * time.Second, 36 * time.Second, "Cleo really leaves. A phone that sleeps that long gets more time, so this is known later.", "Cleo is back."},
	{"dan", drop, rejoin, 8 * time.Second, dropMax, "Dan's old phone drops the Wi-Fi in its sleep.", "Dan's phone joins again by DHCP."},
	{"laptop", leave, join, absence, 20 * time.Second, "The laptop is shut.", "The laptop is opened."},
	{"guest", join, leave, 8 * time.Second, 14 * time.Second, "The guest is here again, and no longer new.", "The guest leaves."},
	{"", down, up, 11 * time.Second, 16 * time.Second, "The access point reboots again.", "The access point is back."},
	{"", pull, plug, 4 * time.Second, 8 * time.Second, "Porchlight's cable is pulled.", "The cable is back."},
}

// another returns a further part of the story, which begins at the given time:
// all scenes in an order, and with pauses, that r decides.
func another(r *rand.Rand, at time.Duration) []beat {
	var beats []beat
	free := map[string]time.Duration{} // when a thing's last scene was over
	last := at                         // when all of them were
	for _, i := range r.Perm(len(scenes)) {
		s := scenes[i]
		at += between(r, 3*time.Second, 8*time.Second)
		if s.who == "" {
			at = max(at, last+settle)
		} else {
			at = max(at, free[s.who]+absence)
		}
		over := at + between(r, s.low, s.high)
		beats = append(beats, beat{at, s.who, s.first, s.says}, beat{over, s.who, s.then, s.answer})
		free[s.who] = over
		last = max(last, over)
		if s.who == "" {
			at = over
		}
	}
	beats = append(beats, beat{at: last + settle, do: end})
	slices.SortStableFunc(beats, func(a, b beat) int { return int(a.at - b.at) })
	return beats
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return (low + time.Duration(r.Int64N(int64(high-low)))).Truncate(100 * time.Millisecond)
}

// story tells the beats one after the other, without an end.
type story struct {
	rand  *rand.Rand
	beats []beat
}

func newStory(seed uint64) *story {
	return &story{rand: rand.New(rand.NewPCG(seed, 1)), beats: opening()}
}

// next is the beat that comes next.
func (s *story) next() beat { return s.beats[0] }

// advance goes on to the beat after it.
func (s *story) advance() {
	done := s.beats[0]
	s.beats = s.beats[1:]
	if len(s.beats) == 0 {
		s.beats = another(s.rand, done.at)
	}
}
