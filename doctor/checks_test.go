package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"porchlight/lab"
)

func TestCheckCapability(t *testing.T) {
	for _, test := range []struct {
		name      string
		err       error
		container bool
		level     Level
		remedy    string
	}{
		{"may", nil, false, OK, ""},
		{"may not", syscall.EPERM, false, Fail, "sudo setcap cap_net_raw=ep /opt/porchlight (or start it with sudo; in Docker: cap_add: [NET_RAW])"},
		{"may not in a container", syscall.EPERM, true, Fail, "Add cap_add: [NET_RAW] to the container (docker run --cap-add NET_RAW)."},
		{"no packet sockets", syscall.EAFNOSUPPORT, false, Fail, "Run this on a Linux kernel with packet sockets (CONFIG_PACKET), outside a sandbox."},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := checkCapability(test.err, "/opt/porchlight", test.container)
			if got.Level != test.level || got.Remedy != test.remedy {
				t.Errorf("got %+v, want level %s and remedy %q", got, test.level, test.remedy)
			}
		})
	}
}

func TestCheckClock(t *testing.T) {
	good := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		now   time.Time
		state clockState
		want  Level
		text  string
	}{
		{"synchronised", good, clockState{status: unix.STA_PLL}, OK, "The clock is synchronised."},
		{"not synchronised", good, clockState{status: unix.STA_PLL | unix.STA_UNSYNC}, Warn, "not synchronised"},
		{"a Raspberry Pi without a battery", time.Unix(0, 0), clockState{status: unix.STA_UNSYNC}, Fail, "1970-01-01"},
		{"far future", good.AddDate(200, 0, 0), clockState{}, Fail, "2227-03-01"},
		{"the sandbox forbids it", good, clockState{err: syscall.EPERM}, OK, "cannot be told"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := checkClock(test.now, test.state)
			if got.Level != test.want || !strings.Contains(got.Text, test.text) {
				t.Errorf("got %+v, want level %s and %q", got, test.want, test.text)
			}
		})
	}
}

func TestCheckListen(t *testing.T) {
	taken := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	for _, test := range []struct {
		name    string
		address string
		err     error
		held    bool
		want    Finding
	}{
		{
			"free", "127.0.0.1:1883", nil, false,
			Finding{"broker", OK, "127.0.0.1:1883 is free for the embedded broker.", ""},
		},
		{
			"ours", "127.0.0.1:1883", taken, true,
			Finding{"broker", OK, "127.0.0.1:1883 is in use, and Porchlight is running.", ""},
		},
		{
			"mosquitto's", ":1883", taken, false,
			Finding{
				"broker", Fail, ":1883, where the embedded broker is to listen, is taken by another program, or by a Porchlight with another data directory.",
				"If another broker runs here, set PORCHLIGHT_MQTT_URL to it, such as mqtt://127.0.0.1:1883; else choose another PORCHLIGHT_BROKER_LISTEN.",
			},
		},
		{
			"not ours", "192.0.2.7:1883", os.NewSyscallError("bind", syscall.EADDRNOTAVAIL), false,
			Finding{"broker", Fail, "192.0.2.7:1883 is not an address of this machine, so the embedded broker cannot listen there.", "Correct PORCHLIGHT_BROKER_LISTEN."},
		},
		{
			"privileged", "127.0.0.1:88", os.NewSyscallError("bind", syscall.EACCES), false,
			Finding{"broker", Fail, "This user may not listen on 127.0.0.1:88.", "Set PORCHLIGHT_BROKER_LISTEN to a port above 1023."},
		},
		{
			"strange", "127.0.0.1:88", errors.New("odd"), false,
			Finding{"broker", Fail, "127.0.0.1:88 cannot be listened on: odd.", "Correct PORCHLIGHT_BROKER_LISTEN."},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, checkEmbedded(test.address, test.err, test.held)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestListenOn(t *testing.T) {
	port, err := lab.Port()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if got := checkWeb(address, listenOn(t.Context(), address), false); got.Level != Warn || got.Remedy != "Set PORCHLIGHT_WEB_LISTEN to another port." {
		t.Errorf("on a port that is taken: %+v", got)
	}
	l.Close()
	if got := checkWeb(address, listenOn(t.Context(), address), false); got.Level != OK {
		t.Errorf("on a free port: %+v", got)
	}
}

func TestCheckSettings(t *testing.T) {
	got := checkSettings([]string{"PORCHLIGHT_MQTT_PASWORD=hunter2", "PORCHLIGHT_NODE=attic", "PATH=/bin"})
	want := []Finding{{
		"settings", Warn,
		"PORCHLIGHT_MQTT_PASWORD is not a setting and does nothing; did you mean PORCHLIGHT_MQTT_PASSWORD?",
		"Correct the name of the variable, or remove it.",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(fmt.Sprint(got), "hunter2") {
		t.Error("the value of a misspelt secret is shown")
	}
	if got := checkSettings([]string{"PORCHLIGHT_NODE=attic"}); len(got) != 1 || got[0].Level != OK {
		t.Errorf("good settings: %+v", got)
	}
}
