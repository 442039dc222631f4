package homeassistant

import (
	"fmt"
	"maps"
	"slices"

	"porchlight/lab"
)

// discovered: Porchlight and the devices appear by themselves, under the right
// names, with one enabled entity per device.
func discovered(s *scene) {
	s.start()
	plain := s.thingOf("printer", lab.MAC{0x00, 0x17, 0xc8, 1, 2, byte(s.scenes)}) // KYOCERA
	private := s.thing("phone")
	s.arrive(plain)
	s.arrive(private)

	own, ok := s.registered("")
	if !ok {
		s.t.Fatal("Porchlight has no device of its own")
	}
	equal(s.t, "Porchlight's device", shown(own), Device{
		Name: "Porchlight " + s.node, Manufacturer: "Porchlight", Model: "LAN presence bridge", SWVersion: "dev",
		Identifiers: [][2]string{{"mqtt", "porchlight_" + s.node}}, Connections: [][2]string{},
		ConfigEntries: []string{s.mqtt}, ConfigurationURL: "",
	})
	equal(s.t, "Porchlight's entities", s.summaries(own), map[string]summary{
		"connectivity": {"binary_sensor.porchlight_" + s.node + "_connectivity", "Connection", "", "diagnostic"},
		"someone_home": {"binary_sensor.porchlight_" + s.node + "_someone_home", "Someone home", "", ""},
		"devices_home": {"sensor.porchlight_" + s.node + "_devices_home", "Devices home", "", ""},
		"last_new":     {"sensor.porchlight_" + s.node + "_last_new", "Last new device", "", ""},
		"problem":      {"binary_sensor.porchlight_" + s.node + "_problem", "Problem", "", "diagnostic"},
		"sensing_lan0": {"binary_sensor.porchlight_" + s.node + "_sensing_lan0", "Sensing lan0", "", "diagnostic"},
		"event":        {"event.porchlight_" + s.node + "_event", "Event", "", ""},
		"scan":         {"button.porchlight_" + s.node + "_scan", "Scan now", "", ""},
		"version":      {"sensor.porchlight_" + s.node + "_version", "Version", "", "diagnostic"},
	})
	for entity, want := range map[string]string{
		s.bridge("binary_sensor", "connectivity"): "on",
		s.bridge("binary_sensor", "someone_home"): "on",
		s.bridge("sensor", "devices_home"):        "2",
		s.bridge("sensor", "last_new"):            private.name,
		s.bridge("binary_sensor", "problem"):      "off",
		s.bridge("binary_sensor", "sensing_lan0"): "off",
		s.bridge("sensor", "version"):             "dev",
	} {
		s.await(entity, want)
	}

	for _, one := range []struct {
		*thing
		want Device
	}{
		{plain, Device{Manufacturer: "KYOCERA Display Corporation", Connections: [][2]string{{"mac", "00:17:c8:01:02:" + fmt.Sprintf("%02x", byte(s.scenes))}}}},
		{private, Device{Model: "Private MAC address", Connections: [][2]string{}}},
	} {
		d, ok := s.registered(one.id)
		if !ok {
			s.t.Errorf("%s has no device", one.name)
			continue
		}
		want := one.want
		want.Name, want.ViaDevice, want.ConfigEntries = one.name, own.ID, []string{s.mqtt}
		want.Identifiers = [][2]string{{"mqtt", "porchlight_" + s.node + "_" + one.id}}
		equal(s.t, "the device of "+one.name, shown(d), want)
		id := underscored(one.name)
		equal(s.t, "the entities of "+one.name, s.summaries(d), map[string]summary{
			"tracker":   {"device_tracker." + id, "", "", ""},
			"ip":        {"sensor." + id + "_ip", "IP address", "integration", "diagnostic"},
			"host_name": {"sensor." + id + "_host_name", "Host name", "integration", "diagnostic"},
			"vendor":    {"sensor." + id + "_vendor", "Vendor", "integration", "diagnostic"},
			"last_seen": {"sensor." + id + "_last_seen", "Last seen", "integration", "diagnostic"},
		})
		tracker := s.full(one.tracker)
		for name, want := range map[string]any{
			"source_type": "router", "friendly_name": one.name, "host_name": one.name,
			"ip": one.Addr.String(), "private_mac": one.thing == private,
		} {
			equal(s.t, "attribute "+name+" of "+one.name, tracker.Attributes[name], want)
		}
	}
	s.enable(plain)
}

// enable enables what is disabled by default: it gets its values.
func (s *scene) enable(t *thing) {
	s.t.Helper()
	id := underscored(t.name)
	want := map[string]string{
		"sensor." + id + "_ip":        t.Addr.String(),
		"sensor." + id + "_host_name": t.name,
		"sensor." + id + "_vendor":    "KYOCERA Display Corporation",
	}
	for _, entity := range append(slices.Collect(maps.Keys(want)), "sensor."+id+"_last_seen") {
		s.must(s.ha.UpdateEntity(s.ctx(), entity, map[string]any{"disabled_by": nil}))
	}
	// Home Assistant itself would do it half a minute later.
	s.must(s.ha.ReloadEntry(s.ctx(), s.mqtt))
	for entity, value := range want {
		s.await(entity, value)
	}
	s.until("a time when it was last seen", func() bool {
		return s.full("sensor." + id + "_last_seen").Attributes["device_class"] == "timestamp" && len(s.state("sensor."+id+"_last_seen")) > len("unavailable")
	})
}

// shown is what a device's page shows, without what Home Assistant made up.
func shown(d Device) Device {
	d.ID = ""
	return d
}

// summary is what matters of an entity.
type summary struct{ Entity, Name, DisabledBy, Category string }

func (s *scene) summaries(d Device) map[string]summary {
	found := map[string]summary{}
	for key, e := range s.entities(d) {
		found[key] = summary{e.Entity, e.OriginalName, e.DisabledBy, e.Category}
	}
	return found
}
