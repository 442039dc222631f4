package homeassistant

// scenarios are played one after the other, each in a scene of its own. discovered
// is the last: half a minute after it has enabled entities Home Assistant reloads
// MQTT by itself, and hears no event meanwhile.
var scenarios = []struct {
	name string
	play func(*scene)
}{
	{"what Home Assistant logs is seen", logSeen},
	{"home and not_home", homeAndNotHome},
	{"person, zone and GPS", peopleAndZones},
	{"new_device fires once", newDeviceOnce},
	{"scan now", scanNow},
	{"Home Assistant restarted", haRestarted},
	{"Home Assistant away", haAway},
	{"MQTT reloaded", mqttReloaded},
	{"broker restarted", brokerRestarted},
	{"broker lost its memory", brokerForgot},
	{"Porchlight restarted", porchlightRestarted},
	{"Porchlight killed", porchlightKilled},
	{"device renamed", deviceRenamed},
	{"device deleted in Home Assistant", deviceDeleted},
	{"device forgotten", deviceForgotten},
	{"devices merged", devicesMerged},
	{"only named devices", trackNamed},
	{"groups", groups},
	{"this machine", thisMachine},
	{"hostile names", hostileNames},
	{"250 devices", crowd},
	{"another discovery prefix", otherPrefix},
	{"discovery off in Home Assistant", discoveryOff},
	{"rubbish on topics of commands", rubbish},
	{"two of the same name", twins},
	{"events forbidden by the broker", noEvents},
	{"discovery forbidden by the broker", noDiscovery},
	{"discovery", discovered},
}
