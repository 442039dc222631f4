package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porchlight/history"
	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

var (
	ann = presence.MAC{2, 0, 0x5e, 0x10, 0, 1}
	ben = presence.MAC{2, 0, 0x5e, 0x10, 0, 2}
)

// lived makes the data directory of a household: Ann's phone came, left and came
// again, Ben's has a name that is a formula.
func lived(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	store := openStore(t, dir)
	now := time.Now()
	event := func(kind presence.EventType, m presence.MAC, name string, ago time.Duration) presence.Event {
		return presence.Event{
			Type: kind, Time: now.Add(-ago), ID: m.ID(), MAC: m, Addr: netip.MustParseAddr("192.168.1.20"), Name: name,
			HostName: name, PrivateMAC: true, Why: string(kind) + " for a reason",
		}
	}
	store.Append([]presence.Event{
		event(presence.Arrived, ann, "Ann's phone", 240*time.Hour),
		event(presence.Left, ann, "Ann's phone", 230*time.Hour),
		event(presence.Arrived, ben, "=cmd|' /C calc'!A0", 48*time.Hour),
		event(presence.Arrived, ann, "Ann's phone", 30*time.Hour),
		event(presence.Left, ben, "=cmd|' /C calc'!A0", time.Hour),
	})
	device := func(m presence.MAC, name string, state presence.State, ago time.Duration) presence.Record {
		return presence.Record{Device: presence.Device{
			ID: m.ID(), MAC: m, HostName: name, State: state, Since: now.Add(-ago), LastSeen: now.Add(-ago), FirstSeen: now.Add(-240 * time.Hour),
			Settings: presence.Settings{Groups: []string{"Parents"}},
		}}
	}
	records := []presence.Record{device(ann, "Ann's phone", presence.Home, 30*time.Hour), device(ben, "=cmd|' /C calc'!A0", presence.NotHome, time.Hour)}
	records[0].Groups = append(records[0].Groups, "Phones")
	records[0].Kind = presence.Phone
	store.SaveDevices(records)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openStore(t *testing.T, dir string) *history.Store {
	t.Helper()
	store, err := history.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// command runs a command line on a data directory.
func command(t *testing.T, dir string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{context.Background(), &out, &errs, []string{"PORCHLIGHT_DATA_DIR=" + dir, "HOME=" + dir}}
	status = run(a, args)
	return status, out.String(), errs.String()
}

func TestEventsAreFiltered(t *testing.T) {
	dir := lived(t)
	for args, want := range map[string]string{
		"":                                  "1 2 3 4 5",
		"-n 2":                              "4 5",
		"--since 3d":                        "3 4 5",
		"--since 3d --until 1h30m":          "3 4",
		"--since 3d -n 1":                   "5",
		"--device Ann's~phone":              "1 2 4",
		"--device 02:00:5e:10:00:02":        "3 5",
		"--device 02005E100002 --type left": "5",
		"--type left --type new_device":     "2 5",
		"--group PHONES":                    "1 2 4",
		"--group parents --type arrived --since 3d": "3 4",
		"--since 1m": "",
	} {
		fields := strings.Fields(args)
		for i := range fields {
			fields[i] = strings.ReplaceAll(fields[i], "~", " ")
		}
		status, out, errs := command(t, dir, append([]string{"events", "--csv"}, fields...)...)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if status != exitDone || err != nil || len(rows) == 0 {
			t.Errorf("%s: status %d, %s, %v", args, status, errs, err)
			continue
		}
		var got []string
		for _, row := range rows[1:] {
			got = append(got, row[1])
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", args, diff)
		}
	}
}

func TestWrongFilters(t *testing.T) {
	dir := lived(t)
	for args, want := range map[string]string{
		"events --type arived":        `want one of new_device, arrived`,
		"events --since soon":         `"soon": want how long ago`,
		"events --device nobody":      `no device is or was called "nobody"`,
		"events --group nobody":       `no device is in a group "nobody"`,
		"events --device a,b":         `no device is or was called "a,b"`,
		"events --csv --json":         `can't be used together`,
		"devices --state away":        `must be one of`,
		"devices --type fridge":       `want one of phone, tablet`,
		"sessions --at 25:00":         `want how long ago`,
		"sessions --absences --at 1h": `can't be used together`,
	} {
		status, out, errs := command(t, dir, strings.Fields(args)...)
		if status == exitDone || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, %q, want %q", args, status, errs, want)
		}
	}
}

// What a stranger's device calls itself is no formula in a spreadsheet.
func TestCSVIsInert(t *testing.T) {
	dir := lived(t)
	for _, name := range []string{"events", "devices", "sessions"} {
		status, out, errs := command(t, dir, name, "--csv")
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if status != exitDone || err != nil {
			t.Fatalf("%s: status %d, %s, %v", name, status, errs, err)
		}
		dangerous := false
		for _, row := range rows {
			for _, cell := range row {
				if strings.HasPrefix(cell, "=") {
					t.Errorf("%s: the cell %q is a formula", name, cell)
				}
				dangerous = dangerous || strings.HasPrefix(cell, "'=cmd|")
			}
		}
		if !dangerous {
			t.Errorf("%s: the name is not there:\n%s", name, out)
		}
	}
	for cell, want := range map[string]string{
		"": "", "plain": "plain", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\t=1": "'\t=1", "\r=1": "'\r=1", " \n =1": "' \n =1",
		"\ufeff=1": "'\ufeff=1", "＝1": "'＝1", "a=1": "a=1", "|x": "'|x", "%x": "'%x", " ": " ",
	} {
		if got := inert(cell); got != want {
			t.Errorf("%q became %q, want %q", cell, got, want)
		}
	}
}

func TestDevicesAreFiltered(t *testing.T) {
	dir := lived(t)
	for args, want := range map[string]string{
		"":                     string(ann.ID() + " " + ben.ID()),
		"--state home":         string(ann.ID()),
		"--since 2h":           string(ann.ID() + " " + ben.ID()),
		"--group phones":       string(ann.ID()),
		"--type phone":         string(ann.ID()),
		"--kind tv":            "",
		"--new-since 9d":       "",
		"-d 02:00:5e:10:00:02": string(ben.ID()),
	} {
		status, out, errs := command(t, dir, append([]string{"devices", "--csv"}, strings.Fields(args)...)...)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if status != exitDone || err != nil {
			t.Errorf("%s: status %d, %s, %v", args, status, errs, err)
			continue
		}
		var got []string
		for _, row := range rows[1:] {
			got = append(got, row[0])
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", args, diff)
		}
	}
}

func TestSessionsCommand(t *testing.T) {
	dir := lived(t)
	for args, want := range map[string]int{
		"": 3, "--since 3d": 2, "-n 1": 1, "--at 100h": 0, "--at 235h": 1, "--at 29h": 2, "--absences": 2, "--absences -n 1": 1,
		"--absences -d 02:00:5e:10:00:02": 1,
	} {
		status, out, errs := command(t, dir, append([]string{"sessions", "--json"}, strings.Fields(args)...)...)
		if got := strings.Count(out, "\n"); status != exitDone || got != want {
			t.Errorf("%q: status %d, %d lines, want %d\n%s%s", args, status, got, want, out, errs)
		}
	}
	_, out, _ := command(t, dir, "sessions", "-d", "ann's phone")
	if !strings.Contains(out, "arrived for a reason") || !strings.Contains(out, "left for a reason") || !strings.Contains(out, "10 h") {
		t.Errorf("the table:\n%s", out)
	}
}

// The copy is made while the database is in use, and is whole.
func TestExport(t *testing.T) {
	dir, to := lived(t), t.TempDir()
	store := openStore(t, dir) // as a running Porchlight
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(to, "porchlight.db")
	status, out, errs := command(t, dir, "export", path)
	if status != exitDone || !strings.Contains(out, "porchlight.db") {
		t.Fatalf("status %d, %s%s", status, out, errs)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	_, want, _ := command(t, dir, "events", "--json")
	if status, got, errs := command(t, to, "events", "--json"); status != exitDone || got != want || got == "" {
		t.Errorf("the copy has %s, want %s%s", got, want, errs)
	}

	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := command(t, dir, "export", path); status != exitFailed || !strings.Contains(errs, "exists already") {
		t.Errorf("status %d, %s", status, errs)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("the file was changed: %d bytes, %v", len(b), err)
	}
	if status, _, errs := command(t, dir, "export", "--force", path); status != exitDone {
		t.Errorf("status %d, %s", status, errs)
	}
	if status, _, errs := command(t, dir, "export", filepath.Join(to, "nowhere", "x.db")); status != exitFailed || !strings.Contains(errs, "no such file") {
		t.Errorf("status %d, %s", status, errs)
	}
	if left, err := filepath.Glob(filepath.Join(to, ".*part")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	// A Porchlight that starts on the copy gives no number twice.
	again := openStore(t, to)
	if given := again.Append([]presence.Event{{Type: presence.SensingBack, Time: time.Now()}}); given[0].Seq <= 5 {
		t.Errorf("number %d was given before", given[0].Seq)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
