package presence

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMerge(t *testing.T) {
	a, b := privateMAC(1), privateMAC(2)
	for payload, want := range map[string]struct {
		merge []ID
		split []MAC
		err   string
	}{
		`{"merge":"02005e000001"}`:                            {merge: []ID{a.ID()}},
		`{"merge":["02:00:5e:00:00:01","02-00-5E-00-00-02"]}`: {merge: []ID{a.ID(), b.ID()}},
		`{"split":"02:00:5e:00:00:01"}`:                       {split: []MAC{a}},
		`{"split":["02005e000001","02005e000002"]}`:           {split: []MAC{a, b}},
		`{"name":"x"}`:                        {},
		`rubbish`:                             {},
		`{"merge":"02005e000001"} {}`:         {},
		``:                                    {},
		`{"merge":"02005e000001","name":"x"}`: {err: "merge and split each want a command of their own"},
		`{"merge":"02005e000001","split":"02005e000002"}`: {err: "merge and split each want a command of their own"},
		`{"merge":"phone"}`:             {err: "merge: want a device's id or MAC, or a list of up to 32"},
		`{"merge":null}`:                {err: "merge: want"},
		`{"merge":{}}`:                  {err: "merge: want"},
		`{"split":[]}`:                  {err: "split: want"},
		`{"split":["02005e000001",""]}`: {err: "split: want"},
		`{"split":"ffffffffffff"}`:      {err: "split: want"},
		`{"split":[` + strings.Repeat(`"02005e000001",`, 32) + `"02005e000001"]}`: {err: "split: want"},
	} {
		merge, split, err := ParseMerge([]byte(payload))
		if diff := cmp.Diff(want.merge, merge) + cmp.Diff(want.split, split); diff != "" {
			t.Errorf("%.60s: %s", payload, diff)
		}
		if (err == nil) != (want.err == "") || err != nil && (!strings.Contains(err.Error(), want.err) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%.60s: %v, want %q", payload, err, want.err)
		}
	}
}

func FuzzParseMerge(f *testing.F) {
	f.Add([]byte(`{"merge":["02:00:5e:00:00:01","02005e000002"]}`))
	f.Add([]byte(`{"split":"02005e000001"}`))
	f.Add([]byte(`{"merge":[null,"",{}],"merge":null,"Split":["0200.5e00.0001"]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		merge, split, err := ParseMerge(payload)
		if len(merge) > MaxMACs || len(split) > MaxMACs || len(merge) > 0 && len(split) > 0 || err != nil && len(merge)+len(split) > 0 {
			t.Error(merge, split, err)
		}
		for _, id := range merge {
			if m, err := ParseMAC(string(id)); err != nil || m.ID() != id {
				t.Error(id)
			}
		}
	})
}

func TestParseFollow(t *testing.T) {
	for payload, want := range map[string]*Follow{
		`{"follow":true}`:                              {Same: true},
		`{"follow":{"same":true}}`:                     {Same: true},
		`{"follow":false}`:                             {},
		`{"follow":null}`:                              {},
		`{"follow":{"host_name":"x","client_id":"1"}}`: {HostName: "x", ClientID: "1"},
		`{"follow":{}}`:                                nil,
		`{"follow":{"host_name":" "}}`:                 nil,
		`{"follow":{"vendor":"x"}}`:                    nil,
		`{"follow":"x"}`:                               nil,
		`{"follow":1}`:                                 nil,
	} {
		c, _, err := ParseChange([]byte(payload))
		if (err == nil) != (want != nil) {
			t.Errorf("%s: %v", payload, err)
		}
		if diff := cmp.Diff(want, c.Follow); diff != "" {
			t.Errorf("%s: %s", payload, diff)
		}
	}
}
