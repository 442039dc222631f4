package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"porchlight/scenario/daytest"
)

func TestQuiet(t *testing.T) {
	const attr = `{"Action":"attr","Test":"TestQuietDay","Key":"figures","Value":"{\"Devices\":50,\"Transitions\":4,\"Messages\":44,\"PerTransition\":11,\"Still\":48}"}`
	f, found := quietFigures([]byte("{\"Action\":\"start\"}\nnot json\n" + attr + "\n{\"Action\":\"pass\"}\n"))
	want := daytest.Figures{Devices: 50, Transitions: 4, Messages: 44, PerTransition: 11, Still: 48}
	if diff := cmp.Diff(want, f); diff != "" || !found {
		t.Errorf("found %v, (-want +got):\n%s", found, diff)
	}
	if _, found := quietFigures([]byte("{\"Action\":\"fail\"}\n")); found {
		t.Error("found figures where there are none")
	}
	noisy, chatty := f, f
	chatty.PerTransition, chatty.StillMessages = 5, 1
	for _, c := range []struct {
		f    daytest.Figures
		want [2]verdict
	}{{noisy, [2]verdict{missed, kept}}, {chatty, [2]verdict{kept, missed}}} {
		rows := quietRows(c.f)
		if got := [2]verdict{rows[0].verdict, rows[1].verdict}; got != c.want {
			t.Errorf("%+v: %q, want %q", c.f, got, c.want)
		}
	}
}
