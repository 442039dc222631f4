package homeassistant

import (
	"cmp"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// variable names the folder that scripts/homeassistant made.
const variable = "PORCHLIGHT_TEST_HOMEASSISTANT"

// patience is how long to wait for what comes at once on an idle machine.
const patience = 2 * time.Minute

// home is a virtual LAN where Home Assistant, a broker and Porchlight share a
// machine. It lasts for all scenarios of one release.
type home struct {
	lab    *labtest.Lab
	obs    *lab.Observer
	broker *lab.Broker
	ha     *Instance
	mqtt   string // the id of MQTT's config entry
	scenes int    // so far
}

// TestHomeAssistant plays every scenario in every release that there is, on one
// Home Assistant per release.
func TestHomeAssistant(t *testing.T) {
	root := os.Getenv(variable)
	if root == "" {
		t.Skipf("%s is not set: make test-ha sets it to a folder with Home Assistant in it", variable)
	}
	program := labtest.Porchlight(t)
	for _, release := range releases(t, root) {
		t.Run(release, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			h := newHome(t, root, release)
			for _, one := range scenarios {
				t.Run(one.name, func(t *testing.T) { one.play(newScene(t, h, program)) })
			}
		})
	}
}

// releases returns those in the folder, the newest first.
func releases(t *testing.T, root string) (names []string) {
	dirs, err := filepath.Glob(filepath.Join(root, "opt/releases/*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("there is no release in %s: run make test-ha (%v)", root, err)
	}
	for _, d := range dirs {
		if name := filepath.Base(d); !strings.HasSuffix(name, ".part") {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return slices.Compare(numbers(b), numbers(a)) })
	return names
}

// numbers are those of a version: {2026, 4, 4}.
func numbers(version string) (n []int) {
	for part := range strings.SplitSeq(version, ".") {
		one := 0
		for _, c := range part {
			one = one*10 + int(c-'0')
		}
		n = append(n, one)
	}
	return n
}

// newHome raises a home and waits until Home Assistant listens to the broker.
func newHome(t *testing.T, root, release string) *home {
	h := &home{lab: labtest.StartWith(t, lab.Options{Prefix: netip.MustParsePrefix("10.77.0.0/22"), NoGateway: true})}
	h.obs = h.lab.Observer("lan0", lab.WithAddr(h.lab.Static(0)))
	h.broker = labtest.Mosquitto(t, lab.MosquittoOptions{
		Host: h.obs.Host,
		// What was retained survives a restart, as in a house.
		Config: "persistence true\npersistence_location " + t.TempDir() + "/\nmax_queued_messages 0\nacl_file " + rules(t) + "\n",
	})
	dir := t.TempDir()
	for name, text := range map[string]string{"automations.yaml": "[]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	ha, err := Start(ctx, Options{
		Root: root, Release: release, Host: h.obs.Host, Dir: dir,
		Configuration: "automation: !include automations.yaml\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ha.Close() })
	h.ha = ha
	if h.mqtt, err = ha.AddMQTT(ctx, h.broker.Addr()); err != nil {
		t.Fatal(err)
	}
	if !h.since(2026, 5) {
		// Triggers such as person.left_home are offered as a preview there.
		err := ha.Command(ctx, "labs/update", fields{"domain": "automation", "preview_feature": "new_triggers_conditions", "enabled": true}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("Home Assistant %s is up with MQTT after %s", release, time.Since(begun).Round(time.Millisecond))
	return h
}

// since reports whether the release is at least year.month.
func (h *home) since(year, month int) bool {
	n := numbers(h.ha.Release())
	return cmp.Or(cmp.Compare(n[0], year), cmp.Compare(n[1], month)) >= 0
}

// rules are the broker's access rules: everybody may do everything, but for two
// users.
func rules(t *testing.T) (file string) {
	const text = `topic readwrite #
user noevents
topic readwrite #
topic deny porchlight/+/event
user nodiscovery
topic readwrite porchlight/#
topic read homeassistant/#
`
	file = filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
