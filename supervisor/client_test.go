package supervisor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/supervisor/supervisortest"
)

// pipes is a listener whose connections are pipes, so that time can be virtual.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask runs f with a client of s, in virtual time.
func ask(t *testing.T, s *supervisortest.Supervisor, f func(t *testing.T, ctx context.Context, c *client, said *[]string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		server := &http.Server{Handler: s}
		go func() { _ = server.Serve(listener) }()
		defer func() { _ = server.Close() }()
		var said []string
		c := newClient("", token, func(line string) { said = append(said, line) })
		c.http.Transport = &http.Transport{DialContext: listener.dial, DisableKeepAlives: true}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		f(t, ctx, c, &said)
	})
}

// While the Supervisor starts, it is asked again.
func TestTriesAgain(t *testing.T) {
	s := fresh()
	s.Faults = func(n int, w http.ResponseWriter, r *http.Request) bool {
		switch n {
		case 0:
			http.Error(w, "500 Internal Server Error\n\nServer got itself in trouble", http.StatusInternalServerError)
		case 1:
			supervisortest.Refuse(w, "System is not ready with state: setup")
		case 2:
			panic(http.ErrAbortHandler) // cuts the connection
		case 3:
			<-r.Context().Done() // never answers
		default:
			return false
		}
		return true
	}
	ask(t, s, func(t *testing.T, ctx context.Context, c *client, said *[]string) {
		began := time.Now()
		b, err := c.broker(ctx)
		if err != nil || b.host != "core-mosquitto" || b.port != 1883 || b.username != "addons" || b.password != password {
			t.Errorf("%+v, %v", b, err)
		}
		if took, want := time.Since(began), 500*time.Millisecond+time.Second+2*time.Second+requestTime+longPause; took != want {
			t.Errorf("it took %s, want %s", took, want)
		}
		if len(*said) != 1 || (*said)[0] != "waiting for the Supervisor: the Supervisor cannot answer /services/mqtt yet (status 500)" {
			t.Errorf("it said %q", *said)
		}
	})
}

// It gives up in time, and says why.
func TestGivesUp(t *testing.T) {
	for _, test := range []struct {
		name   string
		faults func(int, http.ResponseWriter, *http.Request) bool
		want   string
	}{
		{"errors", func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}, "the Supervisor cannot answer /services/mqtt yet (status 502)"},
		{"not ready", func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			supervisortest.Refuse(w, "System is not ready with state: setup")
			return true
		}, "the Supervisor cannot answer /services/mqtt yet (status 400): System is not ready with state: setup"},
		{"silent", func(_ int, _ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}, "http://supervisor: no answer within 5s"},
		{"drips", func(_ int, w http.ResponseWriter, r *http.Request) bool {
			for {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return true
				case <-time.After(time.Second):
				}
			}
		}, "http://supervisor: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fresh()
			s.Faults = test.faults
			ask(t, s, func(t *testing.T, ctx context.Context, c *client, said *[]string) {
				began := time.Now()
				_, err := c.broker(ctx)
				if took := time.Since(began); err == nil || took != patience {
					t.Fatalf("after %s: %v", took, err)
				}
				if !strings.HasPrefix(err.Error(), "asking the Supervisor for the MQTT broker: gave up after 30s: "+test.want) || !strings.HasSuffix(err.Error(), ": is the Supervisor running?") {
					t.Errorf("it fails with %q", err)
				}
				if n := len(s.Asked()); len(*said) != 1 || n < 3 || n > 12 {
					t.Errorf("%d requests, and it said %q", n, *said)
				}
			})
		})
	}
}

// A name that does not resolve and a port that nobody listens on are waited for.
func TestUnreachable(t *testing.T) {
	for _, failure := range []error{
		&net.DNSError{Err: "no such host", Name: "supervisor", IsNotFound: true},
		&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")},
	} {
		ask(t, fresh(), func(t *testing.T, ctx context.Context, c *client, said *[]string) {
			c.http.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, failure }}
			_, err := c.broker(ctx)
			want := "asking the Supervisor for the MQTT broker: gave up after 30s: http://supervisor: " + failure.Error() + ": is the Supervisor running?"
			if err == nil || err.Error() != want {
				t.Errorf("it fails with\n%v\nwant\n%s", err, want)
			}
			if len(*said) != 1 || (*said)[0] != "waiting for the Supervisor: http://supervisor: "+failure.Error() {
				t.Errorf("it said %q", *said)
			}
		})
	}
}
