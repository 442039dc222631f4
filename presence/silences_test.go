package presence

import (
	"testing"
	"time"
)

func TestSilences(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	if _, ok := r.e.Silences(mac(9).ID()); ok {
		t.Error("an unknown device has silences")
	}
	d := r.e.devices[mac(1).ID()]
	d.model = Model{home: 2}
	for range 99 {
		d.model.sleep(40 * time.Second)
	}
	d.model.sleep(20 * time.Minute)
	d.model.join(3 * time.Hour)
	s, ok := r.e.Silences(mac(1).ID())
	if !ok || s.Home != 2*week || s.Usual < 40*time.Second || s.Usual > time.Minute {
		t.Errorf("%v: at home for %v, usual %v", ok, s.Home, s.Usual)
	}
	var slept, joined float64
	last := time.Duration(0)
	for _, b := range s.Bins {
		if b.UpTo <= last {
			t.Errorf("%v comes after %v", b.UpTo, last)
		}
		if b.Slept > 0 && b.UpTo < 40*time.Second || b.Joined > 0 && b.UpTo < 3*time.Hour {
			t.Errorf("%+v", b)
		}
		slept, joined, last = slept+b.Slept, joined+b.Joined, b.UpTo
	}
	if slept != 100 || joined != 1 {
		t.Errorf("%v sleeps, %v joins", slept, joined)
	}
	if n := len((&Model{}).silences().Bins); n != 0 {
		t.Errorf("%d bins of nothing", n)
	}
}
