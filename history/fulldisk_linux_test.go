package history

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"porchlight/presence"
)

func init() { children["fill-the-disk"] = fillTheDisk }

func TestDisk(t *testing.T) { onSmallDisk(t, "fill-the-disk") }

// onSmallDisk runs a child in a process with a mount namespace of its own, so
// that the small disk that it mounts is seen by nobody else.
func onSmallDisk(t *testing.T, child string) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	cmd := exec.Command(os.Args[0], child, t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

type diskTest struct {
	dir   string
	log   bytes.Buffer
	s     *Store
	given []presence.Event
	known int // devices that each start must know
}

func fillTheDisk(dir string) {
	d := &diskTest{dir: dir}
	check(syscall.Mount("small", dir, "tmpfs", 0, "size=1m"))
	d.open()
	d.s.SaveDevices([]presence.Record{phone("02005e100001", "Ann")})
	d.append(20)
	d.expect("at first", "")

	fmt.Println("the disk fills up while running")
	d.fill()
	d.appendUntilFault()
	d.s.SaveDevices([]presence.Record{phone("02005e100002", "Ben")})
	d.known = 2
	d.s.SetCursor("mqtt", 7)
	d.expect("while the disk is full", "free some space")
	if log := d.log.String(); strings.Count(log, "level=ERROR") != 1 {
		fail("not one line was logged:", log)
	}
	d.free()
	d.recovers()
	d.reopen()
	if c, _ := d.s.Cursor(always, "mqtt"); c != 7 {
		fail("cursor", c)
	}

	fmt.Println("the disk is full at the start")
	check(closing(d.s))
	d.fill()
	d.open()
	d.append(50)
	d.appendUntilFault()
	d.expect("started on a full disk", "free some space")
	d.free()
	d.recovers()
	d.reopen()

	fmt.Println("the disk is read-only at the start")
	check(closing(d.s))
	check(syscall.Mount("", d.dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	r, err := OpenReader(d.dir)
	check(err)
	last, err := r.Last(always, 3)
	check(err)
	if !slices.Equal(seqs(last), seqs(d.given[len(d.given)-3:])) {
		fail("a reader sees", seqs(last))
	}
	check(r.Close())
	d.open()
	d.append(50)
	d.expect("started on a read-only disk", "read-only")
	check(syscall.Mount("", d.dir, "", syscall.MS_REMOUNT, ""))
	d.recovers()
	d.reopen()
	check(closing(d.s))
}

// open opens the store; the household of the last run must be known.
func (d *diskTest) open() {
	s, err := Open(d.dir, slog.New(slog.NewTextHandler(&d.log, nil)))
	check(err)
	d.s = s
	if devices, _ := s.Load(always); len(devices) != d.known {
		fail("devices are forgotten:", devices)
	}
}

func (d *diskTest) append(n int) {
	for range n {
		start := time.Now()
		given := d.s.Append(arrivals(3))
		if took := time.Since(start); took > 30*patience { // a busy machine has other work, too
			fail("Append took", took)
		}
		if len(d.given) > 0 && given[0].Seq <= d.given[len(d.given)-1].Seq {
			fail("seq went back to", given[0].Seq)
		}
		d.given = append(d.given, given...)
	}
}

func (d *diskTest) appendUntilFault() {
	for start := time.Now(); time.Since(start) < time.Minute; {
		d.append(1)
		if d.s.Fault() != nil {
			d.append(100)
			return
		}
		time.Sleep(commitDelay) // the database comes after the journal
	}
	fail("a full disk is no fault")
}

// expect checks the fault, and that consumers get every event so far.
func (d *diskTest) expect(when, fault string) {
	err := d.s.Fault()
	fmt.Println(" ", when+":", err)
	if (err != nil) != (fault != "") || err != nil && !strings.Contains(err.Error(), fault) {
		fail("wrong fault")
	}
	d.compare()
}

func (d *diskTest) compare() {
	var got []int64
	after := d.given[0].Seq - 1
	for {
		page, err := d.s.After(always, after, 500)
		check(err)
		if len(page) == 0 {
			break
		}
		got = append(got, seqs(page)...)
		after = page[len(page)-1].Seq
	}
	if !slices.Equal(got, seqs(d.given)) {
		fail("events differ: got", len(got), "want", len(d.given))
	}
}

func (d *diskTest) recovers() {
	for deadline := time.Now().Add(time.Minute); d.s.Fault() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			fail("the fault stays:", d.s.Fault())
		}
	}
	d.append(1)
	d.compare()
}

func (d *diskTest) reopen() {
	check(closing(d.s))
	d.open()
	d.expect("opened again", "")
}

// fill leaves not a byte on the disk.
func (d *diskTest) fill() {
	f, err := os.Create(filepath.Join(d.dir, "filler"))
	check(err)
	for size := 1 << 16; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	check(f.Close())
}

func (d *diskTest) free() { check(os.Remove(filepath.Join(d.dir, "filler"))) }

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(what ...any) {
	fmt.Println(what...)
	panic("failed")
}
