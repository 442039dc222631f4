package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	"porchlight/scenario/daytest"
)

// quiet counts the messages of a day of fifty devices. The day passes in
// virtual time, which only a test has, so the test is run.
func quiet(ctx context.Context, _ *bench) ([]row, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-run", "^TestQuietDay$", "porchlight/scenario")
	out, err := cmd.Output()
	f, found := quietFigures(out)
	if !found {
		return nil, errors.Join(fmt.Errorf("the test did not say its figures: %s", out), err)
	}
	return quietRows(f), nil
}

// quietFigures finds the figures in the output of go test -json.
func quietFigures(out []byte) (f daytest.Figures, found bool) {
	for line := range bytes.Lines(out) {
		var l struct{ Action, Key, Value string }
		if json.Unmarshal(line, &l) == nil && l.Action == "attr" && l.Key == "figures" {
			return f, json.Unmarshal([]byte(l.Value), &f) == nil
		}
	}
	return f, false
}

func quietRows(f daytest.Figures) []row {
	const bound = 10
	return []row{{
		what: fmt.Sprintf("a simulated day of %d devices: messages to the broker", f.Devices),
		measured: fmt.Sprintf("%d for %d comings and goings: %.1f each; at worst %.1f on a device's own topics and about it",
			f.Messages, f.Transitions, f.PerTransition, f.Worst),
		bound: fmt.Sprintf("less than %d", bound), verdict: judge(f.PerTransition < bound && f.Worst < bound),
	}, {
		what:     fmt.Sprintf("the same: messages about the %d devices that neither came nor went", f.Still),
		measured: fmt.Sprintf("%d, for %d frames heard of all", f.StillMessages, f.Sightings),
		bound:    "none", verdict: judge(f.StillMessages == 0),
	}}
}
