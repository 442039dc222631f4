package daytest

import (
	"fmt"

	"porchlight/presence/household"
)

// Home returns the fifty devices of a home: mostly things that are always
// there, and what five people carry about. Each has a name of its own.
func Home() []household.Habit {
	many := map[string]int{
		"plug": 9, "television": 3, "speaker": 6, "camera": 4, "lamp": 10, "thermostat": 3,
		"tablet with ARP offload": 2, "laptop": 3, "child's phone, up to 15 min": 2, "watch, sleeps up to 6 min": 2,
	}
	var home []household.Habit
	for _, h := range household.Household() {
		for i := range max(many[h.Name], 1) {
			one := h
			if many[h.Name] > 1 {
				one.Name = fmt.Sprintf("%s %d", h.Name, i+1)
			}
			home = append(home, one)
		}
	}
	return home
}
