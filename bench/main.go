// Command bench measures what Porchlight promises, and prints it as one table.
//
//	go run ./bench [--quick|--long] [--seed N] [figure…]
//
// It needs root, mosquitto, arp-scan and tcpdump. It raises virtual LANs of its own; no
// frame leaves the machine. The exit status is 1 when a bound is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// figure is one thing that is measured.
type figure struct {
	name, about string
	measure     func(context.Context, *bench) ([]row, error)
}

var figures = []figure{
	{"arrival", "from the frame on the wire to the subscriber", arrival},
	{"truth", "the simulated household", truth},
	{"nudge", "the simulated household, with its sleepers woken and without", nudge},
	{"quiet", "the messages of a simulated day", quiet},
	{"scan", "scans beside arp-scan, and the sweep in the background", scan},
	{"footprint", "processor time and memory", footprint},
	{"flood", "made-up MACs", flood},
	{"loss", "broker, process and link killed at random", loss},
	{"restart", "a restart while everyone is home", restart},
	{"history", "a year of a home in the database", past},
	{"traffic", "counting 100,000 packets a second, beside tcpdump", recorded},
	{"rounds", "a year of rounds of traffic in the database", rounds},
	{"page", "the page with 250 devices and a year, and 500 live streams", page},
}

// bench is what all figures share.
type bench struct {
	seed        uint64
	quick, long bool
	program     string // the porchlight binary
	dir         string // for databases and logs; gone at the end
}

// pick returns the value for the chosen length of the measurement.
func pick[T any](b *bench, quick, normal T) T {
	if b.quick {
		return quick
	}
	return normal
}

// say reports progress.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == floorCommand {
		fmt.Fprintln(os.Stderr, "bench: the floor:", runFloor(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	b := &bench{}
	flag.Uint64Var(&b.seed, "seed", 1, "seed of all that is random")
	flag.BoolVar(&b.quick, "quick", false, "shorter measurements, to see that they work")
	flag.BoolVar(&b.long, "long", false, "the footprint over a whole hour")
	flag.StringVar(&b.program, "porchlight", "", "measure this binary instead of building one")
	flag.Usage = help
	flag.Parse()
	chosen, err := choose(flag.Args())
	if err == nil {
		err = b.prepare(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	defer func() { _ = os.RemoveAll(b.dir) }()

	var rows []row
	for _, f := range chosen {
		b.say("%s: %s", f.name, f.about)
		start := time.Now()
		got, err := f.measure(ctx, b)
		if err != nil {
			b.say("%s: %v", f.name, err)
			got = append(got, row{what: f.name, measured: "failed: " + err.Error(), bound: "to be measured", verdict: missed})
		}
		for _, r := range got {
			b.say("%s: %s: %s (%s) %s", f.name, r.what, r.measured, r.bound, r.verdict)
		}
		b.say("%s took %s", f.name, time.Since(start).Round(time.Second))
		rows = append(rows, got...)
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Print(render(b, rows))
	if ctx.Err() != nil || slices.ContainsFunc(rows, func(r row) bool { return r.verdict == missed }) {
		return 1
	}
	return 0
}

func help() {
	fmt.Fprintln(os.Stderr, "usage: bench [flags] [figure…]\n\nfigures:")
	for _, f := range figures {
		fmt.Fprintf(os.Stderr, "  %-10s %s\n", f.name, f.about)
	}
	fmt.Fprintln(os.Stderr, "\nflags:")
	flag.PrintDefaults()
}

// choose returns the figures of these names; all when there are none.
func choose(names []string) ([]figure, error) {
	if len(names) == 0 {
		return figures, nil
	}
	var chosen []figure
	for _, n := range names {
		i := slices.IndexFunc(figures, func(f figure) bool { return f.name == n })
		if i < 0 {
			return nil, fmt.Errorf("there is no figure %q; see --help", n)
		}
		chosen = append(chosen, figures[i])
	}
	return chosen, nil
}

// prepare checks what is needed, and builds Porchlight.
func (b *bench) prepare(ctx context.Context) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("raising virtual LANs needs root: run it with sudo")
	}
	_ = os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, p := range []string{"mosquitto", "arp-scan", "tcpdump"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s is not installed: run scripts/deps", p)
		}
	}
	if b.dir, err = os.MkdirTemp("", "porchlight-bench-"); err != nil {
		return err
	}
	if b.program != "" {
		b.program, err = filepath.Abs(b.program)
		return err
	}
	b.program = filepath.Join(b.dir, "porchlight")
	b.say("building porchlight")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags", "nethttpomithttp2", "-trimpath", "-ldflags", "-s -w", "-o", b.program, "porchlight")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building porchlight: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
