package homeassistant

// scenarios are played one after the other, each in a scene of its own.
var scenarios = []struct {
	name string
	play func(*scene)
}{
	{"discovery", discovered},
	{"home and not_home", homeAndNotHome},
	{"person, zone and GPS", peopleAndZones},
	{"new_device fires once", newDeviceOnce},
	{"scan now", scanNow},
	{"Home Assistant restarted", haRestarted},
	{"Home Assistant away", haAway},
	{"MQTT reloaded", mqttReloaded},
	{"broker restarted", brokerRestarted},
	{"broker lost its memory", brokerForgot},
}
