package main

import (
	"database/sql"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"porchlight/connections"
	"porchlight/sqlitefile"
)

// The commands, in a network namespace with one listener and one connection.
func TestConnections(t *testing.T) { inOwnNetwork(t, func() { connectionsCommands(t) }) }

// inOwnNetwork runs f in a network namespace of its own, with lo up, on a thread
// that ends with it.
func inOwnNetwork(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = linkUp("lo")
		}
		if err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	return err
}

func connectionsCommands(t *testing.T) {
	dir := lived(t)
	try := func(want int, args ...string) string {
		status, out, errs := command(t, dir, append([]string{"connections"}, args...)...)
		if status != want {
			t.Errorf("%q: status %d, %s", args, status, errs)
		}
		return out + errs
	}
	has := func(text string, all ...string) {
		for _, want := range all {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	}
	has(try(exitFailed, "list"), "in "+dir+" no snapshot is stored yet: porchlight connections snapshot stores one")
	has(try(exitDone, "snapshot"), "snapshot 1: 0 connections and listeners")
	has(try(exitFailed, "diff"), "it takes two snapshots, and only 1 is stored", "diff 1 now")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = l.Close() }()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	has(try(exitDone), "PROTO", "LISTEN", "127.0.0.1:"+port, strconv.Itoa(os.Getpid()))
	has(try(exitDone, "--json"), `"state":"LISTEN","local":"127.0.0.1","local_port":`+port, `"user":"root"`)
	has(try(exitDone, "--csv"), "protocol,state,local,local_port,", "tcp,LISTEN,127.0.0.1,"+port+",")
	if out := try(exitDone, "--json", "--port", "1"); strings.Contains(out, "LISTEN") {
		t.Errorf("another port: %s", out)
	}
	has(try(exitDone, "snapshot"), "snapshot 2: 1 connections and listeners")
	has(try(exitDone, "diff"), "opened", "new listener", "new program", "127.0.0.1:"+port)
	has(try(exitDone, "diff", "--csv"), "time,change,what,protocol,", ",new_listener,,tcp,LISTEN,127.0.0.1,"+port)
	has(try(exitDone, "diff", "2", "1", "--json"), `"change":"closed"`)
	if out := try(exitDone, "diff", "2", "now", "--json"); strings.Contains(out, `"change"`) {
		t.Errorf("nothing changed: %s", out)
	}
	has(try(exitDone, "diff", "now"), "nothing has changed between snapshot 2 and now")
	has(try(exitDone, "diff", "2", "now"), "nothing has changed between snapshot 2 and now")
	has(try(exitDone, "diff", "0s", "now"), "0s: that is snapshot 2, of ", "between snapshot 2 and now")
	has(try(exitDone, "diff", "yesterday", "0s"), "yesterday: that is snapshot 1, of ", "new listener")
	has(try(exitDone, "show", "2"), "127.0.0.1:"+port)
	has(try(exitFailed, "show", "7"), "there is no such snapshot")
	has(try(exitDone, "list", "--json"), `{"number":1,`, `{"number":2,`, `"connections":1,"listeners":1`)
	for _, args := range [][]string{{"-n", "1"}, {"--since", "1w", "--last", "1"}} {
		if out := try(exitDone, append([]string{"list", "--json"}, args...)...); !strings.HasPrefix(out, `{"number":2,`) || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: %s", args, out)
		}
	}
	if out := try(exitDone, "list", "--json", "--until", "yesterday"); out != "" {
		t.Errorf("of before yesterday: %s", out)
	}
	has(try(exitUsage, "list", "--last=-1"), "--last -1: want a number of snapshots")
	has(try(exitDone, "filter", "--port", port), "tcp and ((src host 127.0.0.1 and src port "+port+")", "tcp.srcport == "+port)
	has(try(exitDone, "filter", "--port", port, "--snapshot", "2", "--json"), `{"tcpdump":"tcp and`)
	// A filter is of no use when it is cut.
	if out := onTerminal(t, 80, func(terminal *os.File) {
		run(&app{t.Context(), terminal, terminal, []string{"PORCHLIGHT_DATA_DIR=" + dir}}, []string{"connections", "filter", "--port", port, "--snapshot", "2"})
	}); out != try(exitDone, "filter", "--port", port, "--snapshot", "2") {
		t.Errorf("on a terminal: %q", out)
	}
	has(try(exitFailed, "filter", "--port", "1"), "there is no such connection")
	has(try(exitDone, "filter", "--diff"), "tcp and ((src host 127.0.0.1 and src port "+port+")", "tcp.srcport == "+port)
	has(try(exitDone, "filter", "--diff", "2", "1", "--port", port, "--json"), `{"tcpdump":"tcp and`)
	has(try(exitFailed, "filter", "--diff", "2", "now"), "nothing is different")
	has(try(exitUsage, "filter", "--port", port, "2"), "numbers of snapshots are for --diff")
	has(try(exitUsage, "filter"), "say what for")
	if out := try(exitDone, "diff", "--csv"); !strings.HasSuffix(out, strings.Repeat(",", 13)+"\n") || strings.Contains(out, ",0,") {
		t.Errorf("what is not there is in CSV:\n%s", out)
	}
	for _, keep := range []string{"1000000d", "soon", "0"} {
		has(try(exitUsage, "snapshot", "--keep", keep), `"`+keep+`": want a time such as 7d`)
	}
	for _, wrong := range []string{"x", "0", ""} {
		has(try(exitUsage, "diff", wrong), "want the number of a snapshot")
	}
	// What is not known now is no matter of the snapshot.
	fresh := t.TempDir()
	if _, _, errs := command(t, fresh, "connections", "snapshot"); !strings.Contains(errs, "devices are not named") {
		t.Errorf("without a history: %s", errs)
	}
	if status, _, errs := command(t, fresh, "connections", "show", "1"); status != exitDone || strings.Contains(errs, "devices are not named") {
		t.Errorf("status %d, %s", status, errs)
	}
	emptied(t, filepath.Join(dir, "connections.db"))
	has(try(exitFailed, "show", "1"), "reading snapshot 1: the stored snapshot is damaged")
	if out := try(exitFailed, "show", "2"); !strings.Contains(out, "reading snapshot 2: snapshot 1, which it builds on: the stored snapshot is damaged") || strings.Count(out, "\n") != 1 {
		t.Errorf("want one line: %s", out)
	}
	if err := os.WriteFile(filepath.Join(dir, "connections.db"), []byte("no database"), 0o600); err != nil {
		t.Error(err)
	}
	has(try(exitFailed, "list"), "the file is damaged; move it away")
}

// emptied damages the stored snapshots.
func emptied(t *testing.T, path string) {
	db, err := sql.Open("sqlite", sqlitefile.DSN(path, ""))
	if err == nil {
		_, err = db.ExecContext(t.Context(), "UPDATE snapshots SET data = x'00'")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Error(err)
	}
}

// All fields that programs get are in the README.
func TestFieldsAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []any{connections.Line{}, connections.ChangeLine{}, flowLine{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(of)) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "" && !strings.Contains(string(readme), "`"+name+"`") {
				t.Errorf("%T: the README does not say that there is %s", of, name)
			}
		}
	}
}
