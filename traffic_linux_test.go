package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"porchlight/presence"
	"porchlight/traffic"
)

// recorded stores n minutes of traffic from start on in dir.
func recorded(t *testing.T, dir string, start time.Time, n int) {
	t.Helper()
	store, err := traffic.OpenStore(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	for i := range n {
		r := traffic.Round{
			Start: start.Add(time.Duration(i) * time.Minute), Length: time.Minute, Counted: time.Minute, Dropped: 3,
			Counts: map[traffic.Key]traffic.Count{
				{Interface: "eth0", Protocol: traffic.QUIC, Direction: traffic.In}: {Packets: 100, Bytes: uint64(i) * 1000},
				{Interface: "eth0", Protocol: traffic.DNS, Direction: traffic.Out}: {Packets: 2, Bytes: 150},
			},
			Hosts:   []traffic.Talker{{Addr: netip.MustParseAddr("2001:db8::7"), In: traffic.Count{Packets: 100, Bytes: 1000}}},
			Devices: []traffic.Talker{{Device: "=Anna's phone", Out: traffic.Count{Packets: 1, Bytes: 70}}},
			Ports:   []traffic.Port{{Protocol: "tcp", Port: 22, Program: "sshd", Held: time.Minute}, {Protocol: "udp", Port: 5353, Program: "avahi-daemon", Held: time.Second}},
		}
		if err := store.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTrafficCommand(t *testing.T) {
	dir := t.TempDir()
	try := func(want int, args ...string) string {
		t.Helper()
		status, out, errs := command(t, dir, append([]string{"traffic"}, args...)...)
		if status != want {
			t.Errorf("%q: status %d, %s", args, status, errs)
		}
		return out + errs
	}
	has := func(text string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	}
	none := try(exitFailed)
	if has(none, "no traffic was recorded yet in "+dir, "PORCHLIGHT_TRAFFIC=always"); strings.Count(none, "\n") != 1 {
		t.Errorf("not one line: %s", none)
	}
	start := time.Now().Truncate(time.Minute).Add(-40 * time.Minute)
	recorded(t, dir, start, 40)

	out := try(exitDone)
	has(out, "PROTOCOL", "quic", "dns", "all", "INTERFACE", "eth0", "HOST", "2001:db8::7", "DEVICE", "=Anna's phone",
		"PROGRAM", "sshd", "all of it", "tcp 22", "udp 5353", "counted for 40 min", "120 packets")
	if !strings.Contains(out, "#") || strings.Contains(out, "█") {
		t.Errorf("no picture for a terminal without Unicode:\n%s", out)
	}
	var wide bytes.Buffer
	run(&app{t.Context(), &wide, &wide, []string{"PORCHLIGHT_DATA_DIR=" + dir, "LANG=de_DE.UTF-8", "COLUMNS=100"}},
		[]string{"traffic", "--since", start.Format(time.RFC3339)})
	out = wide.String()
	has(out, "▂", "█")
	if strings.Contains(out, "It was counted for") {
		t.Errorf("all of it was counted:\n%s", out)
	}
	for line := range strings.SplitSeq(out, "\n") {
		if n := utf8.RuneCountInString(line); n > 100 {
			t.Errorf("a line of %d characters:\n%s", n, line)
		}
	}

	var lines []traffic.Line
	for dec := json.NewDecoder(strings.NewReader(try(exitDone, "--json", "--since", "7d"))); dec.More(); {
		var l traffic.Line
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 40 || !lines[7].Start.Equal(start.Add(7*time.Minute)) || lines[7].Counts[1] != (traffic.CountLine{Interface: "eth0", Protocol: "quic", Direction: "in", Packets: 100, Bytes: 7000}) {
		t.Errorf("%d rounds, %+v", len(lines), lines)
	}
	rows, err := csv.NewReader(strings.NewReader(try(exitDone, "--csv", "--since", start.Format(time.RFC3339), "--until", start.Add(time.Minute).Format(time.RFC3339)))).ReadAll()
	if err != nil || len(rows) != 10 || rows[0][3] != "kind" || rows[3][7] != "2001:db8::7" || rows[5][8] != "'=Anna's phone" {
		t.Errorf("%q, %v", rows, err)
	}
	has(try(exitFailed, "--since", "2020-01-01", "--until", "2020-01-02"), "no traffic was recorded from 2020-01-01", "what there is begins at "+when(start))
	has(try(exitDone, "--since", "0001-02-01", "--until", "9998-01-01"), "Traffic of this machine from "+when(start), "120 packets")
	has(try(exitFailed, "--since", "1h", "--until", "2h"), "is not before")
	has(try(exitFailed, "--since", "2200-01-01"), "--since 2200-01-01 00:00:00 is not in the past")
	has(try(exitUsage, "--since", "soon"), "want how long ago")
	has(try(exitUsage, "--top", "0"), "want at least 1; see porchlight traffic --help")
	overwritten, err := os.OpenFile(filepath.Join(dir, traffic.File), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer overwritten.Close()
	if _, err := overwritten.WriteAt(bytes.Repeat([]byte{0xab}, 8192), 4096); err != nil {
		t.Fatal(err)
	}
	has(try(exitFailed), "reading "+dir, "the file is damaged; move it away")
	if err := os.WriteFile(filepath.Join(dir, traffic.File), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	has(try(exitFailed), "the file is damaged; move it away")
}

func TestSpark(t *testing.T) {
	for want, values := range map[string][]float64{
		" _.=#": {-1, 0, 0.01, 4, 8}, "": {}, "__": {0, 0}, "  ": {-1, -1},
	} {
		if got := asciiSpark.line(values); got != want {
			t.Errorf("%v: %q, want %q", values, got, want)
		}
	}
	for want, environ := range map[string][]string{
		"█": {"LANG=en_US.UTF-8"}, "#": {"LANG=en_US.UTF-8", "LC_ALL=C"}, "##": {"LANG="}, "██": {"LC_ALL=", "LC_CTYPE=C.utf8", "LANG=C"},
	} {
		values := make([]float64, len([]rune(want)))
		for i := range values {
			values[i] = 1
		}
		if got := sparkFor(environ).line(values); got != want {
			t.Errorf("%q: %q, want %q", environ, got, want)
		}
	}
}

// When nobody says what devices are called, they are called as before: without
// names they would be counted as hosts.
func TestCalled(t *testing.T) {
	phone := presence.Device{HostName: "phone", Addr: netip.MustParseAddr("192.0.2.9")}
	names, err := called(t.Context(), func(context.Context) ([]presence.Device, error) { return []presence.Device{phone}, nil })
	if err != nil || len(names) != 1 || names[phone.Addr] != "phone" {
		t.Error(names, err)
	}
	silent := errors.New("no answer")
	if names, err = called(t.Context(), func(context.Context) ([]presence.Device, error) { return nil, silent }); names != nil || !errors.Is(err, silent) {
		t.Errorf("%v, %v: want nil, as Devices of traffic.Config says", names, err)
	}
}
