package demo

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porchlight/presence"
)

// patience is how long to wait for what takes seconds on an idle machine.
const patience = time.Minute

// buildDir is removed when the tests are over; empty: nothing was built.
var buildDir string

// program builds Porchlight as this test was built, so that the build cache has
// most of it.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "porchlight-demo-test-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	path := filepath.Join(dir, "porchlight")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "porchlight")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", &buildError{string(out), err}
	}
	return path, nil
})

type buildError struct {
	said string
	error
}

func (e *buildError) Error() string { return "building Porchlight: " + e.error.Error() + ": " + e.said }

// options are those of a real run, whose temporary files go to a directory of
// the test's.
func options(t *testing.T, out io.Writer) Options {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	for _, p := range []string{"dnsmasq", "udhcpc"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	return Options{Program: path, Out: out, SettledKey: "baseline_done"}
}

// checkGone reports what a demo has left behind.
func checkGone(t *testing.T, o Options) {
	t.Helper()
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
	exes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, e := range exes {
		if target, _ := os.Readlink(e); target == o.Program {
			t.Errorf("%s still runs", e)
		}
	}
	// The runtime ends a locked thread soon after its goroutine.
	for deadline := time.Now().Add(patience); networks() != 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("threads are in %d network namespaces", networks())
		}
	}
}

// untilTold keeps what is written to it, and calls over a moment after all of
// the texts, which comes after the state that goes with the last of them.
type untilTold struct {
	strings.Builder
	texts []string
	over  func()
}

func (w *untilTold) Write(p []byte) (int, error) {
	n, err := w.Builder.Write(p)
	for len(w.texts) > 0 && strings.Contains(w.String(), w.texts[0]) {
		if w.texts = w.texts[1:]; len(w.texts) == 0 {
			time.AfterFunc(2*time.Second, w.over)
		}
	}
	return n, err
}

// networks counts the network namespaces that threads of this process are in.
func networks() int {
	spaces := map[string]bool{}
	threads, _ := filepath.Glob("/proc/self/task/*/ns/net")
	for _, n := range threads {
		if target, err := os.Readlink(n); err == nil {
			spaces[target] = true
		}
	}
	return len(spaces)
}

// TestRun plays a short story for real, with one of each: an arrival, a guest,
// a departure, a sleeper and one that drops its link.
func TestRun(t *testing.T) {
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	st := newStory(1)
	st.beats = []beat{
		{s(1), "ann", join, "Ann comes."},
		{s(1), "laptop", leave, "The laptop is shut."},
		{s(2), "guest", join, "A guest comes."},
		{s(3), "cleo", sleep, "Cleo's phone sleeps."},
		{s(5), "dan", drop, "Dan's phone drops the Wi-Fi."},
		{s(14), "dan", rejoin, "Dan's phone is back."},
		{s(16), "cleo", wake, "Cleo's phone wakes."},
		{at: time.Hour, do: end},
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out := &untilTold{texts: []string{"Ann's phone: DHCP", "Ginas-Phone: DHCP", "left             Laptop: ", "> Cleo's phone wakes."}, over: cancel}
	o := options(t, out)
	v, err := play(ctx, o, st)
	if err != nil {
		t.Fatal(err)
	}
	checkGone(t, o)
	t.Log(out.String())
	if len(v.rows) != len(v.truth) {
		t.Errorf("%d devices are shown, want %d", len(v.rows), len(v.truth))
	}
	for id, tr := range v.truth {
		r := v.rows[id]
		if r == nil || r.state != tr.state() || r.IP == "" || r.PrivateMAC != tr.mac.Private() || tr.name != "" && r.name != tr.name {
			t.Errorf("%s is %s in truth, shown as %+v", tr.key, tr.state(), r)
		}
	}
	kinds := map[string][]presence.EventType{}
	for _, e := range v.events {
		tr := v.truth[e.ID]
		if tr == nil {
			t.Errorf("unexpected: %+v", e)
			continue
		}
		kinds[tr.key] = append(kinds[tr.key], e.Type)
	}
	for key, want := range map[string][]presence.EventType{
		"ann": {presence.Arrived}, "guest": {presence.NewDevice, presence.Arrived}, "laptop": {presence.Left},
	} {
		if !slices.Equal(kinds[key], want) {
			t.Errorf("%s: %v, want %v", key, kinds[key], want)
		}
		delete(kinds, key)
	}
	if len(kinds) > 0 {
		t.Errorf("events of others: %v", kinds)
	}
	if sc := v.score; sc.arrivals != 2 || sc.departures != 1 || sc.wronglyAway != 0 {
		t.Errorf("score %+v", sc)
	}
	for _, want := range []string{"> Ann comes.", "arrived          Ann's phone: DHCP", "new_device       Ginas-Phone: DHCP", "left             Laptop: no answer to ", "mosquitto_sub", "The demo is over: 2 arrivals (after "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the output", want)
		}
	}
}

// TestStop interrupts a demo in the midst of a join.
func TestStop(t *testing.T) {
	r, w := io.Pipe()
	o := options(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		st := newStory(1)
		st.beats[0].at = time.Second / 2
		_, err := play(ctx, o, st)
		_ = w.Close()
		done <- err
	}()
	buf := make([]byte, 4096)
	for said := ""; !strings.Contains(said, "> Ann comes home."); {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err, <-done)
		}
		said += string(buf[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	stopped := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(stopped); took > patience {
		t.Errorf("stopping took %v", took)
	}
	checkGone(t, o)
}

// TestChildEnds has a Porchlight that does not work.
func TestChildEnds(t *testing.T) {
	o := options(t, io.Discard)
	o.Program = "/bin/false"
	err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "porchlight has ended: exit status 1") {
		t.Errorf("%v", err)
	}
	checkGone(t, o)
}
