package doctor

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestTraffic(t *testing.T) {
	silent := errors.New("no bus")
	for name, c := range map[string]struct {
		mode        string
		raw, logind error
		held        bool
		level       Level // empty: nothing is said
		text        string
	}{
		"off":                          {"off", syscall.EPERM, silent, false, "", ""},
		"on":                           {"always", nil, silent, false, OK, "is counted"},
		"not permitted":                {"always", syscall.EPERM, silent, false, Warn, "CAP_NET_RAW"},
		"not permitted, with logind":   {"attended", syscall.EPERM, nil, false, Warn, "CAP_NET_RAW"},
		"while someone is there":       {"attended", nil, nil, false, OK, "while someone is at it"},
		"another is told it":           {"attended", nil, nil, true, OK, "says so, below"},
		"nobody says whether somebody": {"attended", nil, silent, false, Warn, "logind does not say whether someone is at this machine (no bus)"},
	} {
		found := checkTraffic(c.mode, c.raw, nil, c.held, func() error { return c.logind })
		if c.level == "" {
			if len(found) != 0 {
				t.Errorf("%s: %+v", name, found)
			}
			continue
		}
		if len(found) != 1 || found[0].Level != c.level || !strings.Contains(found[0].Text, c.text) || (c.level == Warn) != (found[0].Remedy != "") {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// An interface that is named and not there is told, whatever else.
func TestTrafficMissing(t *testing.T) {
	found := checkTraffic("always", nil, []string{"wg9"}, false, nil)
	if len(found) != 2 || found[0].Level != Warn || !strings.Contains(found[0].Text, "wg9") || found[1].Level != OK {
		t.Errorf("%+v", found)
	}
}
