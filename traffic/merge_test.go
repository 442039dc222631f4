package traffic

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// sameRounds compares rounds.
var sameRounds = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func addr(n int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, byte(n >> 8), byte(n)}) }

func TestMerge(t *testing.T) {
	tls, arp := Key{"eth0", TLS, In}, Key{"eth0", ARP, Out}
	first := Round{
		Start: noon, Length: time.Minute, Counted: time.Minute, Dropped: 1,
		Counts:  map[Key]Count{tls: {10, 1000}, arp: {1, 60}},
		Hosts:   []Talker{{Addr: addr(1), In: Count{9, 900}}, {Addr: addr(2), Out: Count{1, 100}}},
		Devices: []Talker{{Device: "Anna's phone", In: Count{1, 60}}},
		Ports:   []Port{{"tcp", 22, "sshd", time.Minute}, {"tcp", 80, "nginx", time.Second}},
	}
	second := Round{
		Start: noon.Add(2 * time.Minute), Length: time.Minute, Counted: 30 * time.Second, Dropped: 2,
		Counts: map[Key]Count{tls: {1, 2000}},
		Hosts:  []Talker{{Addr: addr(2), In: Count{1, 2000}}},
		Ports:  []Port{{"tcp", 22, "sshd", 30 * time.Second}, {"tcp", 22, "dropbear", time.Second}},
	}
	want := Round{
		Start: noon, Length: 3 * time.Minute, Counted: 90 * time.Second, Dropped: 3,
		Counts:  map[Key]Count{tls: {11, 3000}, arp: {1, 60}},
		Hosts:   []Talker{{Addr: addr(2), In: Count{1, 2000}, Out: Count{1, 100}}, {Addr: addr(1), In: Count{9, 900}}},
		Devices: []Talker{{Device: "Anna's phone", In: Count{1, 60}}},
		Ports:   []Port{{"tcp", 22, "dropbear", time.Second}, {"tcp", 22, "sshd", 90 * time.Second}, {"tcp", 80, "nginx", time.Second}},
	}
	for name, rounds := range map[string][]Round{"in order": {first, second}, "the other way round": {second, first}} {
		if diff := cmp.Diff(want, Merge(rounds), sameRounds); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(first, Merge([]Round{first}), sameRounds); diff != "" {
		t.Errorf("one alone became another (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Round{}, Merge(nil), sameRounds); diff != "" {
		t.Errorf("none became one:\n%s", diff)
	}
	// The clock was set back: it was counted twice in that time.
	if got := Merge([]Round{first, first}); got.Length != time.Minute || got.Counted != 2*time.Minute || got.Counts[tls] != (Count{20, 2000}) {
		t.Errorf("two of the same time: %+v", got)
	}
}

// However many hosts, ports and interfaces come and go, a merged round is bounded,
// keeps the busiest, and loses no count.
func TestMergeIsBounded(t *testing.T) {
	const rounds, each = 300, 20
	steady := Talker{Addr: addr(60000), In: Count{1, 5000}}
	var all []Round
	for i := range rounds {
		r := Round{Start: noon.Add(time.Duration(i) * time.Minute), Length: time.Minute, Counts: map[Key]Count{{"eth0", TCP, In}: {100, 100000}}}
		r.Hosts = append(r.Hosts, steady)
		for j := range each {
			n := i*each + j
			r.Counts[Key{fmt.Sprintf("veth%d", n), TCP, Out}] = Count{1, 10}
			r.Hosts = append(r.Hosts, Talker{Addr: addr(n), Out: Count{1, uint64(10 + n%7)}})
			r.Devices = append(r.Devices, Talker{Device: fmt.Sprintf("made up %d", n), Out: Count{1, 10}})
			r.Ports = append(r.Ports, Port{"udp", uint16(n), "torrent", time.Second})
		}
		r.Ports = append(r.Ports, Port{"tcp", 22, "sshd", time.Minute})
		all = append(all, r)
	}
	got := Merge(all)
	if len(got.Hosts) != mergedTalkers || len(got.Devices) != mergedTalkers || len(got.Ports) != mergedPorts {
		t.Errorf("%d hosts, %d devices, %d ports", len(got.Hosts), len(got.Devices), len(got.Ports))
	}
	if want := (Talker{Addr: steady.Addr, In: Count{rounds, rounds * 5000}}); got.Hosts[0] != want {
		t.Errorf("the busiest host: %+v", got.Hosts[0])
	}
	if !slices.Contains(got.Ports, Port{"tcp", 22, "sshd", rounds * time.Minute}) {
		t.Error("the port that was held longest is gone")
	}
	names := map[string]bool{}
	var total Count
	for k, c := range got.Counts {
		names[k.Interface] = true
		total.Add(c)
	}
	if len(names) != mergedInterfaces+1 || !names["eth0"] || !names[OtherInterfaces] {
		t.Errorf("interfaces: %v", names)
	}
	if want := (Count{rounds * (100 + each), rounds * (100000 + each*10)}); total != want {
		t.Errorf("%+v in all, want %+v", total, want)
	}
	long := Round{Hosts: make([]Talker, 0, 80)}
	for i := range 80 {
		long.Hosts = append(long.Hosts, Talker{Addr: addr(i), In: Count{1, uint64(1000 - i)}})
	}
	if got := Merge([]Round{long, long}); len(got.Hosts) != 80 {
		t.Errorf("%d hosts of the 80 that were recorded", len(got.Hosts))
	}
}

// Cut into buckets of any size, no packet is lost or counted twice.
func TestBucketsKeepAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		since := noon
		until := since.Add(time.Duration(rapid.Int64Range(1, int64(48*time.Hour)).Draw(t, "span")))
		step := time.Duration(rapid.Int64Range(1, int64(50*time.Hour)).Draw(t, "step"))
		key := Key{"eth0", QUIC, Out}
		var rounds []Round
		var want Count
		var counted time.Duration
		for range rapid.IntRange(0, 20).Draw(t, "rounds") {
			from := time.Duration(rapid.Int64Range(0, int64(until.Sub(since))-1).Draw(t, "from"))
			length := time.Duration(rapid.Int64Range(1, int64(until.Sub(since)-from)).Draw(t, "length"))
			c := Count{rapid.Uint64Range(0, math.MaxUint64/100).Draw(t, "packets"), rapid.Uint64Range(0, 1e12).Draw(t, "bytes")}
			rounds = append(rounds, Round{
				Start: since.Add(from), Length: length, Counted: length, Counts: map[Key]Count{key: c},
				Hosts: []Talker{{Addr: addr(1), In: c}},
			})
			want.Add(c)
			counted += length
		}
		buckets := Bucket(rounds, since, until, step)
		if len(buckets) > maxBuckets {
			t.Fatalf("%d buckets", len(buckets))
		}
		var got, host Count
		at := since
		for _, b := range buckets {
			if !b.Start.Equal(at) || b.Length <= 0 {
				t.Fatalf("a bucket from %s for %s, want it from %s", b.Start, b.Length, at)
			}
			at = b.Start.Add(b.Length)
			got.Add(b.Counts[key])
			counted -= b.Counted
			for _, h := range b.Hosts {
				host.Add(h.In)
			}
		}
		if !at.Equal(until) || got != want || host != want || counted != 0 {
			t.Fatalf("buckets until %s, want %s; %+v and %+v of the host, want %+v; %s counted too little", at, until, got, host, want, counted)
		}
	})
}

func TestBucket(t *testing.T) {
	key := Key{"eth0", TCP, In}
	round := func(from, length time.Duration, bytes uint64) Round {
		return Round{Start: noon.Add(from), Length: length, Counted: length / 2, Counts: map[Key]Count{key: {1, bytes}}}
	}
	rounds := []Round{
		round(-time.Hour, 2*time.Hour, 1000), // a half is before
		round(70*time.Minute, time.Minute, 7),
		round(time.Hour, 4*time.Hour, 4000), // a quarter is after
		round(5*time.Hour, time.Hour, 1),    // after
		{Start: noon, Counts: map[Key]Count{key: {1, 1}}},
	}
	var bytes []uint64
	var counted []time.Duration
	for _, b := range Bucket(rounds, noon, noon.Add(4*time.Hour), 90*time.Minute) {
		bytes, counted = append(bytes, b.Counts[key].Bytes), append(counted, b.Counted)
	}
	half := time.Minute / 2
	if diff := cmp.Diff([]uint64{500 + 7 + 500, 1500, 1000}, bytes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]time.Duration{half*60 + half + half*30, half * 90, half * 60}, counted); diff != "" {
		t.Error(diff)
	}
	if got := Bucket(rounds, noon, noon, time.Hour); len(got) != 0 {
		t.Errorf("%d buckets of no time", len(got))
	}
	for _, c := range []struct {
		since, until time.Time
		step         time.Duration
		want         int
	}{
		{noon, noon.Add(4 * time.Hour), math.MaxInt64, 1},
		{time.Time{}, noon.AddDate(7000, 0, 0), -1, maxBuckets}, // longer than a duration can be
		{time.Time{}, noon.AddDate(7000, 0, 0), math.MaxInt64, 1},
		{noon.Add(-1 << 62), noon.Add(1<<62 - 1), 1 << 62, 2},
	} {
		if got := Bucket(rounds, c.since, c.until, c.step); len(got) != c.want {
			t.Errorf("%d buckets of %s from %s to %s, want %d", len(got), c.step, c.since, c.until, c.want)
		}
	}
}
