package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"porchlight/lab"
)

// scan measures scans that a person waits for, beside arp-scan, and the sweep
// in the background.
func scan(ctx context.Context, b *bench) (rows []row, err error) {
	r := rand.New(rand.NewPCG(b.seed, 3))
	quick, err := b.contest(ctx, r, contest{
		prefix: "10.77.0.0/24", hosts: 50, rounds: pick(b, 3, 9),
	})
	if err != nil {
		return nil, err
	}
	ours, theirs := quick[0], quick[1]
	took := float64(ours.took()) / float64(theirs.took())
	rows = append(rows,
		row{
			"scan of a /24 with 50 hosts", fmt.Sprintf("found %d of 50 (at worst) in %s, %d packets", 50-ours.worst(), seconds(ours.took()), ours.packets()),
			fmt.Sprintf("50 of 50, %s (0.7 of arp-scan's time), %d packets", seconds(theirs.took()*7/10), theirs.packets()),
			judge(ours.worst() == 0 && took <= 0.7 && ours.packets() <= theirs.packets()),
		},
		row{what: "scan of the same by arp-scan", measured: fmt.Sprintf("found %d of 50 (at worst) in %s, %d packets", 50-theirs.worst(), seconds(theirs.took()), theirs.packets())},
	)
	hard, err := b.contest(ctx, r, contest{
		prefix: "10.77.0.0/22", hosts: 300, rounds: pick(b, 2, 7),
		behaviour: lab.Behaviour{Drop: 0.1, DelayMin: 5 * time.Millisecond, DelayMax: 700 * time.Millisecond},
	})
	if err != nil {
		return rows, err
	}
	ours, theirs = hard[0], hard[1]
	rows = append(rows,
		row{
			"scan of a /22, 300 hosts that answer after 5 to 700 ms and drop 10 %", fmt.Sprintf("missed %d (median), in %s, %d packets", ours.missed(), seconds(ours.took()), ours.packets()),
			fmt.Sprintf("missed %d, as arp-scan", theirs.missed()), judge(ours.missed() <= theirs.missed()),
		},
		row{what: "scan of the same by arp-scan", measured: fmt.Sprintf("missed %d (median), in %s, %d packets", theirs.missed(), seconds(theirs.took()), theirs.packets())},
	)
	more, err := b.sweep(ctx, r)
	return append(rows, more...), err
}

// contest is a LAN to be scanned by both in turns.
type contest struct {
	prefix        string
	hosts, rounds int
	behaviour     lab.Behaviour
}

// attempt is one scan.
type attempt struct {
	took            time.Duration
	missed, packets int
}

type attempts []attempt

func (a attempts) took() time.Duration {
	return middle(a, func(x attempt) time.Duration { return x.took })
}
func (a attempts) missed() int  { return middle(a, func(x attempt) int { return x.missed }) }
func (a attempts) packets() int { return middle(a, func(x attempt) int { return x.packets }) }

// worst is the most that one attempt missed.
func (a attempts) worst() (most int) {
	for _, x := range a {
		most = max(most, x.missed)
	}
	return most
}

// middle is the median of a property.
func middle[T int | time.Duration](a attempts, of func(attempt) T) T {
	var all []T
	for _, x := range a {
		all = append(all, of(x))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// contest scans with Porchlight and with arp-scan, in turns, each as a person
// would call it, and measures the whole command.
func (b *bench) contest(ctx context.Context, r *rand.Rand, c contest) (results [2]attempts, err error) {
	l, err := raise(ctx, c.prefix, false)
	if err != nil {
		return results, err
	}
	defer l.close()
	if err := l.spread(r, c.hosts, c.behaviour); err != nil {
		return results, err
	}
	d, err := b.daemon("scan", l.obs.Host)
	if err != nil {
		return results, err
	}
	commands := []func() *lab.Cmd{
		func() *lab.Cmd { return d.command(ctx, "scan", "--json") },
		func() *lab.Cmd {
			return l.obs.Command(ctx, "arp-scan", "--interface="+l.obs.Interface(), "--localnet")
		},
	}
	for i := range c.rounds {
		b.say("scan: %s, round %d of %d", c.prefix, i+1, c.rounds)
		for turn := range commands {
			who := (turn + i) % len(commands) // whoever was first is second next time
			got, err := l.attempt(commands[who]())
			if err != nil {
				return results, err
			}
			results[who] = append(results[who], got)
			if err := pause(ctx, time.Second); err != nil { // for late answers
				return results, err
			}
		}
	}
	return results, nil
}

var address = regexp.MustCompile(`\b10\.77\.\d+\.\d+\b`)

// attempt runs one scan and counts whom it named, and the requests on the wire.
func (l *lan) attempt(cmd *lab.Cmd) (a attempt, err error) {
	l.pop.Record(true)
	defer l.pop.Record(false)
	start := time.Now()
	out, err := cmd.Output()
	a.took = time.Since(start)
	if err != nil {
		return a, fmt.Errorf("running %s: %w", cmd.Args[0], exitReason(err))
	}
	named := map[string]bool{}
	for _, a := range address.FindAllString(string(out), -1) {
		named[a] = true
	}
	for _, d := range l.pop.Devices() {
		if !named[d.Addr.String()] {
			a.missed++
		}
	}
	a.packets = len(l.pop.Requests())
	return a, nil
}
