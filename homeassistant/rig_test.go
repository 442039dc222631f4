package homeassistant

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// rig is a Home Assistant of its own, with our blueprints, and a broker.
type rig struct {
	t      *testing.T
	ctx    context.Context // ends before the test's patience does
	host   *lab.Host
	broker *lab.Broker
	ha     *Instance
	dir    string // of Home Assistant's configuration
	entry  string // of MQTT
}

// brokerGone is what Home Assistant logs when its broker restarts.
var brokerGone = regexp.MustCompile(`(?s)^(paho\.mqtt\.client|homeassistant\.components\.mqtt\.(client|util)): |` +
	`^homeassistant: Error doing job.*Error talking to MQTT`)

// alone are the scenarios that need a Home Assistant of their own, since they
// count what it does, or need something in its configuration.
var alone = []struct {
	name, configuration string
	play                func(*rig)
}{
	{"rows of a quiet day", quietPeople, quietDay},
	{"blueprints of what is new", newDeviceConfiguration, newDeviceBlueprint},
	{"blueprint of presence", presenceConfiguration, presenceBlueprint},
}

// TestHomeAssistantAlone plays them in every release that there is, in two at
// the same time: most of it is waiting. Home Assistant's log must be clean in
// the end.
func TestHomeAssistantAlone(t *testing.T) {
	root := os.Getenv(variable)
	if root == "" {
		t.Skipf("%s is not set: make test-ha sets it to a folder with Home Assistant in it", variable)
	}
	for _, release := range releases(t, root) {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			for _, one := range alone {
				t.Run(one.name, func(t *testing.T) {
					r := newRig(t, root, release, one.configuration)
					one.play(r)
					r.checkJournal()
				})
			}
		})
	}
}

func (r *rig) checkJournal() {
	for _, e := range r.ha.Journal().Since(0) {
		if text := e.Logger + ": " + e.Text; !unrelated.MatchString(text) && !brokerGone.MatchString(text) {
			r.t.Errorf("Home Assistant logged: %s [%s] %s", e.Level, e.Logger, e.Text)
		}
	}
}

func newRig(t *testing.T, root, release, configuration string) *rig {
	l := labtest.StartWith(t, lab.Options{NoGateway: true})
	r := &rig{t: t, host: l.Observer("lan0", lab.WithAddr(l.Static(0))).Host, dir: t.TempDir()}
	r.broker = labtest.Mosquitto(t, lab.MosquittoOptions{Host: r.host})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	r.ctx = ctx
	r.must(os.CopyFS(filepath.Join(r.dir, "blueprints"), os.DirFS("../blueprints")))
	var err error
	r.ha, err = Start(ctx, Options{Root: root, Release: release, Host: r.host, Dir: r.dir, Configuration: configuration})
	r.must(err)
	t.Cleanup(func() { _ = r.ha.Close() })
	r.entry, err = r.ha.AddMQTT(ctx, r.broker.Addr())
	r.must(err)
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// until polls f until it has no error.
func (r *rig) until(what string, f func() error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 2*patience)
	defer cancel()
	r.must(r.ha.poll(ctx, what, f))
}

// is waits until an entity has a state.
func (r *rig) is(entity, want string) {
	r.t.Helper()
	r.until("for "+entity+" to be "+want, func() error {
		s, err := r.ha.State(r.ctx, entity)
		if err == nil && s.State != want {
			err = fmt.Errorf("it is %q", s.State)
		}
		return err
	})
}

// calm waits until no entity has changed for three seconds.
func (r *rig) calm() {
	r.t.Helper()
	for {
		select {
		case <-r.ha.Stream().Came():
		case <-time.After(3 * time.Second):
			return
		case <-r.ctx.Done():
			r.t.Fatal("Home Assistant does not come to rest")
		}
	}
}

// shake restarts one after the other of all that can restart, waits each time
// until the tracker is as before, and calls then.
func (r *rig) shake(p *puppet, tracker string, then func()) {
	r.t.Helper()
	before, err := r.ha.State(r.ctx, tracker)
	r.must(err)
	for _, one := range []struct {
		what string
		do   func()
	}{
		{"Home Assistant restarts", func() { r.must(r.ha.Restart(r.ctx)) }},
		{"MQTT is reloaded", func() { r.must(r.ha.ReloadEntry(r.ctx, r.entry)) }},
		{"the broker restarts", func() {
			r.must(r.broker.Stop())
			r.is(tracker, "unavailable")
			r.must(r.broker.Start(r.ctx))
		}},
		{"Porchlight restarts", func() {
			p.stop()
			r.is(tracker, "unavailable")
			p.start()
		}},
	} {
		r.t.Log(one.what)
		one.do()
		r.is(tracker, before.State)
		then()
	}
}
