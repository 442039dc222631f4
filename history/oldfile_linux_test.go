package history

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"porchlight/presence"
	"porchlight/sqlitefile"

	"github.com/google/go-cmp/cmp"
)

func init() {
	children["old-file-full-disk"] = func(dir string) { onFullDisk(dir, 0, "free some space") }
	// Room for what SQLite needs to open the file, and for no migration or one.
	children["old-file-no-migration"] = func(dir string) { onFullDisk(dir, 36<<10, "migrating the database to version") }
	children["old-file-one-migration"] = func(dir string) { onFullDisk(dir, 44<<10, "migrating the database to version") }
	children["old-file-read-only"] = func(dir string) {
		d := startOld(dir)
		check(syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		d.keepsOld("read-only", func() { check(syscall.Mount("", dir, "", syscall.MS_REMOUNT, "")) })
	}
}

// A file of the first version, on a disk that takes no writes at the start.
func TestOldFileThatCannotBeMigrated(t *testing.T) {
	for _, name := range []string{"old-file-full-disk", "old-file-no-migration", "old-file-one-migration", "old-file-read-only"} {
		t.Run(name, func(t *testing.T) { onSmallDisk(t, name) })
	}
}

// onFullDisk leaves room bytes on the disk.
func onFullDisk(dir string, room int64, fault string) {
	d := startOld(dir)
	d.fill()
	filler := filepath.Join(dir, "filler")
	info, err := os.Stat(filler)
	check(err)
	check(os.Truncate(filler, info.Size()-room))
	d.keepsOld(fault, d.free)
}

func startOld(dir string) *diskTest {
	check(syscall.Mount("small", dir, "tmpfs", 0, "size=1m"))
	check(oldFile(dir, 1, 3))
	return &diskTest{dir: dir, known: 1}
}

// keepsOld starts on a disk that takes no writes, until mend is called. The
// household must be known throughout, and be in the migrated file at the end.
func (d *diskTest) keepsOld(fault string, mend func()) {
	want, err := oldDevice()
	check(err)
	d.open()
	d.sameHousehold("at the start", want)
	if d.s.Meta("baseline") != "done" {
		fail("the baseline is forgotten")
	}
	d.given = d.s.Recent()
	if !slices.Equal(seqs(d.given), []int64{1, 2, 3}) {
		fail("events", seqs(d.given))
	}
	d.expect("started on an old file", fault)

	want.State, want.Since = presence.NotHome, t0
	d.s.SaveDevices([]presence.Record{want})
	mend()
	d.recovers()
	d.sameHousehold("when the disk takes writes", want)
	check(closing(d.s))

	db, err := sql.Open("sqlite", sqlitefile.DSN(filepath.Join(d.dir, "porchlight.db"), readParams))
	check(err)
	steps, err := schema()
	check(err)
	var version int
	check(db.QueryRow("PRAGMA user_version").Scan(&version))
	check(db.Close())
	if version != len(steps) {
		fail("the file is of version", version)
	}
	d.open()
	d.sameHousehold("opened again", want)
	if fault := d.s.Fault(); fault != nil {
		fail(fault)
	}
	check(closing(d.s))
}

func (d *diskTest) sameHousehold(when string, want presence.Record) {
	got, err := d.s.Load(always)
	check(err)
	if diff := cmp.Diff([]presence.Record{want}, got, byString); diff != "" {
		fail(when, diff, d.log.String())
	}
	fmt.Println(" ", when+":", got[0].Name)
}
