package scenario

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"porchlight/presence"
)

// A broker whose access rules forbid what Home Assistant needs: it is said
// which topics, in the log, in the summary and by doctor, and the rest goes on;
// when the rules are put right, all is well after the next start of the broker.
func TestForbiddenTopics(t *testing.T) {
	t.Parallel()
	h := bareHouse(t)
	acl := filepath.Join(t.TempDir(), "acl")
	rules := func(text string) {
		t.Helper()
		if err := os.WriteFile(acl, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rules("topic readwrite porchlight/#\ntopic read homeassistant/#\n")
	h.withBroker("acl_file " + acl + "\n")
	p := h.begin()
	phone := h.lab.Client("phone")
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
	const words = "let Porchlight write homeassistant/device/home/+/config"
	p.says(words)
	h.sub.await("the summary to say so", func() bool { return strings.Contains(h.sub.latest[topics.Summary()], words) })
	if _, found := h.doctor(); found["running"].Level != "warn" || !strings.Contains(found["running"].Text, words) || found["broker"].Level != "ok" {
		t.Errorf("doctor: %+v", found)
	}
	warnings := 0
	for line := range strings.Lines(p.stderr.String()) {
		if containsAll(line, []string{"level=WARN", "let Porchlight "}) {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings:\n%s", warnings, p.stderr.String())
	}

	rules("topic readwrite #\n")
	if err := h.broker.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := h.broker.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.sub.disconnect()
	h.sub.connect()
	h.sub.awaitTopic(topics.Status(), "online")
	h.sub.await("the discovery", func() bool { return h.sub.latest[topics.Config(macOf(phone).ID())] != "" })
	h.sub.await("the summary to say nothing", func() bool { return strings.Contains(h.sub.latest[topics.Summary()], `"problems":[]`) })
}

// Two Porchlights with one name at one broker: both say so, neither takes the
// other's devices away, and when one is killed the other goes on.
func TestTwoWithOneName(t *testing.T) {
	t.Parallel()
	h, devices, one := played(t, 2, nil)
	other := *h
	other.dir, other.env = dataDir(t), maps.Clone(h.env)
	other.env["DATA_DIR"], other.env["WEB_LISTEN"] = other.dir, "127.0.0.1:8581"
	two := other.start()
	const words = `uses PORCHLIGHT_NODE \"home\" on this broker`
	one.says(words)
	two.says(words)
	h.sub.await("the summary to say so", func() bool { return strings.Contains(h.sub.latest[topics.Summary()], "another Porchlight (on ") })
	for _, from := range []*house{h, &other} {
		if _, found := from.doctor(); !strings.Contains(found["running"].Text, "another Porchlight (on ") {
			t.Errorf("doctor: %+v", found)
		}
	}
	two.says("connected to the broker")
	if err := two.cmd.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-two.cmd.Done()
	offline := func(m heardMessage) bool { return m.topic == topics.Status() && m.payload == "offline" && !m.retained }
	eventually(t, "its last will", func() error {
		if h.sub.count(offline) == 0 {
			return errors.New("nobody said offline")
		}
		return nil
	})
	h.sub.awaitTopic(topics.Status(), "online")
	for _, d := range devices {
		h.announced(d)
	}
	for _, p := range []*process{one, two} {
		if log := p.stderr.String(); strings.Contains(log, "deleted in Home Assistant") || strings.Count(log, "another Porchlight") != 1 {
			t.Errorf("log:\n%s", log)
		}
	}
}
