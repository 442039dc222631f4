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
		level       Level // empty: nothing is said
		text        string
	}{
		"off":                          {"off", syscall.EPERM, silent, "", ""},
		"on":                           {"always", nil, silent, OK, "is counted"},
		"not permitted":                {"always", syscall.EPERM, silent, Warn, "CAP_NET_RAW"},
		"not permitted, with logind":   {"attended", syscall.EPERM, nil, Warn, "CAP_NET_RAW"},
		"while someone is there":       {"attended", nil, nil, OK, "while someone is at it"},
		"nobody says whether somebody": {"attended", nil, silent, Warn, "logind does not say whether someone is at this machine (no bus)"},
	} {
		found := checkTraffic(c.mode, c.raw, nil, func() error { return c.logind })
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
	found := checkTraffic("always", nil, []string{"wg9"}, nil)
	if len(found) != 2 || found[0].Level != Warn || !strings.Contains(found[0].Text, "wg9") || found[1].Level != OK {
		t.Errorf("%+v", found)
	}
}
