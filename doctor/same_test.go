package doctor

import (
	"strings"
	"testing"
)

func TestSameSettings(t *testing.T) {
	const service = "PATH=/bin\x00PORCHLIGHT_DATA_DIR=/var/lib/porchlight\x00PORCHLIGHT_TRAFFIC=always\x00PORCHLIGHT_MQTT_PASSWORD=hunter2\x00PORCHLIGHT_TRACK=\x00"
	for name, c := range map[string]struct {
		environ []string
		running string
		service bool
		want    string // the names; empty: nothing is said
	}{
		"none":           {nil, service, true, "PORCHLIGHT_MQTT_PASSWORD, PORCHLIGHT_TRAFFIC."},
		"some":           {[]string{"PORCHLIGHT_MQTT_PASSWORD=hunter2"}, service, false, ": PORCHLIGHT_TRAFFIC."},
		"another value":  {[]string{"PORCHLIGHT_MQTT_PASSWORD=hunter2", "PORCHLIGHT_TRAFFIC=off"}, service, false, ": PORCHLIGHT_TRAFFIC."},
		"one more":       {[]string{"PORCHLIGHT_MQTT_PASSWORD=hunter2", "PORCHLIGHT_TRAFFIC=always", "PORCHLIGHT_NODE=x"}, service, false, ": PORCHLIGHT_NODE."},
		"the same":       {[]string{"PORCHLIGHT_MQTT_PASSWORD=hunter2", "PORCHLIGHT_TRAFFIC=always", "HOME=/root"}, service, true, ""},
		"not to be read": {[]string{"PORCHLIGHT_TRAFFIC=always"}, "", true, ""},
	} {
		found := checkSame(c.environ, 812, []byte(c.running), c.service)
		if c.want == "" {
			if len(found) != 0 {
				t.Errorf("%s: %+v", name, found)
			}
			continue
		}
		if len(found) != 1 || found[0].Level != Warn || !strings.Contains(found[0].Text, c.want) || !strings.Contains(found[0].Text, "process 812") ||
			strings.Contains(found[0].Text+found[0].Remedy, "hunter2") || c.service != strings.Contains(found[0].Remedy, "systemd-run") {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
