package homeassistant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"porchlight/lab"
)

// address is where Home Assistant listens when nobody says otherwise. The host
// is a namespace of its own, so it is always free.
const address = "127.0.0.1:8123"

// Options says which Home Assistant to run, and where.
type Options struct {
	// Root is the folder that scripts/homeassistant made: a Debian, with the
	// releases in opt/releases.
	Root string
	// Release is a version, such as 2026.4.4.
	Release string
	// Host is where it runs; tests reach it through the host's own sockets.
	Host *lab.Host
	// Dir is where its configuration and its database go; it must exist.
	Dir string
	// Configuration is further YAML for configuration.yaml, which has
	// homeassistant, api, recorder and history.
	Configuration string
}

// Instance is one Home Assistant. It can be stopped and started again on the
// same configuration. Its methods are for one goroutine, those of Journal and
// Stream for any.
type Instance struct {
	opts    Options
	journal *Journal
	http    *http.Client
	token   string // long-lived; empty before the onboarding
	cmd     *lab.Cmd
	socket  *socket
	stream  *Stream
}

const configuration = `homeassistant:
  name: Home
  latitude: 52.0
  longitude: 5.0
  elevation: 0
  unit_system: metric
  time_zone: UTC
  country: NL
  currency: EUR
  language: en
api:
recorder:
  commit_interval: 1
history:
`

// Start starts a Home Assistant that has never run before, onboards it and
// waits until all is set up; ctx bounds that. The caller closes it.
func Start(ctx context.Context, opts Options) (*Instance, error) {
	if err := os.WriteFile(filepath.Join(opts.Dir, "configuration.yaml"), []byte(configuration+opts.Configuration), 0o644); err != nil {
		return nil, err
	}
	i := &Instance{
		opts:    opts,
		journal: newJournal(),
		stream:  newStream(),
		http:    &http.Client{Transport: &http.Transport{DialContext: opts.Host.Dial}},
	}
	err := i.launch(ctx)
	if err == nil {
		err = i.onboard(ctx)
	}
	if err == nil {
		err = i.ready(ctx)
	}
	if err != nil {
		_ = i.Close()
		return nil, fmt.Errorf("starting Home Assistant %s: %w; it said:\n%s", opts.Release, err, i.journal.Tail())
	}
	return i, nil
}

// enter makes the folder a root with a /proc and the configuration in it. The
// mounts are in a namespace of the process and go with it.
const enter = `mount -t proc proc "$0/proc" && mount --bind "$1" "$0/config" &&
exec chroot "$0" "/opt/releases/$2/bin/python" -m homeassistant --config /config --skip-pip`

// launch starts the process and waits until its REST interface answers.
func (i *Instance) launch(ctx context.Context) error {
	o := &i.opts
	cmd := o.Host.Command(context.Background(), "unshare", "--mount", "sh", "-c", enter, o.Root, o.Dir, o.Release)
	cmd.Env = []string{"PATH=/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/config", "TZ=UTC", "LANG=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = io.Discard, i.journal
	if err := cmd.Start(); err != nil {
		return err
	}
	i.cmd = cmd
	return i.poll(ctx, "to answer", func() error {
		if i.token == "" {
			return i.Call(ctx, http.MethodGet, "/api/onboarding", nil, nil)
		}
		return i.Call(ctx, http.MethodGet, "/api/", nil, nil)
	})
}

// ready waits until Home Assistant has started all that it is set up for, and
// opens the stream of changes.
func (i *Instance) ready(ctx context.Context) (err error) {
	if i.socket, err = i.dial(ctx); err != nil {
		return err
	}
	if err = i.socket.follow(ctx); err != nil {
		return err
	}
	return i.poll(ctx, "to be running", func() error {
		var config struct{ State string }
		if err := i.Call(ctx, http.MethodGet, "/api/config", nil, &config); err != nil {
			return err
		}
		if config.State != "RUNNING" {
			return fmt.Errorf("it is %s", config.State)
		}
		return nil
	})
}

// poll calls f until it has no error, as long as the process lives.
func (i *Instance) poll(ctx context.Context, what string, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-i.cmd.Done():
			return fmt.Errorf("waiting for it %s: the process has ended: %w", what, errors.Join(i.cmd.Wait(), err))
		case <-ctx.Done():
			return fmt.Errorf("waiting for it %s: %w, at last: %w", what, ctx.Err(), err)
		}
	}
}

// restartStatus is the exit status by which Home Assistant asks to be started
// again (homeassistant/const.py, RESTART_EXIT_CODE).
const restartStatus = 100

// Restart restarts it as its own page does, and waits until all is set up.
func (i *Instance) Restart(ctx context.Context) error {
	// The connection may end before the answer has come.
	_ = i.Action(ctx, "homeassistant.restart", nil)
	i.disconnect() // it would wait ten seconds for us to hang up
	select {
	case <-i.cmd.Done():
	case <-ctx.Done():
		return fmt.Errorf("waiting for Home Assistant to end for its restart: %w", ctx.Err())
	}
	_ = i.cmd.Wait()
	if status := i.cmd.ProcessState.ExitCode(); status != restartStatus {
		return fmt.Errorf("asking Home Assistant to restart: it ended with status %d, want %d:\n%s", status, restartStatus, i.journal.Tail())
	}
	return i.Resume(ctx)
}

// Stop ends it as an administrator does.
func (i *Instance) Stop() error {
	i.disconnect()
	return i.cmd.Stop(2 * time.Minute)
}

// Kill ends it as a power cut does.
func (i *Instance) Kill() {
	i.cmd.Kill()
	i.disconnect()
}

// Resume starts it again after Stop or Kill, and waits until all is set up.
func (i *Instance) Resume(ctx context.Context) error {
	if err := i.launch(ctx); err != nil {
		return err
	}
	return i.ready(ctx)
}

// Journal is what it writes to its log.
func (i *Instance) Journal() *Journal { return i.journal }

// Stream is its stream of changes, in which a restart is a gap.
func (i *Instance) Stream() *Stream { return i.stream }

// PID is the id of its process.
func (i *Instance) PID() int { return i.cmd.Process.Pid }

// Release is its version.
func (i *Instance) Release() string { return i.opts.Release }

func (i *Instance) disconnect() {
	if i.socket != nil {
		i.socket.close()
		i.socket = nil
	}
	i.http.CloseIdleConnections()
}

// Close ends it if it runs. Its files stay.
func (i *Instance) Close() error {
	if i.cmd != nil {
		_ = i.cmd.Signal(syscall.SIGKILL)
		i.cmd.Kill()
	}
	i.disconnect()
	return nil
}
