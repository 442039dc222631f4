package main

import (
	"fmt"
	_ "time/tzdata" // an app's image has no time zones of its own, but its log is read in local time

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
