package connections

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRecall(t *testing.T) {
	curl, other := &Process{PID: 5, Ticks: 7, Name: "curl"}, &Process{PID: 5, Ticks: 8, Name: "other"}
	snapshot := func(boot string, partial bool, all ...Connection) *Snapshot {
		return &Snapshot{Boot: boot, Partial: partial, Connections: all}
	}
	conn := func(inode uint64, remote string, p *Process) Connection {
		return Connection{Protocol: TCP, State: Established, Local: netip.MustParseAddrPort("192.0.2.1:50000"), Remote: netip.MustParseAddrPort(remote), Inode: inode, Process: p, Others: 1}
	}
	const you, them = "192.0.2.9:443", "192.0.2.8:443"
	before := snapshot("this", false, conn(1, you, curl), conn(2, them, nil), conn(0, them, curl))
	for name, test := range map[string]struct {
		before, now *Snapshot
		want        string
	}{
		"closed meanwhile":  {before, snapshot("this", false, conn(1, you, nil)), "curl"},
		"still there":       {before, snapshot("this", false, conn(1, you, other)), "other"},
		"another end":       {before, snapshot("this", false, conn(1, them, nil)), ""},
		"another socket":    {before, snapshot("this", false, conn(3, you, nil)), ""},
		"was nobody's":      {before, snapshot("this", false, conn(2, them, nil)), ""},
		"only the kernel's": {before, snapshot("this", false, conn(0, them, nil)), ""},
		"after a restart":   {before, snapshot("that", false, conn(1, you, nil)), ""},
		"processes hidden":  {before, snapshot("this", true, conn(1, you, nil)), ""},
		"they were":         {snapshot("this", true, conn(1, you, curl)), snapshot("this", false, conn(1, you, nil)), ""},
		"the first look":    {nil, snapshot("this", false, conn(1, you, nil)), ""},
		"called otherwise":  {before, snapshot("this", false, conn(1, you, nil), conn(4, them, &Process{PID: 5, Ticks: 7, Name: "renamed"})), "renamed"},
	} {
		recalled := test.now.recall(test.before, nil)
		c := test.now.Connections[0]
		if diff := cmp.Diff(test.want, c.Program()); diff != "" || c.Others != 1 {
			t.Errorf("%s: %s %+v", name, diff, c)
		}
		again := snapshot("this", false, conn(c.Inode, c.Remote.String(), nil))
		again.recall(test.now, recalled)
		if p := again.Connections[0].Process; p != nil && recalled[c.Inode] {
			t.Errorf("%s: recalled twice: %+v", name, p)
		}
	}
}

// A Recorder stores with its program what is closed while it looks, once.
func TestRecorderRecalls(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, log, looks := newActing(), &bytes.Buffer{}, 0
		c := a.config(dir, log)
		c.Take = func(names DeviceNames) (*Snapshot, error) {
			s, err := a.take(names)
			if looks++; looks > 1 {
				s.Connections[0].Process = nil
			}
			return s, err
		}
		run(t, c, func(*Recorder) { time.Sleep(61 * time.Second) })
	})
	s, err := OpenStore(t.Context(), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for number, want := range map[int64]string{1: "server22", 2: "server22", 3: ""} {
		got, err := s.Load(t.Context(), number)
		if err != nil || got.Connections[0].Program() != want {
			t.Errorf("snapshot %d: %v, %+v; want %q", number, err, got, want)
		}
	}
}
