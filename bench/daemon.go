package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"porchlight/lab"
	"porchlight/presence"
)

// daemon is a Porchlight on a host of the lab. It can be started again and
// again on the same database.
type daemon struct {
	program string
	host    *lab.Host
	dir     string
	env     []string
	cmd     *lab.Cmd // nil: stopped
	runs    int
}

// daemon returns a Porchlight that is not started yet. settings are NAME=value
// without the prefix.
func (b *bench) daemon(name string, host *lab.Host, settings ...string) (*daemon, error) {
	d := &daemon{program: b.program, host: host, dir: filepath.Join(b.dir, name)}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return nil, err
	}
	d.set(append([]string{"DATA_DIR=" + d.dir, "INTERFACES=" + host.Interface()}, settings...)...)
	return d, nil
}

// set adds settings, which win over earlier ones; they count from the next start.
func (d *daemon) set(settings ...string) {
	for _, s := range settings {
		d.env = append(d.env, "PORCHLIGHT_"+s)
	}
}

// unset takes a setting back.
func (d *daemon) unset(name string) {
	kept := d.env[:0]
	for _, e := range d.env {
		if !strings.HasPrefix(e, "PORCHLIGHT_"+name+"=") {
			kept = append(kept, e)
		}
	}
	d.env = kept
}

// command returns porchlight with these arguments, on the same host and database.
func (d *daemon) command(ctx context.Context, args ...string) *lab.Cmd {
	cmd := d.host.Command(ctx, d.program, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir}, d.env...)
	return cmd
}

// start starts it; it is not ready yet (see watch.ready).
func (d *daemon) start() error {
	d.runs++
	log, err := os.Create(d.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = d.command(context.Background(), "run")
	d.cmd.Stdout, d.cmd.Stderr = log, log
	return d.cmd.Start()
}

func (d *daemon) logFile() string { return filepath.Join(d.dir, fmt.Sprintf("run-%d.log", d.runs)) }

// log returns the end of what the present or last run has said.
func (d *daemon) log() string {
	text, _ := os.ReadFile(d.logFile())
	return string(text[max(0, len(text)-4000):])
}

// stop ends it as an administrator does.
func (d *daemon) stop() error {
	if d.cmd == nil {
		return nil
	}
	cmd := d.cmd
	d.cmd = nil
	if err := cmd.Stop(10 * time.Second); err != nil {
		return fmt.Errorf("stopping porchlight: %w, it said: %s", err, d.log())
	}
	return nil
}

// kill ends it as a power cut does.
func (d *daemon) kill() {
	if d.cmd != nil {
		d.cmd.Kill()
		d.cmd = nil
	}
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// events returns the event log.
func (d *daemon) events(ctx context.Context) ([]presence.Event, error) {
	return jsonLines[presence.Event](d.command(ctx, "events", "--json", "-n", "10000000"))
}

// jsonLines runs a command and reads the values that it prints.
func jsonLines[T any](cmd *lab.Cmd) (all []T, err error) {
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running %s: %w", strings.Join(cmd.Args, " "), exitReason(err))
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var v T
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading what %s printed: %w", strings.Join(cmd.Args, " "), err)
		}
		all = append(all, v)
	}
}

func exitReason(err error) error {
	if e := new(exec.ExitError); errors.As(err, &e) {
		if s, ok := e.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return fmt.Errorf("killed by %s", s.Signal())
		}
	}
	return err
}

// home returns how many devices the database has at home.
func (d *daemon) home(ctx context.Context) (n int, err error) {
	all, err := jsonLines[struct{ State presence.State }](d.command(ctx, "devices", "--json"))
	for _, one := range all {
		if one.State == presence.Home {
			n++
		}
	}
	return n, err
}
