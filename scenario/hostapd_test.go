package scenario

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"porchlight/hostapd/hostapdtest"
	"porchlight/lab"
	"porchlight/presence"
	"porchlight/synced"
)

// goneAfter is how long the Wi-Fi devices of a house have to come back.
const goneAfter = 2 * time.Second

var wentOut = regexp.MustCompile(`^it left the Wi-Fi of \w+ \d+ s ago, .*; it had 2 s to come back$`)

// wifi gives a house an access point, with its control socket in a directory.
// The program does not know that directory yet.
func (h *house) wifi() (dir string) {
	h.t.Helper()
	dir = filepath.Join(h.t.TempDir(), "hostapd")
	h.env["HOSTAPD_SOCKETS"], h.env["HOSTAPD_AWAY_AFTER"] = dir, goneAfter.String()
	return dir
}

// hostapd starts a fake one where the observer is.
func (h *house) hostapd(dir string) (ap *hostapdtest.AP) {
	h.t.Helper()
	h.lab.Must(os.MkdirAll(dir, 0o750))
	h.lab.Must(h.obs.Do(func() (err error) {
		ap, err = hostapdtest.Listen(filepath.Join(dir, "wlan0"))
		return err
	}))
	h.t.Cleanup(ap.Kill)
	return ap
}

// leaves checks that a device that left the Wi-Fi at a time is away on the
// broker because of that, and no sooner than it ought to be. How soon after is
// for tests whose clock is their own: a busy machine takes its time.
func (h *house) leaves(mac presence.MAC, at time.Time) {
	h.t.Helper()
	h.sub.awaitTopic(topics.State(mac.ID()), "not_home")
	took := time.Since(at)
	h.t.Logf("away on the broker %s after it left the Wi-Fi", took)
	e := h.sub.awaitEvent(presence.Left, mac)
	if took < goneAfter || !wentOut.MatchString(e.Why) {
		h.t.Errorf("%s was away on the broker %s after it left the Wi-Fi, want %s and some milliseconds: %s", mac, took, goneAfter, e.Why)
	}
}

// On an access point: who is associated is home, however silent; who leaves is
// away on the broker in time, unless it is back or answers through another
// access point.
func TestHostapd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ap := h.hostapd(h.wifi())
	pop, err := h.lab.Lab.Population()
	h.lab.Must(err)
	phones, err := pop.AddMany(6, h.lab.Static(0), lab.Behaviour{})
	h.lab.Must(err)
	p := h.begin()
	p.says("listening to hostapd")
	for _, d := range phones {
		ap.Associate(macOf2(d))
	}
	silent, roams, drops, leaving := phones[0], phones[1], phones[2], phones[3:]

	silent.Sleep()
	asleep := time.Now()
	ap.Disassociate(macOf2(roams)) // it answers through another access point
	drops.Sleep()
	ap.Disassociate(macOf2(drops))
	for _, d := range leaving {
		d.Sleep()
		at := time.Now()
		ap.Disassociate(macOf2(d))
		if d == leaving[0] {
			for time.Since(at) < goneAfter/4 {
				time.Sleep(10 * time.Millisecond) // somebody else's time
			}
			ap.Associate(macOf2(drops))
		}
		h.leaves(macOf2(d), at)
	}
	kept := h.sub.retained()
	for _, d := range phones {
		want := "home"
		for _, l := range leaving {
			if d == l {
				want = "not_home"
			}
		}
		if got := kept[topics.State(idOf(d))]; got != want {
			t.Errorf("%s is %s, want %s", d.MAC, got, want)
		}
	}
	for time.Since(asleep) < 2*realTimeout {
		if e, ok := h.sub.next(time.Until(asleep.Add(2 * realTimeout))); ok {
			t.Errorf("told of %+v", e)
		}
	}

	// One that was never heard comes, as known ones do; who fails to get in does not.
	stranger, failing := presence.MAC{2, 0, 0x5e, 0, 0, 1}, presence.MAC{2, 0, 0x5e, 0, 0, 2}
	ap.Knock(failing)
	ap.Disassociate(failing)
	ap.Associate(stranger, macOf2(leaving[0]))
	if e := h.sub.awaitEvent(presence.Arrived, macOf2(leaving[0])); !strings.HasPrefix(e.Why, "Wi-Fi association with wlan0 after ") {
		t.Errorf("%+v", e)
	}
	h.sub.awaitEvent(presence.NewDevice, stranger)
	h.sub.awaitTopic(topics.State(stranger.ID()), "home")
	if _, found := h.doctor(); found["hostapd"].Level != "ok" || !strings.Contains(found["hostapd"].Text, "stations: 4") {
		t.Errorf("doctor: %+v", found["hostapd"])
	}

	// Without hostapd silence counts again, from then on.
	at := time.Now()
	ap.Kill()
	h.sub.awaitTopic(topics.State(idOf(silent)), "not_home")
	if took := time.Since(at); took < realTimeout {
		t.Errorf("away %s after hostapd was killed, its timeout is %s", took, realTimeout)
	}
	h.sub.await("the problem", func() bool { return strings.Contains(h.sub.latest[topics.Summary()], "hostapd has ended") })
	if strings.Contains(h.sub.get(topics.State(failing.ID())), "home") {
		t.Error("who failed to get in is a device")
	}
}

func macOf2(d *lab.Device) presence.MAC { return presence.MAC(d.MAC) }

// The same with hostapd itself. It has no radio here, but a cable whose other
// end must say who it is (IEEE 802.1X): to hostapd that is a station as well.
func TestRealHostapd(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"hostapd", "wpa_supplicant"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	h := newHouse(t)
	dir := h.wifi()
	mac := presence.MAC{2, 0, 0x5e, 0, 0, 7}
	other := h.lab.Client("phone").Host // a place of its own
	run := func(host *lab.Host, name string, args ...string) *lab.Cmd {
		cmd := host.Command(context.Background(), name, args...)
		said := &synced.Buffer{}
		cmd.Stdout, cmd.Stderr = said, said
		h.lab.Must(cmd.Start())
		t.Cleanup(func() {
			cmd.Kill()
			if t.Failed() {
				t.Logf("%s said:\n%s", name, said)
			}
		})
		return cmd
	}
	there := strconv.Itoa(run(other, "sleep", "infinity").Process.Pid) // stands for the place
	ip := func(host *lab.Host, args ...string) {
		if out, err := host.Command(t.Context(), "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	ip(h.obs.Host, "link", "add", "wifi0", "type", "veth", "peer", "name", "phone0", "address", mac.String(), "netns", there)
	ip(h.obs.Host, "link", "set", "wifi0", "up")
	ip(other, "link", "set", "phone0", "up")
	write := func(name, format string, args ...any) string {
		path := filepath.Join(h.dir, name)
		h.lab.Must(os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600))
		return path
	}
	users := write("users", "\"anna\" MD5 \"secret\"\n")
	ap := write("hostapd.conf", "interface=wifi0\ndriver=wired\nctrl_interface=%s\nieee8021x=1\neap_server=1\neap_user_file=%s\nuse_pae_group_addr=1\n", dir, users)
	phone := write("phone.conf", "ap_scan=0\nnetwork={\nkey_mgmt=IEEE8021X\neap=MD5\nidentity=\"anna\"\npassword=\"secret\"\neapol_flags=0\n}\n")
	end := func(cmd *lab.Cmd) {
		h.lab.Must(cmd.Signal(syscall.SIGTERM))
		<-cmd.Done()
	}

	p := h.begin()
	p.says("no control socket of hostapd")
	server := run(h.obs.Host, "hostapd", ap)
	p.says("listening to hostapd")
	supplicant := run(other, "wpa_supplicant", "-i", "phone0", "-D", "wired", "-c", phone)
	if e := h.sub.awaitEvent(presence.Arrived, mac); e.Why != "Wi-Fi association with wifi0 from it for the first time" {
		t.Errorf("%+v", e)
	}
	if _, found := h.doctor(); found["hostapd"].Level != "ok" || !strings.Contains(found["hostapd"].Text, "stations: 1") {
		t.Errorf("doctor: %+v", found["hostapd"])
	}
	end(supplicant)
	at := time.Now()
	if out, err := h.obs.Command(t.Context(), "hostapd_cli", "-p", dir, "disassociate", mac.String()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.leaves(mac, at)

	supplicant = run(other, "wpa_supplicant", "-i", "phone0", "-D", "wired", "-c", phone)
	if e := h.sub.awaitEvent(presence.Arrived, mac); !strings.HasPrefix(e.Why, "Wi-Fi association with wifi0 after ") {
		t.Errorf("%+v", e)
	}
	// When it ends it lets all go. They have not left by that.
	at = time.Now()
	end(server)
	h.sub.awaitTopic(topics.State(mac.ID()), "not_home")
	if took := time.Since(at); took < realTimeout {
		t.Errorf("away %s after hostapd ended, its timeout is %s", took, realTimeout)
	}
	run(h.obs.Host, "hostapd", ap)
	end(supplicant)
	run(other, "wpa_supplicant", "-i", "phone0", "-D", "wired", "-c", phone)
	if e := h.sub.awaitEvent(presence.Arrived, mac); !strings.HasPrefix(e.Why, "Wi-Fi association with wifi0 after ") {
		t.Errorf("%+v", e)
	}
}
