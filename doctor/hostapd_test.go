package doctor

import (
	"io/fs"
	"strings"
	"testing"

	"porchlight/hostapd"
)

func TestCheckHostapd(t *testing.T) {
	found := checkHostapd([]hostapd.Found{
		{Path: "/run/hostapd/wlan0", Stations: 12},
		{Path: "/run/hostapd/wlan1", Err: fs.ErrPermission},
		{Path: "/run/hostapd/wlan2", Err: fs.ErrNotExist},
	})
	want := []struct {
		level        Level
		text, remedy string
	}{
		{OK, "hostapd answers at /run/hostapd/wlan0: stations: 12.", ""},
		{Warn, "This user may not speak to hostapd at /run/hostapd/wlan1.", "SupplementaryGroups=."},
		{Warn, "There is no control socket of hostapd at /run/hostapd/wlan2.", "ctrl_interface=/run/hostapd."},
	}
	if len(found) != len(want) {
		t.Fatalf("%+v", found)
	}
	for i, w := range want {
		if f := found[i]; f.Check != "hostapd" || f.Level != w.level || f.Text != w.text || !strings.HasSuffix(f.Remedy, w.remedy) {
			t.Errorf("%+v, want %+v", f, w)
		}
	}
	if found := checkHostapd(nil); found != nil {
		t.Errorf("nothing is set: %+v", found)
	}
}
