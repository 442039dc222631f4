package homeassistant

// scenarios are played one after the other, each in a scene of its own.
var scenarios = []struct {
	name string
	play func(*scene)
}{
	{"discovery", discovered},
	{"home and not_home", homeAndNotHome},
	{"person, zone and GPS", peopleAndZones},
}
