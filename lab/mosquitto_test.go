package lab_test

import (
	"net"
	"strings"
	"testing"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

func TestMosquitto(t *testing.T) {
	for _, c := range []struct {
		name string
		host bool
	}{{"here", false}, {"in the lab", true}} {
		t.Run(c.name, func(t *testing.T) {
			ctx := inTime(t)
			opts := lab.MosquittoOptions{Config: "max_queued_messages 0\nset_tcp_nodelay false\n"}
			dial := func(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, patience) }
			if c.host {
				obs := labtest.StartWith(t, lab.Options{NoGateway: true}).Observer("lan0")
				opts.Host = obs.Host
				dial = func(addr string) (net.Conn, error) { return obs.Dial(ctx, "tcp", addr) }
			}
			b := labtest.Mosquitto(t, opts)
			accepts := func(want bool) {
				t.Helper()
				conn, err := dial(b.Addr())
				if err == nil {
					_ = conn.Close()
				}
				if (err == nil) != want {
					t.Errorf("connecting to %s: %v, want it accepted: %t", b.URL(), err, want)
				}
			}
			accepts(true)
			if err := b.Stop(); err != nil {
				t.Errorf("stopping: %v", err)
			}
			accepts(false)
			if err := b.Start(ctx); err != nil {
				t.Fatal(err)
			}
			accepts(true)
			b.Kill()
			accepts(false)
			if err := b.Start(ctx); err != nil {
				t.Fatal(err)
			}
			accepts(true)
		})
	}
}

// A broker that cannot start says why.
func TestMosquittoFault(t *testing.T) {
	labtest.Mosquitto(t, lab.MosquittoOptions{}) // or skip
	_, err := lab.Mosquitto(inTime(t), lab.MosquittoOptions{Config: "no_such_setting 1\n"})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("error %v, want one that names the setting", err)
	}
}
