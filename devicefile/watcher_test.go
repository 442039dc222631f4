package devicefile

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porchlight/presence"
	"porchlight/synced"
)

// patience is for a loaded machine; what is waited for takes a fraction of it.
const patience = time.Minute

// watched is a Watcher at work on a file.
type watched struct {
	*Watcher
	t        *testing.T
	kept     chan string // at most one: the last
	declared chan []presence.Declaration
	log      *synced.Buffer
}

func watch(t *testing.T, path, last string) (w *watched, atStart []presence.Declaration) {
	t.Helper()
	w = &watched{t: t, kept: make(chan string, 1), declared: make(chan []presence.Declaration, 16), log: new(synced.Buffer)}
	w.Watcher = New(Config{Path: path, Last: last, Log: slog.New(slog.NewTextHandler(w.log, nil)), Keep: func(content string) {
		select {
		case <-w.kept:
		default:
		}
		w.kept <- content
	}})
	atStart = w.Load()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- w.Run(ctx, func(list []presence.Declaration) { w.declared <- list })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error("Run:", err)
		}
	})
	return w, atStart
}

// named waits for a declaration of one device with this name.
func (w *watched) named(name string) {
	w.t.Helper()
	select {
	case list := <-w.declared:
		if len(list) != 1 || list[0].Name == nil || *list[0].Name != name {
			w.t.Fatalf("declared %+v, want one device %q", list, name)
		}
	case <-time.After(patience):
		w.t.Fatalf("%q was not declared; the log:\n%s", name, w.log)
	}
}

// says waits for a text in the log.
func (w *watched) says(text string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(w.log.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("the log does not say %q:\n%s", text, w.log)
		}
	}
}

func file(name string) string {
	return "devices:\n  - mac: 02:00:5e:10:00:01\n    name: " + name + "\n"
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Everything that people and machines do to a file.
func TestChanges(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(t *testing.T, dir string) // makes dir/devices.yaml
		change func(t *testing.T, dir string)
	}{
		{
			"written in place",
			func(t *testing.T, dir string) { write(t, dir+"/devices.yaml", file("old")) },
			func(t *testing.T, dir string) { write(t, dir+"/devices.yaml", file("new")) },
		},
		{
			"another takes its place, as editors do",
			func(t *testing.T, dir string) { write(t, dir+"/devices.yaml", file("old")) },
			func(t *testing.T, dir string) {
				must(t, os.Rename(dir+"/devices.yaml", dir+"/devices.yaml~"))
				write(t, dir+"/.devices.swp", file("new"))
				must(t, os.Rename(dir+"/.devices.swp", dir+"/devices.yaml"))
			},
		},
		{
			"emptied, and written later",
			func(t *testing.T, dir string) { write(t, dir+"/devices.yaml", file("old")) },
			func(t *testing.T, dir string) {
				f, err := os.Create(dir + "/devices.yaml")
				must(t, err)
				emptied := time.Now()
				time.Sleep(quiet / 3) // what some editors take
				_, err = f.WriteString(file("new"))
				must(t, err)
				must(t, f.Close())
				if took := time.Since(emptied); took > quiet*2/3 {
					t.Skipf("the machine is too busy: the file was empty for %s", took)
				}
			},
		},
		{
			"a link into a directory that is replaced, as in Kubernetes",
			func(t *testing.T, dir string) {
				must(t, os.MkdirAll(dir+"/..2026_1", 0o755))
				write(t, dir+"/..2026_1/devices.yaml", file("old"))
				must(t, os.Symlink("..2026_1", dir+"/..data"))
				must(t, os.Symlink("..data/devices.yaml", dir+"/devices.yaml"))
			},
			func(t *testing.T, dir string) {
				must(t, os.MkdirAll(dir+"/..2026_2", 0o755))
				write(t, dir+"/..2026_2/devices.yaml", file("new"))
				must(t, os.Symlink("..2026_2", dir+"/..data_tmp"))
				must(t, os.Rename(dir+"/..data_tmp", dir+"/..data"))
				must(t, os.RemoveAll(dir+"/..2026_1"))
			},
		},
		{
			"a link to a file elsewhere",
			func(t *testing.T, dir string) {
				must(t, os.MkdirAll(dir+"/elsewhere", 0o755))
				write(t, dir+"/elsewhere/mine.yaml", file("old"))
				must(t, os.Symlink("elsewhere/mine.yaml", dir+"/devices.yaml"))
			},
			func(t *testing.T, dir string) { write(t, dir+"/elsewhere/mine.yaml", file("new")) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c.before(t, dir)
			w, start := watch(t, filepath.Join(dir, "devices.yaml"), "")
			if len(start) != 1 || *start[0].Name != "old" || <-w.kept != file("old") {
				t.Fatalf("at the start: %+v", start)
			}
			w.says("read the device file")
			c.change(t, dir)
			w.named("new")
			if kept := <-w.kept; kept != file("new") || w.Problem() != "" {
				t.Errorf("kept %q, problem %q", kept, w.Problem())
			}
			if strings.Contains(w.log.String(), "ERROR") {
				t.Errorf("it says:\n%s", w.log)
			}
		})
	}
}

// A fault is told once, with line and field, and changes nothing; so does a
// file that is gone. When the file is as before, nothing is declared anew.
func TestFaultsChangeNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "devices.yaml")
	write(t, path, file("Anna"))
	w, _ := watch(t, path, "")
	<-w.kept
	write := func(t *testing.T, path, content string) { // so that it is never seen empty
		t.Helper()
		write(t, path+"~", content)
		must(t, os.Rename(path+"~", path))
	}
	write(t, path, file("Anna")+"    away_after: soon\n")
	w.says("line 4: away_after: want a duration")
	if p := w.Problem(); !strings.Contains(p, path) || !strings.Contains(p, "line 4") {
		t.Errorf("problem %q", p)
	}
	write(t, path, file("Anna"))
	w.says("in order again")
	must(t, os.Remove(path))
	w.says("it is gone")
	write(t, path, file("Ben"))
	w.named("Ben")
	w.says("the device file has changed")
	if n := strings.Count(w.log.String(), "ERROR"); n != 2 || len(w.declared) > 0 || w.Problem() != "" {
		t.Errorf("%d errors, %d declared, problem %q:\n%s", n, len(w.declared), w.Problem(), w.log)
	}
}

// A file that is not there yet, in a directory that is not there yet.
func TestFileComesLater(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "config")
	w, start := watch(t, filepath.Join(dir, "devices.yaml"), "")
	if start != nil || w.Problem() != "" {
		t.Fatalf("declared %+v, problem %q", start, w.Problem())
	}
	w.says("there is no device file")
	must(t, os.Mkdir(dir, 0o755))
	write(t, filepath.Join(dir, "devices.yaml"), file("Anna"))
	w.named("Anna") // the directory is looked for every few seconds
	if n := strings.Count(w.log.String(), "no device file"); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.log)
	}
}

// After a restart, what the file said last counts as long as it cannot be read.
func TestLast(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, path string){
		"a fault":      func(t *testing.T, path string) { write(t, path, "devices: [") },
		"gone":         func(*testing.T, string) {},
		"a directory":  func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o755)) },
		"much too big": func(t *testing.T, path string) { write(t, path, strings.Repeat("#", MaxSize+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "devices.yaml")
			prepare(t, path)
			w, start := watch(t, path, file("Anna"))
			if len(start) != 1 || *start[0].Name != "Anna" || !strings.Contains(w.Problem(), path) {
				t.Errorf("declared %+v, problem %q", start, w.Problem())
			}
			if n := strings.Count(w.log.String(), "\n"); n != 1 || !strings.Contains(w.log.String(), "what it said before still does") {
				t.Errorf("%d lines:\n%s", n, w.log)
			}
		})
	}
}
