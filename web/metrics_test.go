package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestMetrics(t *testing.T) {
	w := get(t, Config{Source: family(time.Now()), Version: "1.2.3"}, "/metrics")
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	body := w.Body.String()
	for _, want := range []string{
		`porchlight_build_info{version="1.2.3"} 1`,
		"porchlight_devices_home 2",
		"porchlight_devices_known 4",
		"porchlight_devices_tracked 3",
		"porchlight_problems 0",
		`porchlight_sensing{interface="eth0"} 1`,
		`porchlight_events_total{type="arrived"} 7`,
		`porchlight_events_total{type="left"} 5`,
		`porchlight_events_total{type="new_device"} 0`,
		"porchlight_sightings_total 12345",
		"porchlight_probes_total 678",
		"porchlight_sweeps_total 9",
		"porchlight_refused_frames_total 3",
		"porchlight_database_fault 0",
		"porchlight_broker_connected 1",
		`porchlight_interface_frames_total{interface="eth0"} 23456`,
		`porchlight_interface_dropped_frames_total{interface="eth0"} 2`,
		"go_goroutines ",
		"process_resident_memory_bytes ",
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("%s is missing", want)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsAreAllUsed(t *testing.T) {
	h := family(time.Now())
	c := newCollector(h, "1.2.3")
	for _, m := range metrics {
		if testutil.CollectAndCount(c, "porchlight_"+m.name) == 0 {
			t.Errorf("%s is declared and never collected", m.name)
		}
	}
}

// TestMetricsOfOddInterfaces: the kernel takes names that are not text.
func TestMetricsOfOddInterfaces(t *testing.T) {
	h := family(time.Now())
	h.summary.Sensing[0].Interface = "eth\xff"
	h.stats.Interfaces = map[string]Interface{"eth\xff": {Frames: 5}, "\"\n": {Frames: 6}}
	body := get(t, Config{Source: h}, "/metrics").Body.String()
	for _, want := range []string{"porchlight_sensing{interface=\"eth\ufffd\"} 1", `porchlight_interface_frames_total{interface="\"\n"} 6`} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestMetricsWithoutSource(t *testing.T) {
	w := get(t, Config{Source: &household{gone: errors.New("the bridge has stopped")}}, "/metrics")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "\ngo_goroutines ") {
		t.Errorf("status %d: the rest is not served", w.Code)
	}
}
