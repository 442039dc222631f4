package history

import (
	"strings"
	"testing"
	"time"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	at := func(s int) stored {
		return stored{Device: presence.Device{ID: "02005e100001", LastSeen: t0.Add(time.Duration(s) * time.Second)}, model: []byte{1}}
	}
	learned, renamed := at(0), at(0)
	learned.model = []byte{2}
	renamed.Name = "Ann"
	type written map[presence.ID]string
	for name, c := range map[string]struct {
		do          func(*changes)
		now, minute written
	}{
		"new":            {func(c *changes) { c.save(at(0)) }, written{"02005e100001": "row seen"}, written{"02005e100001": "model"}},
		"nothing":        {func(c *changes) { known(c); c.save(at(0)) }, nil, nil},
		"seen":           {func(c *changes) { known(c); c.save(at(1)); c.save(at(2)) }, nil, written{"02005e100001": "seen"}},
		"learned":        {func(c *changes) { known(c); c.save(learned) }, nil, written{"02005e100001": "model"}},
		"renamed":        {func(c *changes) { known(c); c.save(at(1)); c.save(renamed) }, written{"02005e100001": "row seen"}, nil},
		"removed":        {func(c *changes) { known(c); c.save(at(1)); c.remove("02005e100001") }, written{"02005e100001": "gone"}, nil},
		"removed twice":  {func(c *changes) { known(c); c.remove("02005e100001"); c.remove("02005e100001") }, written{"02005e100001": "gone"}, nil},
		"never there":    {func(c *changes) { c.remove("02005e100001") }, nil, nil},
		"new, removed":   {func(c *changes) { c.save(at(0)); c.remove("02005e100001") }, written{"02005e100001": "gone"}, nil},
		"removed, back":  {func(c *changes) { known(c); c.remove("02005e100001"); c.save(at(0)) }, written{"02005e100001": "gone row seen"}, written{"02005e100001": "model"}},
		"failed":         {func(c *changes) { c.save(at(0)); c.putBack(c.take()) }, written{"02005e100001": "row seen"}, written{"02005e100001": "model"}},
		"failed removal": {func(c *changes) { known(c); c.remove("02005e100001"); c.putBack(c.take()) }, written{"02005e100001": "gone"}, nil},
		"failed, removed": {
			func(c *changes) { c.save(at(0)); w := c.take(); c.remove("02005e100001"); c.putBack(w) },
			written{"02005e100001": "gone"},
			nil,
		},
		"failed, back, removed": {func(c *changes) {
			known(c)
			c.remove("02005e100001")
			c.save(at(0))
			w := c.take()
			c.remove("02005e100001")
			c.putBack(w)
		}, written{"02005e100001": "gone"}, nil},
		"fresh file": {func(c *changes) { known(c); c.all() }, written{"02005e100001": "row seen model"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ch := newChanges()
			c.do(&ch)
			take := func() (w written) {
				for _, d := range ch.take() {
					if w == nil {
						w = written{}
					}
					w[d.ID] = d.what.String()
				}
				return w
			}
			if diff := cmp.Diff(c.now, take()); diff != "" {
				t.Errorf("at once (-want +got):\n%s", diff)
			}
			ch.due(ch.waiting(seen|model), seen|model)
			if diff := cmp.Diff(c.minute, take()); diff != "" {
				t.Errorf("later (-want +got):\n%s", diff)
			}
			if n := len(ch.lazy) + len(ch.ready) + len(ch.queue); n != 0 {
				t.Errorf("%d left", n)
			}
		})
	}
}

// known makes c hold a device that is in the database.
func known(c *changes) {
	c.save(stored{Device: presence.Device{ID: "02005e100001", LastSeen: t0}, model: []byte{1}})
	c.due(c.waiting(model), model)
	c.take()
}

func (a aspect) String() string {
	var names []string
	for i, name := range []string{"gone", "row", "seen", "model"} {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
