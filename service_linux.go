package main

import (
	"context"
	"fmt"

	"porchlight/systemd"
)

// life is what the service manager is told: that the main loop answers, and how
// things are. Porchlight is ready when each interface has said whether it hears;
// a cable that is out or a broker that is down is no reason to start it again.
func (s *status) life(ctx context.Context) (systemd.State, error) {
	_, sum, err := s.Snapshot(ctx)
	if err != nil {
		return systemd.State{}, err
	}
	state := systemd.State{
		Ready: len(sum.Sensing) >= len(s.lan.names),
		Line:  fmt.Sprintf("%d of %d home", sum.Home, sum.Known),
	}
	for _, i := range sum.Sensing {
		if i.Blind {
			state.Line += ", " + i.Interface + " cannot hear"
		}
	}
	if connected, _ := s.session.Status(); connected {
		state.Line += ", broker connected"
	} else {
		state.Line += ", no broker"
	}
	return state, nil
}
