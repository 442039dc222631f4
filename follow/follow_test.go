package follow

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// reading is a File whose content is passed on when it is taken; what ends with
// "…" is not whole.
func reading(path string, taken chan<- string) File {
	return File{Path: path, Beside: []string{".2"}, Read: func() (take func(), whole bool) {
		text := "none"
		if f, err := Open(path); err == nil {
			content, _ := io.ReadAll(f)
			text = string(content)
			_ = f.Close()
		}
		return func() { taken <- text }, !strings.HasSuffix(text, "…")
	}}
}

// start follows files until the test ends.
func start(t *testing.T, cfg Config) {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("Run:", err)
		}
	})
}

// TestWhenItIsRead is when a file is read, by the clock: told of a change and
// not, restless, half-written, and no more often than it may be.
func TestWhenItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		taken, notices, rounds := make(chan string, 99), make(chan string), 0
		start(t, Config{
			Files: []File{reading(path, taken)}, Notices: notices, Round: func() { rounds++ },
			Quiet: time.Second, Patience: 10 * time.Second, Gap: 3 * time.Second, Poll: 30 * time.Second,
		})
		began := time.Now()
		after := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			var got []string
			for len(taken) > 0 {
				got = append(got, <-taken)
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("after %s: read %q, want %q", time.Since(began), got, want)
			}
		}
		change := func(text string) {
			write(t, path, text)
			notices <- path
		}
		after(900 * time.Millisecond)
		after(200*time.Millisecond, "none")
		after(time.Minute)
		change("one")
		after(900 * time.Millisecond)
		after(200*time.Millisecond, "one")
		notices <- path // nothing has changed
		after(time.Minute)

		write(t, path, "not told of")
		after(31*time.Second, "not told of")
		notices <- filepath.Join(filepath.Dir(path), "other")
		write(t, path+".2", "beside it")
		notices <- path + ".2"
		after(4*time.Second, "not told of")

		change("first")
		after(1100 * time.Millisecond) // the last reading was a moment ago
		after(3*time.Second, "first")
		change("half…")
		after(9 * time.Second)
		change("whole")
		after(2*time.Second, "whole")
		after(time.Minute)
		change("never more than half…")
		after(9 * time.Second)
		after(2*time.Second, "never more than half…")

		after(time.Minute)
		for n := range 18 {
			change("restless" + strings.Repeat("!", n))
			after(500 * time.Millisecond)
		}
		after(1500*time.Millisecond, "restless"+strings.Repeat("!", 17))
		must(t, os.Remove(path))
		notices <- path
		after(5*time.Second, "none")
		if rounds != 9 {
			t.Errorf("%d rounds", rounds)
		}
	})
}

// TestChangeWhileRead: what changes while it is read does not count as read.
func TestChangeWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, "one")
		taken := make(chan string, 9)
		inner := reading(path, taken)
		file, reads := inner, 0
		file.Read = func() (func(), bool) {
			take, whole := inner.Read()
			if reads++; reads == 1 {
				write(t, path, "other")
			}
			return take, whole
		}
		start(t, Config{Files: []File{file}, Notices: make(chan string), Quiet: time.Second, Patience: time.Minute, Poll: time.Hour})
		time.Sleep(5 * time.Second)
		if got := <-taken; got != "other" || len(taken) > 0 || reads != 2 {
			t.Errorf("%q, read %d times", got, reads)
		}
	})
}

// TestLinks: links are followed to where they point by now; the system tells of
// changes there.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	for _, name := range []string{"a", "b"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		write(t, filepath.Join(dir, name, "file"), name)
	}
	must(t, os.Symlink("a/file", link))
	taken := make(chan string, 9)
	start(t, Config{Files: []File{reading(link, taken)}, Quiet: 20 * time.Millisecond, Patience: time.Minute, Poll: time.Hour})
	await := func(want string) {
		t.Helper()
		for {
			select {
			case got := <-taken:
				if got == want {
					return
				}
				if got != "" { // it is empty for a moment before it is written
					t.Fatalf("read %q, want %q", got, want)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%q is not read", want)
			}
		}
	}
	await("a")
	write(t, filepath.Join(dir, "a", "file"), "a2")
	await("a2")
	must(t, os.Symlink("b/file", link+"~"))
	must(t, os.Rename(link+"~", link))
	await("b")
	write(t, filepath.Join(dir, "b", "file"), "b2")
	await("b2")
	must(t, os.Remove(filepath.Join(dir, "b", "file")))
	await("none")
	write(t, filepath.Join(dir, "b", "file"), "b3")
	await("b3")
	must(t, os.RemoveAll(filepath.Join(dir, "b")))
	await("none")
}

// TestTimePutBack: a change is seen of which neither the size nor the time tells.
func TestTimePutBack(t *testing.T) {
	f := followed{File: File{Path: filepath.Join(t.TempDir(), "file")}}
	old := time.Now().Add(-time.Hour)
	as := func(text string) print {
		write(t, f.Path, text)
		must(t, os.Chtimes(f.Path, old, old))
		return f.print()
	}
	one, began := as("one"), time.Now()
	two := as("two")
	for two == one && time.Since(began) < 5*time.Second { // a file system's clock is coarse
		two = as("two")
	}
	must(t, os.Chmod(f.Path, 0o400))
	if two == one || f.print() == two {
		t.Errorf("no difference: %q, %q, %q", one, two, f.print())
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	for name, want := range map[string]string{"": ErrNotRegular.Error(), "pipe": ErrNotRegular.Error(), "none": "no such file or directory", "a\x00b": "invalid argument"} {
		if f, err := Open(filepath.Join(dir, name)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v", name, f, err)
		}
	}
}

// Nothing to follow is no reason to end.
func TestNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		if err := Run(ctx, Config{Poll: time.Minute}); err != nil || time.Since(began) != time.Hour {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
