package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"porchlight/traffic"
)

const (
	// mostRounds is what a year of rounds of a minute may take, in bytes.
	mostRounds = 200e6
)

// rounds measures a year of a busy home server's traffic, stored by the minute: its
// size after down-sampling, how long storing takes, and how long questions do.
func rounds(ctx context.Context, b *bench) (rows []row, err error) {
	store, err := traffic.OpenStore(ctx, b.dir, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	store.Keep = traffic.Keep{Age: 366 * day, Size: 1e12} // no bound: all of it is to be there
	days := pick(b, 20, year)
	n := days * 24 * 60
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	server := newServer(b.seed)
	took := make([]time.Duration, 0, n)
	var sent, got traffic.Count
	for i := range n {
		r := server.round(start.Add(time.Duration(i) * time.Minute))
		addUp(&sent, &r)
		began := time.Now()
		if err := store.Add(ctx, r); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		if i%(30*24*60) == 0 {
			b.say("rounds: %d of %d days", i/24/60, days)
		}
	}
	end := start.Add(time.Duration(n) * time.Minute)
	stored := 0
	err = store.Each(ctx, start, end, func(r *traffic.Round) error {
		stored++
		addUp(&got, r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(filepath.Join(b.dir, "traffic.db"))
	if err != nil {
		return nil, err
	}
	slices.Sort(took)
	rows = []row{
		{
			what:     fmt.Sprintf("%d days of traffic by the minute: the database", days),
			measured: fmt.Sprintf("%.1f MB, %d of %d rounds are left of it", float64(info.Size())/1e6, stored, n),
			bound:    fmt.Sprintf("%.0f MB", mostRounds/1e6), verdict: judge(info.Size() < mostRounds),
		},
		{
			what:     "the same: packets and bytes after down-sampling",
			measured: fmt.Sprintf("%d and %d, of %d and %d", got.Packets, got.Bytes, sent.Packets, sent.Bytes),
			bound:    "all", verdict: judge(got == sent),
		},
		{
			what:     "the same: storing a round",
			measured: fmt.Sprintf("median %s, 99th percentile %s, longest %s", ms(quantile(took, 0.5)), ms(quantile(took, 0.99)), ms(took[n-1])),
		},
	}
	for _, q := range []struct {
		what       string
		back, step time.Duration
	}{
		{"an hour by the minute", time.Hour, time.Minute},
		{"a day by 5 minutes", day, 5 * time.Minute},
		{"a week by the hour", 7 * day, time.Hour},
		{"a month by 3 hours", 31 * day, 3 * time.Hour},
		{"all of it by the day", time.Duration(days) * day, day},
	} {
		var took []time.Duration
		for range 9 {
			began := time.Now()
			if _, err := store.Buckets(ctx, end.Add(-q.back), end, q.step); err != nil {
				return rows, err
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		rows = append(rows, row{what: "the same: " + q.what, measured: "median " + ms(quantile(took, 0.5))})
	}
	return rows, nil
}

func addUp(c *traffic.Count, r *traffic.Round) {
	for _, x := range r.Counts {
		c.Add(x)
	}
}

// server makes up rounds: 3 interfaces, 8 protocols both ways, of 300 hosts and 40
// devices 10 each, 40 ports of 25 programs.
type server struct {
	dice    *rand.Rand
	hosts   []netip.Addr
	devices []string
	ports   []traffic.Port
}

func newServer(seed uint64) *server {
	s := &server{dice: rand.New(rand.NewPCG(seed, 7))}
	for i := range 300 {
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8, byte(s.dice.IntN(256)), byte(s.dice.IntN(256)), 14: byte(i >> 8), 15: byte(i)}
		s.hosts = append(s.hosts, netip.AddrFrom16(a))
		if i%3 > 0 {
			s.hosts[i] = netip.AddrFrom4([4]byte{198, byte(18 + i>>8), byte(s.dice.IntN(256)), byte(i)})
		}
	}
	for i := range 40 {
		s.devices = append(s.devices, fmt.Sprintf("%s of person %d", []string{"Phone", "Laptop", "Television", "Thermostat"}[i%4], i/4))
		s.ports = append(s.ports, traffic.Port{Protocol: []string{"tcp", "udp"}[i%2], Port: uint16(22 + i*i*7), Program: fmt.Sprintf("program-%d", i*25/40), Held: time.Minute})
	}
	return s
}

// count is an amount as different as those of real minutes are: from a packet to
// some hundred thousand.
func (s *server) count() traffic.Count {
	packets := 1 + s.dice.Uint64N(1<<s.dice.IntN(18))
	return traffic.Count{Packets: packets, Bytes: packets * (60 + s.dice.Uint64N(1400))}
}

func (s *server) round(at time.Time) traffic.Round {
	r := traffic.Round{Start: at, Length: time.Minute, Counted: time.Minute, Counts: map[traffic.Key]traffic.Count{}, Ports: s.ports}
	for _, name := range []string{"enp3s0", "wlan0", "docker0"} {
		for _, p := range traffic.Protocols()[:8] {
			for _, d := range []traffic.Direction{traffic.In, traffic.Out} {
				r.Counts[traffic.Key{Interface: name, Protocol: p, Direction: d}] = s.count()
			}
		}
	}
	for _, i := range s.dice.Perm(len(s.hosts))[:10] {
		r.Hosts = append(r.Hosts, traffic.Talker{Addr: s.hosts[i], In: s.count(), Out: s.count()})
	}
	for _, i := range s.dice.Perm(len(s.devices))[:10] {
		r.Devices = append(r.Devices, traffic.Talker{Device: s.devices[i], In: s.count(), Out: s.count()})
	}
	return r
}
