package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/lab"
	"porchlight/presence"
	"porchlight/synced"
)

func TestVersion(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "version").Output()
	if err != nil || !regexp.MustCompile(`^porchlight \S+\n$`).Match(out) {
		t.Errorf("it says %q, %v", out, err)
	}
}

// found is a line of scan --json.
type found struct {
	IP, Vendor, Heard, Interface string
	MAC                          presence.MAC
	PrivateMAC                   bool   `json:"private_mac"`
	HostName                     string `json:"host_name"`
}

// A scan finds everybody, and names who is known by name.
func TestScan(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pop := h.lab.Population(20, lab.Behaviour{})
	late := pop.Devices()[7]
	late.SetBehaviour(lab.Behaviour{DelayMin: 300 * time.Millisecond, DelayMax: 600 * time.Millisecond})
	running := h.begin()
	_, err := pop.Devices()[3].Request() // tells its name
	h.lab.Must(err)
	named := pop.Devices()[3]
	h.sub.await("its name", func() bool {
		return strings.Contains(h.sub.latest[topics.Attributes(presence.MAC(named.MAC).ID())], `"host_name":"device-4"`)
	})
	running.stop()

	want := map[string]found{}
	gw := h.lab.Gateway()
	for _, d := range append(pop.Devices(), &lab.Device{Identity: lab.Identity{MAC: gw.MAC(), Addr: gw.Addr()}}) {
		f := found{IP: d.Addr.String(), MAC: presence.MAC(d.MAC), Heard: "ARP reply", Interface: "lan0"}
		f.PrivateMAC = f.MAC.Private()
		if d.Addr == named.Addr {
			f.HostName = "device-4"
		}
		want[f.IP] = f
	}
	// On a busy machine the population may have no time to answer, which is no
	// fault of a scan: it is made again then.
	const tries = 5
	got := map[string]found{}
	for n := 0; n < tries && len(got) < len(want); n++ {
		clear(got)
		for _, f := range jsonLines[found](t, h.must("scan", "--json")) {
			if (f.Vendor == "") != f.PrivateMAC {
				t.Errorf("vendor %q of %s", f.Vendor, f.MAC)
			}
			f.Vendor = ""
			got[f.IP] = f
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scan --json (-want +got):\n%s", diff)
	}

	p, status := h.run("scan", "--rate", "2000")
	all := regexp.MustCompile(`lan0: 21 of \d+ addresses answered`)
	for n := 1; n < tries && !all.MatchString(p.stderr.String()); n++ {
		p, status = h.run("scan", "--rate", "2000")
	}
	if status != 0 || !all.MatchString(p.stderr.String()) {
		t.Errorf("exit status %d: %s", status, p.stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	if len(lines) != 22 || strings.Join(strings.Fields(lines[0]), " ") != "ADDRESS MAC VENDOR HOST NAME HEARD" ||
		!strings.Contains(p.stdout.String(), "private MAC") || !strings.Contains(p.stdout.String(), "device-4") {
		t.Errorf("the table:\n%s", p.stdout.String())
	}
	if strings.ContainsAny(p.stdout.String()+p.stderr.String(), "\r\033") {
		t.Error("a progress bar, and no terminal")
	}
}

// A scan that is interrupted ends at once; one that cannot hear says why.
func TestScanEnds(t *testing.T) {
	t.Parallel()
	h := bareHouse(t)
	h.env["SWEEP_PREFIXES"] = "10.77.0.0/16"
	p := h.start("scan", "--rate", "10")
	ask := h.lab.Population(0, lab.Behaviour{})
	ask.Record(true)
	eventually(t, "the first request", func() error {
		if len(ask.Requests()) == 0 {
			return fmt.Errorf("none so far")
		}
		return nil
	})
	h.lab.Must(p.cmd.Signal(syscall.SIGINT))
	sent := time.Now()
	p.wait()
	if took := time.Since(sent); took > endsIn {
		t.Errorf("it took %s to end", took)
	}

	h.lab.Must(h.obs.Unplug())
	p, status := h.run("scan")
	if status != 1 || !strings.Contains(p.stderr.String(), "no carrier") {
		t.Errorf("without carrier: exit status %d: %s", status, p.stderr.String())
	}
}

// device is a line of devices --json.
type device struct {
	ID         presence.ID
	MAC        presence.MAC
	State      presence.State
	Name, IP   string
	HostName   string `json:"host_name"`
	PrivateMAC bool   `json:"private_mac"`
	Tracked    bool
	LastSeen   time.Time `json:"last_seen"`
	AwayAfterS float64   `json:"away_after_s"`
	Groups     []string
	Notes      string
	FromFile   []string `json:"from_file"`
}

// The commands read the database of a running Porchlight.
func TestDevicesAndEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	phone := h.lab.Client("phone", lab.WithMAC(phone.mac))
	h.begin()
	follower := h.start("events", "--follow", "--json")
	eventually(t, "the first line", func() error {
		if !strings.Contains(follower.stdout.String(), "baseline") {
			return fmt.Errorf("it says %q", follower.stdout.String())
		}
		return nil
	})

	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
	h.lab.Must(phone.Leave())
	h.sub.awaitEvent(presence.Left, macOf(phone))

	want := []presence.EventType{presence.Baseline, presence.NewDevice, presence.Arrived, presence.Left}
	eventually(t, "the follower to have all", func() error {
		if diff := cmp.Diff(want, types(follower.stdout.String())); diff != "" {
			return fmt.Errorf("events (-want +got):\n%s", diff)
		}
		return nil
	})
	follower.stop()
	out := h.must("events", "--json")
	if diff := cmp.Diff(h.sub.told(), jsonLines[presence.Event](t, out), cmp.Comparer(sameEvent)); diff != "" {
		t.Errorf("events --json and the event topic (-topic +command):\n%s", diff)
	}
	if out := h.must("events", "-n", "2"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "no answer to") {
		t.Errorf("the newest two:\n%s", out)
	}

	devices := jsonLines[device](t, h.must("devices", "--json"))
	if len(devices) != 2 || devices[0].State != presence.Home || devices[0].MAC != macOf(h.lab.Gateway()) {
		t.Fatalf("devices: %+v", devices)
	}
	seen := devices[1].LastSeen
	wantPhone := device{
		ID: macOf(phone).ID(), MAC: macOf(phone), State: presence.NotHome, Name: "phone", HostName: "phone", IP: devices[1].IP,
		PrivateMAC: true, Tracked: true, AwayAfterS: realTimeout.Seconds(), LastSeen: seen,
		Groups: []string{presence.GuestGroup}, FromFile: []string{},
	}
	if diff := cmp.Diff(wantPhone, devices[1]); diff != "" {
		t.Errorf("the phone (-want +got):\n%s", diff)
	}
	if silence := h.sub.told()[3].Time.Sub(seen); silence < realTimeout {
		t.Errorf("declared away after %s of silence, its timeout is %s", silence, realTimeout)
	}
	if out := h.must("devices"); !strings.Contains(out, "STATE") || !strings.Contains(out, "not_home") || !strings.Contains(out, "private MAC") {
		t.Errorf("the table:\n%s", out)
	}
}

func sameEvent(a, b presence.Event) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func types(lines string) (all []presence.EventType) {
	for line := range strings.Lines(lines) {
		var e presence.Event
		if json.Unmarshal([]byte(line), &e) == nil {
			all = append(all, e.Type)
		}
	}
	return all
}

// The commands say what to do when there is no database.
func TestCommandsWithoutDatabase(t *testing.T) {
	t.Parallel()
	h := bareHouse(t)
	for _, command := range []string{"devices", "events"} {
		p, status := h.run(command)
		if status != 1 || strings.Count(p.stderr.String(), "\n") != 1 || !strings.Contains(p.stderr.String(), h.dir) {
			t.Errorf("%s: exit status %d: %s", command, status, p.stderr.String())
		}
	}
}

// A capture of the observer's own wire tells what the observer told.
func TestReplay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	phone := h.lab.Client("phone", lab.WithMAC(phone.mac))
	printer := h.lab.Client("printer", lab.WithMAC(printer.mac), lab.WithAddr(h.lab.Static(2)))
	file := filepath.Join(t.TempDir(), "lan.pcap")
	tcpdump := record(t, h, file)

	h.begin()
	baseline := h.sub.told()[0].Devices
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
	h.join(printer)
	_, err := printer.Announce()
	h.lab.Must(err)
	h.sub.awaitEvent(presence.Arrived, macOf(printer))
	h.lab.Must(phone.Leave())
	h.sub.awaitEvent(presence.Left, macOf(phone))
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
	h.lab.Must(printer.Leave())
	h.sub.awaitEvent(presence.Left, macOf(printer))
	// Time passes in a capture only with its frames: one more, to be after the last departure.
	_, err = h.lab.Gateway().Announce()
	h.lab.Must(err)
	eventually(t, "tcpdump to have it", func() error {
		out, err := exec.Command("tcpdump", "-n", "-r", file, "arp[24:4] = 0x0a4d0001 and arp[14:4] = 0x0a4d0001").Output()
		if len(out) == 0 {
			return errors.Join(errors.New("not yet"), err)
		}
		return nil
	})
	h.lab.Must(tcpdump.Stop(patience))

	self := macOf(h.obs).String()
	out := h.must("replay", file, "--self", self)
	if again := h.must("replay", file, "--self", self); again != out {
		t.Errorf("the second time it says:\n%s\nthe first time:\n%s", again, out)
	}
	var live []string
	for _, d := range baseline {
		live = append(live, "new_device "+string(d.ID), "arrived "+string(d.ID))
	}
	for _, e := range h.sub.told()[1:] {
		live = append(live, string(e.Type)+" "+string(e.ID))
	}
	var replayed []string
	asked := false
	for _, e := range jsonLines[presence.Event](t, out) {
		replayed = append(replayed, string(e.Type)+" "+string(e.ID))
		asked = asked || e.Type == presence.Left && strings.Contains(e.Why, "no answer to ")
	}
	if diff := cmp.Diff(live, replayed); diff != "" {
		t.Errorf("events (-live +replayed):\n%s", diff)
	}
	if !asked {
		t.Error("with --self nobody was asked")
	}
	if out := h.must("replay", file); !strings.Contains(out, "nobody asked it") {
		t.Errorf("without --self somebody was asked:\n%s", out)
	}

	text, err := os.ReadFile(file)
	h.lab.Must(err)
	h.lab.Must(os.WriteFile(file, text[:len(text)-7], 0o600))
	p, status := h.run("replay", file, "--self", self)
	if status != 1 || !strings.Contains(p.stderr.String(), file) || !strings.HasPrefix(out, p.stdout.String()[:100]) {
		t.Errorf("a capture that breaks off: exit status %d, %s", status, p.stderr.String())
	}
}

// record starts tcpdump at the observer and waits until it listens.
func record(t *testing.T, h *house, file string) *lab.Cmd {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed: apt-get install tcpdump")
	}
	var said synced.Buffer
	cmd := h.obs.Command(context.Background(), "tcpdump", "-i", "lan0", "-n", "-U", "--immediate-mode", "-Z", "root", "-w", file)
	cmd.Stderr = &said
	h.lab.Must(cmd.Start())
	t.Cleanup(cmd.Kill)
	eventually(t, "tcpdump to listen", func() error {
		if !strings.Contains(said.String(), "listening on") {
			return fmt.Errorf("it says %q", said.String())
		}
		return nil
	})
	return cmd
}

// finding is a line of doctor --json.
type finding struct{ Check, Level, Text, Remedy string }

func (h *house) doctor() (worst string, found map[string]finding) {
	h.t.Helper()
	p, status := h.run("doctor", "--json")
	found = map[string]finding{}
	for _, f := range jsonLines[finding](h.t, p.stdout.String()) {
		if (f.Level == "ok") != (f.Remedy == "") || f.Text == "" {
			h.t.Errorf("finding %+v", f)
		}
		if was, ok := found[f.Check]; !ok || was.Level == "ok" {
			found[f.Check] = f
		}
		if worst != "fail" && f.Level != "ok" {
			worst = f.Level
		}
	}
	if (status == 1) != (worst == "fail") || status > 1 {
		h.t.Errorf("exit status %d, findings %+v", status, found)
	}
	return worst, found
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.route()
	if worst, found := h.doctor(); worst == "fail" || found["hearing"].Level != "ok" || found["broker"].Level != "ok" || found["capability"].Level != "ok" {
		t.Errorf("in a house where all is well: %+v", found)
	}
	h.broker.Kill()
	if _, found := h.doctor(); found["broker"].Level != "fail" || !strings.Contains(found["broker"].Remedy+found["broker"].Text, "broker") {
		t.Errorf("without a broker: %+v", found)
	}
	h.env["INTERFACES"] = "lan7"
	if _, found := h.doctor(); found["interface"].Level != "fail" || !strings.Contains(found["interface"].Remedy, "lan0") {
		t.Errorf("with a wrong interface: %+v", found)
	}
	h.env["INTERFACES"] = "lan0"
	h.lab.Must(h.obs.Unplug())
	if _, found := h.doctor(); found["interface"].Level != "fail" || !strings.Contains(found["interface"].Text, "no carrier") {
		t.Errorf("without carrier: %+v", found)
	}
}
