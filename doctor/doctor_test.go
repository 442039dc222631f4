package doctor

import (
	"encoding/json"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porchlight/config"
)

// TestRun has a whole household's worth of checks done on a LAN that works,
// but for one thing at a time.
func TestRun(t *testing.T) {
	t.Setenv("PORCHLIGHT_", "") // config says that this is no setting
	for _, test := range []struct {
		name   string
		change func(t *testing.T, cfg *config.Config)
		ok     bool
		want   map[string]Level // the worst of each check; "clock", "database" and "ipv6" depend on the machine
	}{
		{
			"all is well", func(*testing.T, *config.Config) {}, true,
			map[string]Level{"settings": Warn, "capability": OK, "interface": OK, "container": OK, "hearing": OK, "broker": OK, "web": OK},
		},
		{
			"no such interface", func(_ *testing.T, cfg *config.Config) { cfg.Interfaces = []string{"enp3s0"} }, false,
			map[string]Level{"settings": Warn, "capability": OK, "interface": Fail, "container": OK, "broker": OK, "web": OK},
		},
		{
			"a port is taken", func(t *testing.T, cfg *config.Config) {
				l, err := net.Listen("tcp", cfg.WebListen)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { l.Close() })
			}, true,
			map[string]Level{"settings": Warn, "capability": OK, "interface": OK, "container": OK, "hearing": OK, "broker": OK, "web": Warn},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, _, err := config.Load([]string{"PORCHLIGHT_DATA_DIR=" + t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			inNetwork(t, func() {
				test.change(t, &cfg)
				worst := map[string]Level{}
				good := Run(t.Context(), cfg, func(f Finding) {
					if f.Text == "" || (f.Remedy == "") != (f.Level == OK) {
						t.Errorf("finding %+v", f)
					}
					if worst[f.Check] == "" || worst[f.Check] == OK || f.Level == Fail {
						worst[f.Check] = f.Level
					}
				})
				delete(worst, "clock")
				delete(worst, "database")
				delete(worst, "ipv6")
				if diff := cmp.Diff(test.want, worst); diff != "" || good != test.ok {
					t.Errorf("ok is %t; %s", good, diff)
				}
			})
		})
	}
}

func TestFindingJSON(t *testing.T) {
	for _, test := range []struct {
		finding Finding
		want    string
	}{
		{ok("clock", "Fine."), `{"check":"clock","level":"ok","text":"Fine."}`},
		{warn("clock", "Hm.", "Do it."), `{"check":"clock","level":"warn","text":"Hm.","remedy":"Do it."}`},
	} {
		got, err := json.Marshal(test.finding)
		if err != nil || string(got) != test.want {
			t.Errorf("got %s, %v; want %s", got, err, test.want)
		}
	}
}
