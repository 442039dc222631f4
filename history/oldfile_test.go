package history

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"porchlight/presence"
	"porchlight/sqlitefile"

	"github.com/google/go-cmp/cmp"
)

// oldModel is a model that has learned something: two weeks at home.
var oldModel = append([]byte{1, 0, 0, 0, 0x40}, make([]byte, 12)...)

// oldDevice is the device that oldFile writes.
func oldDevice() (r presence.Record, err error) {
	r.Device = presence.Device{
		ID: "02005e100001", MAC: presence.MAC{0x02, 0, 0x5e, 0x10, 0, 1}, Interface: "eth0",
		HostName: "phone", State: presence.Home, Tracked: true,
		Since: time.UnixMilli(5000).UTC(), FirstSeen: time.UnixMilli(1000).UTC(), LastSeen: time.UnixMilli(9000).UTC(),
		AwayAfter: 95 * time.Second, Settings: presence.Settings{Name: "Ann"},
	}
	return r, r.Model.UnmarshalBinary(oldModel)
}

// oldFile makes the database of a household as Porchlight wrote it when there
// were version migrations, with some events.
func oldFile(dir string, version, events int) (err error) {
	steps, err := schema()
	if err != nil {
		return err
	}
	pool, err := sql.Open("sqlite", sqlitefile.DSN(filepath.Join(dir, "porchlight.db"), writeParams))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(always)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := migrate(always, conn, steps[:version]); err != nil {
		return err
	}
	_, err = conn.ExecContext(always, `BEGIN;
		INSERT INTO devices (id, mac, interface, ip, ipv6, host_name, vendor, vendor_class, client_id, fingerprint,
			state, since, why, first_seen, tracked, set_name, set_track, set_groups, set_away)
		VALUES ('02005e100001', '02005e100001', 'eth0', '', '', 'phone', '', '', '', '',
			'home', 5000, '', 1000, 1, 'Ann', NULL, '', 0);
		INSERT INTO seen VALUES ('02005e100001', 9000);
		INSERT INTO meta VALUES ('baseline', 'done')`)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(always, "INSERT INTO models VALUES ('02005e100001', 95000, ?)", oldModel); err != nil {
		return err
	}
	for i, e := range arrivals(events) {
		e.Seq = int64(i + 1)
		args, err := eventArgs(&e)
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(always, insertEvent, args...); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(always, "COMMIT")
	return err
}

// A reader changes nothing, so it reads the files of all versions as they are.
func TestReaderOfOldFiles(t *testing.T) {
	steps, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	want, err := oldDevice()
	if err != nil {
		t.Fatal(err)
	}
	for version := 1; version <= len(steps); version++ {
		dir := t.TempDir()
		if err := oldFile(dir, version, 3); err != nil {
			t.Fatal(err)
		}
		r, err := OpenReader(dir)
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		devices, err := r.Devices(t.Context())
		if err != nil {
			t.Errorf("version %d: %v", version, err)
		}
		if diff := cmp.Diff([]presence.Record{want}, devices, byString); diff != "" {
			t.Errorf("version %d: %s", version, diff)
		}
		if last, err := r.Last(t.Context(), 9); err != nil || !slices.Equal(seqs(last), []int64{1, 2, 3}) {
			t.Errorf("version %d: events %v, %v", version, seqs(last), err)
		}
		if value, err := r.Meta(t.Context(), "baseline"); err != nil || value != "done" {
			t.Errorf("version %d: baseline %q, %v", version, value, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// A file that is set aside because it is damaged was never migrated.
func TestDamagedOldFile(t *testing.T) {
	const page = 4096
	dir := t.TempDir()
	if err := oldFile(dir, 1, 2000); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "porchlight.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := len(b) - 20*page // events: they were appended last
	if err := os.WriteFile(path, slices.Replace(b, n, len(b), bytes.Repeat([]byte{0xa5}, 20*page)...), 0o600); err != nil {
		t.Fatal(err)
	}
	closed(t, open(t, dir))
	if aside, _ := filepath.Glob(path + ".corrupt-????????-??????"); len(aside) != 1 {
		t.Fatalf("set aside: %v", aside)
	}

	s := open(t, dir)
	want, err := oldDevice()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := s.Load(t.Context())
	if diff := cmp.Diff([]presence.Record{want}, got, byString); diff != "" {
		t.Error(diff)
	}
	if s.Meta("baseline") != "done" {
		t.Error("settings that could be read are gone")
	}
}
