package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porchlight/devicefile"
	"porchlight/presence"
)

const theList = "IP Address,MAC Address,Name\n192.168.1.1,00-16-3E-00-00-01,Router\n192.168.1.20,02-00-5E-10-00-01,Ann's new phone\n,,\n"

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

// Into the database, when no Porchlight runs; a running one keeps it out.
func TestImportIntoTheDatabase(t *testing.T) {
	dir := lived(t)
	list := writeFile(t, filepath.Join(t.TempDir(), "list.csv"), theList)
	_, before, _ := command(t, dir, "devices", "--json")
	status, out, errs := command(t, dir, "import", "--dry-run", list)
	if status != exitDone || !strings.Contains(out, "(comma-separated): 2; added to the database in "+dir+": 1, given a name: 1, known already: 0 (nothing was written") ||
		!strings.Contains(out, "no MAC address of a single device: 1") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	if _, after, _ := command(t, dir, "devices", "--json"); after != before {
		t.Errorf("a dry run changed the devices:\n%s", after)
	}

	store := openStore(t, dir)
	if status, _, errs := command(t, dir, "import", list); status != exitFailed || !strings.Contains(errs, "set PORCHLIGHT_DEVICES_FILE for it") {
		t.Errorf("beside a running one: status %d, %s", status, errs)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	if status, out, errs := command(t, dir, "import", list); status != exitDone || !strings.Contains(out, dir+": 1, given a name: 1") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	_, after, _ := command(t, dir, "devices", "--json")
	if !strings.Contains(after, `"name":"Router"`) || !strings.Contains(after, `"name":"Ann's new phone"`) || strings.Count(after, "\n") != 3 {
		t.Errorf("devices afterwards:\n%s", after)
	}
	if status, out, _ := command(t, dir, "import", list); status != exitDone || !strings.Contains(out, dir+": 0, given a name: 0, known already: 2") {
		t.Errorf("once more: %s", out)
	}
	again := writeFile(t, list, strings.ReplaceAll(theList, "Router", "Other"))
	if _, _, errs := command(t, dir, "import", again); errs != "" {
		t.Error(errs)
	}
	if _, after, _ := command(t, dir, "devices", "--json"); !strings.Contains(after, `"name":"Router"`) {
		t.Error("a name that was given was replaced")
	}

	// It is known, so it is not new when it comes.
	store = openStore(t, dir)
	records, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	e := presence.New(presence.Config{})
	e.Restore(time.Now(), records)
	out2 := e.Sight(presence.Sighting{At: time.Now(), Interface: "eth0", MAC: presence.MAC{0, 0x16, 0x3e, 0, 0, 1}, Kind: presence.ARPAnnouncement})
	if len(out2.Events) != 1 || out2.Events[0].Type != presence.Arrived {
		t.Errorf("events %+v", out2.Events)
	}
}

func TestImportIntoADirectoryThatIsNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	list := writeFile(t, filepath.Join(t.TempDir(), "list.csv"), theList)
	if status, out, errs := command(t, dir, "import", "--dry-run", list); status != exitDone || !strings.Contains(out, dir+": 2,") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a dry run made the directory")
	}
	if status, _, errs := command(t, dir, "import", list); status != exitDone {
		t.Errorf("status %d, %s", status, errs)
	}
	if status, out, errs := command(t, dir, "devices", "--json"); status != exitDone || strings.Count(out, "\n") != 2 {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}

// Into the device file, where a running Porchlight finds it.
func TestImportIntoTheFile(t *testing.T) {
	dir, files := lived(t), t.TempDir()
	list := writeFile(t, filepath.Join(files, "list.csv"), theList)
	const mine = "# Mine.\ndevices:\n  - mac: 02:00:5e:10:00:01\n    name: Ann\n"
	real := writeFile(t, filepath.Join(files, "real.yaml"), mine)
	link := filepath.Join(files, "devices.yaml")
	if err := os.Symlink("real.yaml", link); err != nil {
		t.Fatal(err)
	}
	if status, out, errs := command(t, dir, "import", "--dry-run", "--to", link, list); status != exitDone || !strings.Contains(out, "added to "+link+": 1") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	if b, err := os.ReadFile(real); err != nil || string(b) != mine {
		t.Errorf("a dry run wrote %q, %v", b, err)
	}
	if status, out, errs := command(t, dir, "import", "--to", link, list); status != exitDone || !strings.Contains(out, "when PORCHLIGHT_DEVICES_FILE names it") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	b, err := os.ReadFile(real)
	if want := mine + "  - mac: 00:16:3e:00:00:01\n    name: Router\n"; err != nil || string(b) != want {
		t.Errorf("the file is\n%s\n%v", b, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is no link any more")
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}

	writeFile(t, real, "devices:\n  - mac: nonsense\n")
	if status, _, errs := command(t, dir, "import", "--to", link, list); status != exitFailed || !strings.Contains(errs, "line 2: mac: want an address") {
		t.Errorf("status %d, %s", status, errs)
	}
	if status, _, errs := command(t, dir, "import", "--to", filepath.Join(files, "new.yaml"), writeFile(t, list, "nothing")); status != exitFailed || !strings.Contains(errs, "no device with a MAC address") {
		t.Errorf("status %d, %s", status, errs)
	}
	if left, err := filepath.Glob(filepath.Join(files, ".*part")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A device of several MACs is known by each of them.
func TestImportOfSeveralMACs(t *testing.T) {
	other := presence.MAC{2, 0, 0x5e, 0x10, 0, 9}
	whole := presence.Record{Device: presence.Device{ID: ann.ID(), MAC: ann}, Ports: []presence.Port{{MAC: ann}, {MAC: other}}}
	part := presence.Record{Device: presence.Device{ID: other.ID(), MAC: other}, MergedInto: ann.ID()}
	save, outcomes := withKnown([]presence.Record{whole, part}, []devicefile.Known{{MAC: other, Name: "Laptop"}, {MAC: ann, Name: "Dock"}})
	if len(save) != 1 || save[0].ID != ann.ID() || save[0].Name != "Laptop" ||
		!slices.Equal(outcomes, []devicefile.Outcome{devicefile.Named, devicefile.Unchanged}) {
		t.Errorf("%v %+v", outcomes, save)
	}
}
