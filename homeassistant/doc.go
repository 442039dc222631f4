// Package homeassistant runs a real Home Assistant in a host of the lab, for
// tests. scripts/homeassistant makes the folder with the releases.
//
//	ha, err := homeassistant.Start(ctx, homeassistant.Options{Root: root, Release: "2026.4.4", Host: obs.Host, Dir: dir})
//	defer ha.Close()
//	err = ha.AddMQTT(ctx, broker.Addr())
//	state, err := ha.State(ctx, "person.ann")
//
// It is started headless, with nothing but loopback and the lab's wire to talk
// to, made usable over its own REST interface as a person's first visit does,
// and then asked through what its own page uses: REST for states and actions
// (https://developers.home-assistant.io/docs/api/rest), a websocket for its
// registries and its stream of changes
// (https://developers.home-assistant.io/docs/api/websocket).
//
// The package serves the tests beside it; the program does not need it.
package homeassistant
