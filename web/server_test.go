package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNew(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct{ listen, password, want string }{
		{taken.Addr().String(), "", "the page cannot listen on " + taken.Addr().String() + ", the port is taken: set PORCHLIGHT_WEB_LISTEN to another"},
		{"nonsense", "", "want an address and a port"},
		{"0.0.0.0:0", "", "set PORCHLIGHT_WEB_PASSWORD"},
		{":0", "", "set PORCHLIGHT_WEB_PASSWORD"},
		{"[::]:0", "", "set PORCHLIGHT_WEB_PASSWORD"},
		{"192.0.2.1:0", "secret word", "PORCHLIGHT_WEB_LISTEN"},
	} {
		s, err := New(Config{Listen: test.listen, Password: test.password, Source: &household{}})
		if err == nil {
			s.listener.Close()
			t.Errorf("%q is taken", test.listen)
			continue
		}
		if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret word") {
			t.Errorf("%q: %v, want %q", test.listen, err, test.want)
		}
	}
}

// slow answers when it is told to.
type slow struct {
	household
	asked, answer chan struct{}
}

func (s *slow) Health(context.Context) error {
	close(s.asked)
	<-s.answer
	return nil
}

func TestRun(t *testing.T) {
	source := &slow{asked: make(chan struct{}), answer: make(chan struct{})}
	s, err := New(Config{Listen: "127.0.0.1:0", Source: source})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	body := make(chan string, 1)
	go func() {
		resp, err := client.Get("http://" + s.Addr().String() + "/healthz")
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		body <- string(b)
	}()
	<-source.asked
	cancel() // while a request is under way
	close(source.answer)
	if got := <-body; got != "ok\n" {
		t.Errorf("the request that was under way got %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("the port is still taken")
	}
}

// TestRunCutsOff ends although a client never finishes its request.
func TestRunCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Source: family(time.Now()), Log: discard}
		l, ending := &pipes{make(chan net.Conn), make(chan struct{})}, make(stopper)
		h, err := newHandler(cfg, newGuard(cfg), ending)
		if err != nil {
			t.Fatal(err)
		}
		s := newServer(cfg, newCrowd(l, discard), h, ending)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		conn := l.dial(resident)
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET / HT"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(start); took != farewell {
			t.Errorf("the end took %v, want %v", took, farewell)
		}
	})
}
