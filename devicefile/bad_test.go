package devicefile

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"porchlight/lab/labtest"
	"porchlight/presence"
)

// TestBadFiles: whatever becomes of the file, one line says what is wrong, and
// where; what it said before counts, also after a restart.
func TestBadFiles(t *testing.T) {
	good := file("Anna")
	entry := func(fields string) string { return good + "  - mac: 02:00:5e:10:00:02\n    " + fields + "\n" }
	for name, c := range map[string]struct{ content, says string }{
		"the same MAC twice":        {good + good[len("devices:\n"):], "line 4: mac: 02:00:5e:10:00:01 has an entry in line 2 already"},
		"an unknown field":          {entry("nmae: Ben"), "line 5: nmae: no such field"},
		"an unknown field above":    {good + "device: []\n", "line 4: device: no such field"},
		"a name of 10 kB":           {entry("name: " + strings.Repeat("x", 10<<10)), "line 5: name: want at most 63 bytes, not 10240"},
		"a name of 10 kB of blanks": {entry(`name: "` + strings.Repeat(" a", 5<<10) + `"`), "line 5: name: want at most 63 bytes"},
		"control characters":        {entry(`name: "Ben\x1b[2J"`), "line 5: name: want no control characters in it"},
		"invalid UTF-8":             {entry("name: B\xe9n"), "line 5: this is not UTF-8"},
		"a wrong value":             {entry("away_after: [1h]"), "line 5: away_after: want a duration"},
		"torn off":                  {entry(`name: "Be`), "unexpected end of stream"},
		"torn off in a MAC":         {good + "  - mac: 02:00:5e", `line 4: mac: want an address such as 02:00:5e:10:00:01, not "02:00:5e"`},
		"emptied":                   {"", "it is empty"},
		"nothing but zeros":         {strings.Repeat("\x00", 4096), "control characters are not allowed"},
		"a program":                 {"\x7fELF\x02\x01\x01\xff\xfe", "line 1: this is not UTF-8"},
		"too many devices":          {long(MaxDevices + 1), fmt.Sprintf("line %d: devices: want at most 10000", 2+6*MaxDevices)},
		"too long":                  {good + strings.Repeat("#", MaxSize), "it is longer than 2 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "devices.yaml")
			var log bytes.Buffer
			kept := good
			run := func() (w *Watcher, names []string) {
				w = New(Config{Path: path, Last: kept, Keep: func(content string) { kept = content }, Log: slog.New(slog.NewTextHandler(&log, nil))})
				for _, d := range w.Load() {
					names = append(names, *d.Name)
				}
				return w, names
			}
			told := func(when string) {
				t.Helper()
				said := strings.Split(strings.TrimSpace(log.String()), "\n")
				bad := slices.IndexFunc(said, func(line string) bool { return strings.Contains(line, "level=ERROR") })
				if n := strings.Count(log.String(), "level=ERROR"); n != 1 || len(said[bad]) > 1000 ||
					!strings.Contains(said[bad], path+": ") || !strings.Contains(strings.ReplaceAll(said[bad], `\"`, `"`), c.says) {
					t.Errorf("%s: %d faults told:\n%.2000s", when, n, log.String())
				}
				log.Reset()
			}
			write(t, path, good)
			w, _ := run()
			write(t, path, c.content)
			for range 2 { // it is told once
				content, err := Read(path)
				w.take(content, err, func(list []presence.Declaration) { t.Errorf("declared %d devices", len(list)) })
			}
			told("when it changed")
			if !strings.Contains(w.Problem(), c.says) || w.active != good || kept != good {
				t.Errorf("problem %.300q, what counts: %.100q, kept: %.100q", w.Problem(), w.active, kept)
			}
			w, names := run()
			told("after a restart")
			if !slices.Equal(names, []string{"Anna"}) || !strings.Contains(w.Problem(), c.says) {
				t.Errorf("after a restart: %q, problem %.300q", names, w.Problem())
			}
		})
	}
}

// long is a file of n devices, of six lines each.
func long(n int) string {
	var b strings.Builder
	b.WriteString("devices:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - mac: 02:00:00:%02x:%02x:%02x\n    name: Device number %d\n    groups: [Floor %d, All]\n    kind: iot\n    away_after: 10m\n    notes: from a long list\n", i>>16, i>>8&0xff, i&0xff, i, i%20)
	}
	return b.String()
}

// TestManyDevices: ten thousand take ten times as long as one thousand, and
// little room.
func TestManyDevices(t *testing.T) {
	read := func(n int) (took time.Duration, room uint64) {
		content := []byte(long(n))
		took = time.Hour
		for range 3 { // the machine may do other things
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := labtest.CPU(t)
			list, err := Parse(content)
			took = min(took, labtest.CPU(t)-began)
			runtime.ReadMemStats(&after)
			room = after.TotalAlloc - before.TotalAlloc
			if err != nil || len(list) != n || *list[n-1].Name != fmt.Sprintf("Device number %d", n-1) {
				t.Fatalf("%d devices of %d bytes, %v", len(list), len(content), err)
			}
		}
		return took, room
	}
	some, _ := read(MaxDevices / 10)
	all, room := read(MaxDevices)
	t.Logf("%s for %d devices, %s for a tenth; %d MB", all, MaxDevices, some, room>>20)
	if all > 30*some || room > 80<<20 {
		t.Error("it does not grow as the file does")
	}
}

// TestSameAfterRestart: what has not changed is not kept anew.
func TestSameAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.yaml")
	write(t, path, file("Anna"))
	w := New(Config{
		Path: path, Last: file("Anna"), Log: slog.New(slog.DiscardHandler),
		Keep: func(string) { t.Error("kept again") },
	})
	if list := w.Load(); len(list) != 1 || w.active != file("Anna") {
		t.Errorf("declared %+v", list)
	}
	must(t, os.Remove(path))
	content, err := Read(path)
	w.take(content, err, func([]presence.Declaration) { t.Error("declared") })
	if !strings.Contains(w.Problem(), "it is gone") || w.active != file("Anna") {
		t.Errorf("problem %q", w.Problem())
	}
}
