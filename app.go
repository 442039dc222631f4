package main

import (
	"fmt"
	_ "time/tzdata" // an app's image has no time zones of its own, but its log is read in local time

	"porchlight/config"
	"porchlight/supervisor"
)

// fromSupervisor adds what Home Assistant's Supervisor and the app's options say
// to the environment, once, when Porchlight runs as an app of Home Assistant.
func (a *app) fromSupervisor() error {
	if !supervisor.Inside(a.environ) {
		return nil
	}
	environ, err := supervisor.Settings(a.ctx, a.environ, func(line string) {
		_, _ = fmt.Fprintln(a.stderr, "porchlight:", line)
	})
	if err != nil {
		return err
	}
	a.environ = environ
	return nil
}

// appProblems is what a user sees on the page in Home Assistant when the app
// found no broker there.
func appProblems(cfg config.Config) []string {
	if len(cfg.IngressPorts) == 0 || cfg.MQTTURL != nil {
		return nil
	}
	return []string{`Home Assistant has no MQTT broker, so it does not hear of this: install the app "Mosquitto broker" and restart Porchlight`}
}
