package history

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porchlight/presence"
	"porchlight/sqlitefile"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if child(os.Args) {
		return
	}
	goleak.VerifyTestMain(m)
}

var t0 = time.Date(2026, 3, 1, 18, 0, 0, 123e6, time.UTC)

func open(t *testing.T, dir string, opts ...Option) *Store {
	t.Helper()
	s, err := Open(dir, slog.New(slog.NewTextHandler(t.Output(), nil)), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closing(s) })
	return s
}

func closed(t *testing.T, s *Store) {
	t.Helper()
	if err := closing(s); err != nil {
		t.Fatal(err)
	}
}

// closing closes the store, and waits to the end for a disk that is busy with
// others' work, too.
func closing(s *Store) error {
	err := s.Close()
	if errors.Is(err, errSlow) {
		<-s.done
		err = s.left
	}
	return err
}

func arrivals(n int) []presence.Event {
	events := make([]presence.Event, n)
	for i := range events {
		mac := presence.MAC{2, 0, 0x5e, 0x10, byte(i >> 8), byte(i)}
		events[i] = presence.Event{
			Type: presence.Arrived, Time: t0.Add(time.Duration(i) * time.Second), ID: mac.ID(), MAC: mac,
			Addr: netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)}),
			Name: fmt.Sprint("phone ", i), HostName: "phone", PrivateMAC: true,
			Why: "heard a DHCP REQUEST",
		}
	}
	return events
}

func seqs(events []presence.Event) []int64 {
	var s []int64
	for _, e := range events {
		s = append(s, e.Seq)
	}
	return s
}

func all(t *testing.T, s *Store, after int64) (events []presence.Event) {
	t.Helper()
	for {
		page, err := s.After(t.Context(), after, 700)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return events
		}
		events = append(events, page...)
		after = page[len(page)-1].Seq
	}
}

// fill sets every field of v to something that is not zero, so that a test of a
// round trip notices a field that is forgotten.
func fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = t0.Add(time.Duration(v.Type().Size()) * time.Hour)
		return
	case *time.Duration:
		*x = 95 * time.Second
		return
	case *presence.MAC:
		*x = presence.MAC{0x02, 0, 0x5e, 0x10, 0, 1}
		return
	case *presence.ID:
		*x = "02005e100001"
		return
	case *netip.Addr:
		*x = netip.MustParseAddr("192.168.7.20")
		return
	case *presence.Model:
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint16:
		v.SetUint(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
		panic("fill what? " + v.Type().String())
	}
}

var byString = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }),
	cmp.Comparer(func(a, b presence.Model) bool { return reflect.DeepEqual(a, b) }),
}

func TestEventRoundTrip(t *testing.T) {
	var full presence.Event
	fill(reflect.ValueOf(&full).Elem())
	for name, e := range map[string]presence.Event{
		"every field": full,
		"no field":    {Time: t0},
		"a socket":    {Time: t0, Type: presence.ListenerClosed, Socket: &presence.Socket{Program: "nginx", Protocol: "tcp", Port: 8443}},
		"hostile":     {Time: t0, Type: presence.NewDevice, HostName: "'); DROP TABLE events;--", Why: "\"\\\u2028<script>"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			want := s.Append([]presence.Event{e})
			closed(t, s)
			s = open(t, dir)
			if diff := cmp.Diff(want, all(t, s, 0), byString); diff != "" {
				t.Errorf("from the database (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventTimeIsAsStored(t *testing.T) {
	s := open(t, t.TempDir())
	local := time.FixedZone("here", 3600)
	got := s.Append([]presence.Event{{Time: time.Date(2026, 3, 1, 19, 0, 0, 123456789, local)}})
	if want := t0; !got[0].Time.Equal(want) || got[0].Time.Location() != time.UTC {
		t.Errorf("time %v, want %v", got[0].Time, want)
	}
}

// learned returns a model that has learned something: its time at home.
func learned(t *testing.T) (m presence.Model) {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil || len(b) < 5 {
		t.Fatalf("empty model: % x, %v", b, err)
	}
	binary.LittleEndian.PutUint32(b[1:], math.Float32bits(1.5))
	if err := m.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if reflect.ValueOf(m).IsZero() {
		t.Fatal("the model has still learned nothing")
	}
	return m
}

func TestDeviceRoundTrip(t *testing.T) {
	var full presence.Record
	fill(reflect.ValueOf(&full).Elem())
	full.Groups = []string{"children", "it's, \"quoted\""}
	full.IPv6 = []netip.Addr{netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("fe80::1")}
	full.Model = learned(t)
	full.FromFile, full.Reach = nil, nil // are told anew at each start
	full.MACs = nil                      // stand in Ports
	off, on := false, true
	for name, r := range map[string]presence.Record{
		"every field": full,
		"few":         {Device: presence.Device{ID: "02005e100009", State: presence.NotHome}},
		"track off":   {Device: presence.Device{ID: "02005e100009", Settings: presence.Settings{Track: &off, Nudge: &on, Groups: []string{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			s.SaveDevices([]presence.Record{r})
			closed(t, s)
			s = open(t, dir)
			got, err := s.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]presence.Record{r}, got, byString); diff != "" {
				t.Errorf("from the database (-want +got):\n%s", diff)
			}
			s.DeleteDevices([]presence.ID{r.ID})
			closed(t, s)
			if got, _ := open(t, dir).Load(t.Context()); len(got) != 0 {
				t.Errorf("deleted device is back: %v", got)
			}
		})
	}
}

// Every change of a device but the two that come with each sighting is written
// at once, and what is not stored at all.
func TestSameRow(t *testing.T) {
	base := stored{}
	v := reflect.ValueOf(&base).Elem()
	var check func(v reflect.Value, path string)
	check = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			name := path + v.Type().Field(i).Name
			if v.Type().Field(i).Anonymous {
				check(v.Field(i), name+".")
				continue
			}
			if !v.Field(i).CanSet() {
				continue // of stored itself; see TestSamePorts
			}
			old := reflect.New(v.Field(i).Type()).Elem()
			old.Set(v.Field(i))
			before := base
			fill(v.Field(i))
			if got, want := sameRow(&before, &base), name == "Device.LastSeen" || name == "Device.AwayAfter" || name == "Device.FromFile" || name == "Device.MACs"; got != want {
				t.Errorf("%s changed: same = %v, want %v", name, got, want)
			}
			v.Field(i).Set(old)
		}
	}
	check(v, "")
}

func TestSeqContinuesAfterClose(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if diff := cmp.Diff([]int64{1, 2, 3}, seqs(s.Append(arrivals(3)))); diff != "" {
		t.Error(diff)
	}
	closed(t, s)
	if _, err := os.Stat(filepath.Join(dir, "porchlight.db-wal")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a write-ahead log is left behind: %v", err)
	}
	s = open(t, dir)
	if diff := cmp.Diff([]int64{4}, seqs(s.Append(arrivals(1)))); diff != "" {
		t.Error(diff)
	}
}

// A power cut can take back the last commits: the files are older than what was
// published.
func TestSeqAfterPowerCut(t *testing.T) {
	dir, older := t.TempDir(), t.TempDir()
	s := open(t, dir)
	s.Append(arrivals(3))
	committed(t, s)
	for _, name := range []string{"porchlight.db", "porchlight.db-wal"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(older, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lost := s.Append(arrivals(2000))
	committed(t, s)
	closed(t, s)

	s = open(t, older)
	if got := len(all(t, s, 0)); got != 3 {
		t.Fatalf("%d events in the older copy, want 3", got)
	}
	if seq := s.Append(arrivals(1))[0].Seq; seq <= lost[len(lost)-1].Seq {
		t.Errorf("seq %d was given before", seq)
	}
}

func TestAfter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var want []presence.Event
	for range 60 {
		want = append(want, s.Append(arrivals(50))...)
	}
	committed(t, s)
	for _, c := range []struct {
		after     int64
		limit     int
		from, to  int64
		memoryToo bool
	}{
		{0, 5, 1, 5, false},
		{0, 1976, 1, 1976, false},
		{1970, 100, 1971, 1976, false}, // up to where memory begins
		{1976, 100, 1977, 2076, true},
		{2999, 100, 3000, 3000, true},
		{3000, 100, 0, -1, true},
		{9000, 100, 0, -1, true},
	} {
		got, err := s.After(t.Context(), c.after, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var exp []presence.Event
		if c.to > 0 {
			exp = want[c.from-1 : c.to]
		}
		if diff := cmp.Diff(seqs(exp), seqs(got)); diff != "" {
			t.Errorf("After(%d, %d): %s", c.after, c.limit, diff)
		}
		if n := len(s.tail.after(c.after, s.head, c.limit)); c.memoryToo && n != len(got) {
			t.Errorf("After(%d, %d) gave %d, memory has %d", c.after, c.limit, len(got), n)
		}
	}
	if diff := cmp.Diff(want, all(t, s, 0), byString); diff != "" {
		t.Error(diff)
	}
	closed(t, s)
	if diff := cmp.Diff(want, all(t, open(t, dir), 0), byString); diff != "" {
		t.Error(diff)
	}
}

// Consumers that wait see every event once, in order.
func TestConsumers(t *testing.T) {
	s := open(t, t.TempDir())
	const n = 300
	var wg sync.WaitGroup
	got := make([][]int64, 4)
	for c := range got {
		wg.Go(func() {
			name := fmt.Sprint("consumer ", c)
			after, _ := s.Cursor(t.Context(), name)
			for len(got[c]) < n {
				changed := s.Changed()
				events, err := s.After(t.Context(), after, 7)
				if err != nil {
					t.Error(err)
					return
				}
				if len(events) == 0 {
					select {
					case <-changed:
					case <-t.Context().Done():
						return
					}
					continue
				}
				got[c] = append(got[c], seqs(events)...)
				after = events[len(events)-1].Seq
				s.SetCursor(name, after)
			}
		})
	}
	var want []int64
	for range n / 3 {
		want = append(want, seqs(s.Append(arrivals(3)))...)
	}
	wg.Wait()
	for c := range got {
		if diff := cmp.Diff(want, got[c]); diff != "" {
			t.Errorf("consumer %d: %s", c, diff)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- s.Run(ctx) }()
	var wg sync.WaitGroup
	var mu sync.Mutex
	given := map[int64]bool{}
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				for _, e := range s.Append(arrivals(2)) {
					mu.Lock()
					if given[e.Seq] {
						t.Errorf("seq %d given twice", e.Seq)
					}
					given[e.Seq] = true
					mu.Unlock()
				}
				id := presence.ID(fmt.Sprintf("02005e10%02d%02d", g, i))
				s.SaveDevices([]presence.Record{{Device: presence.Device{ID: id, State: presence.Home}}})
				s.SetCursor(fmt.Sprint(g), int64(i))
				if i%2 == 0 {
					s.DeleteDevices([]presence.ID{id})
				}
				_, _ = s.After(ctx, int64(i), 10)
				_ = s.Fault()
				s.SetMeta(fmt.Sprint(g), fmt.Sprint(i))
			}
		})
	}
	wg.Wait()
	if err := s.Settle(t.Context()); err != nil { // Close waits for two seconds only
		t.Error(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	closed(t, s)
	s = open(t, dir)
	if got := len(all(t, s, 0)); got != 800 {
		t.Errorf("%d events, want 800", got)
	}
	if got, _ := s.Load(t.Context()); len(got) != 200 {
		t.Errorf("%d devices, want 200", len(got))
	}
	if c, _ := s.Cursor(t.Context(), "3"); c != 99 {
		t.Errorf("cursor %d, want 99", c)
	}
	if m := s.Meta("2"); m != "99" {
		t.Errorf("meta %q, want 99", m)
	}
}

func TestCursorNeverMovesBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.SetCursor("mqtt", 8)
	s.SetCursor("mqtt", 5)
	closed(t, s)
	s = open(t, dir)
	if c, _ := s.Cursor(t.Context(), "mqtt"); c != 8 {
		t.Errorf("cursor %d, want 8", c)
	}
	if c, _ := s.Cursor(t.Context(), "new"); c != 0 {
		t.Errorf("cursor of a new consumer %d, want 0", c)
	}
}

func TestSecondInstance(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(dir, slog.New(slog.DiscardHandler))
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) ||
		!strings.Contains(err.Error(), "PORCHLIGHT_DATA_DIR") || strings.Contains(err.Error(), "\n") {
		t.Errorf("second instance: %v", err)
	}
	closed(t, s)
	open(t, dir)
}

func TestNewerDatabase(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.db.conn.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	_, err := Open(dir, slog.New(slog.DiscardHandler))
	if !errors.Is(err, errNewer) || strings.Contains(err.Error(), "\n") {
		t.Errorf("store: %v", err)
	}
	if _, err := OpenReader(dir); !errors.Is(err, errNewer) {
		t.Errorf("reader: %v", err)
	}
}

// A database of the first version opens, and its devices have what they had.
func TestFirstVersion(t *testing.T) {
	steps, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pool, err := sql.Open("sqlite", sqlitefile.DSN(filepath.Join(dir, "porchlight.db"), ""))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), conn, steps[:1]); err != nil {
		t.Fatal(err)
	}
	_, err = conn.ExecContext(t.Context(), `INSERT INTO devices VALUES ('02005e100001', '02005e100001', 'eth0', '10.0.0.1', '', '', '', '', '',
		'', 'home', 1, 'why', 1, 1, 'Ann''s phone', 1, '["Parents"]', 60000)`)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.Close(), pool.Close()); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	got, err := s.Load(t.Context())
	on := true
	want := presence.Settings{Name: "Ann's phone", Track: &on, Groups: []string{"Parents"}, AwayAfter: time.Minute}
	if err != nil || len(got) != 1 || got[0].State != presence.Home || !got[0].Settings.Equal(&want) {
		t.Fatalf("%+v, %v", got, err)
	}
	got[0].Kind, got[0].Notes, got[0].Known, got[0].Untold = presence.Phone, "blue", true, true
	s.SaveDevices(got)
	closed(t, s)
	if again, _ := open(t, dir).Load(t.Context()); len(again) != 1 || again[0].Kind != presence.Phone || again[0].Notes != "blue" || !again[0].Known || !again[0].Untold {
		t.Errorf("with new settings: %+v", again)
	}
}

func TestMigrationIsAllOrNothing(t *testing.T) {
	s := open(t, t.TempDir())
	steps, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.db.pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	bad := append(slices.Clone(steps), "CREATE TABLE extra (a) STRICT", "CREATE TABLE extra (a INTEGER) STRICT; NONSENSE")
	bad[len(steps)] = "CREATE TABLE other (a INTEGER) STRICT"
	if err := migrate(t.Context(), conn, bad); err == nil {
		t.Fatal("nonsense was migrated")
	}
	if v, err := userVersion(t.Context(), conn); v != len(steps)+1 || err != nil {
		t.Errorf("version %d, %v; want that before the bad step, %d", v, err, len(steps)+1)
	}
	if _, err := conn.ExecContext(t.Context(), "SELECT * FROM extra"); err == nil {
		t.Error("half of a migration was kept")
	}
}

func TestReader(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenReader(dir); err == nil || !strings.Contains(err.Error(), "no history") {
		t.Errorf("without a database: %v", err)
	}
	s := open(t, dir)
	want := s.Append(arrivals(20))
	s.SaveDevices([]presence.Record{{Device: presence.Device{ID: "02005e100001", State: presence.Home}}})
	s.SetMeta("after the device", "is written")
	s.Append(arrivals(1))
	committed(t, s)
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Events(t.Context(), 5, 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[5:15], got, byString); diff != "" {
		t.Error(diff)
	}
	if got, err = r.Last(t.Context(), 2); err != nil || !slices.Equal(seqs(got), []int64{20, 21}) {
		t.Errorf("last two: %v %v", seqs(got), err)
	}
	closed(t, s) // waits for the device
	r2, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r2.Close()
	if devices, err := r2.Devices(t.Context()); err != nil || len(devices) != 1 || devices[0].State != presence.Home {
		t.Errorf("devices: %v %v", devices, err)
	}
	if _, err := r2.pool.Exec("DELETE FROM events"); err == nil {
		t.Error("a reader could delete")
	}
}

// committed waits until everything handed over so far is in the database.
func committed(t *testing.T, s *Store) {
	t.Helper()
	done := make(chan struct{})
	s.do(func(*database) error {
		close(done)
		return nil
	})
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("nothing is committed")
	}
}

// A database of the first version is brought up to date with its devices.
func TestMigrationKeepsDevices(t *testing.T) {
	steps, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "old.db")
	pool, err := sql.Open("sqlite", sqlitefile.DSN(path, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := migrate(t.Context(), conn, steps[:1]); err != nil {
		t.Fatal(err)
	}
	const old = `INSERT INTO devices VALUES ('02005e100001', '02005e100001', 'eth0', '', '', 'phone', '', '', '', '',
		'home', 0, '', 0, 1, 'Ann', NULL, '', 0)`
	if _, err := conn.ExecContext(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), conn, steps); err != nil {
		t.Fatal(err)
	}
	devices, err := loadDevices(t.Context(), conn)
	if err != nil || len(devices) != 1 || devices[0].HostName != "phone" || devices[0].Name != "Ann" || devices[0].HostNameSource != "" || devices[0].Untold {
		t.Errorf("%+v, %v", devices, err)
	}
}
