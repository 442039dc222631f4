package web

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stream is a live stream of a handler that runs in the bubble of the test.
type stream struct {
	lines chan string
	close func()
}

// listen opens a live stream over a connection in memory.
func listen(t *testing.T, h http.Handler) stream {
	t.Helper()
	client, server := net.Pipe()
	l := &single{conn: server, closed: make(chan struct{})}
	s := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(l) }()
	go func() { _, _ = client.Write([]byte("GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")) }()
	st := stream{lines: make(chan string, 100)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for in := bufio.NewScanner(client); in.Scan(); {
			if line := in.Text(); strings.HasPrefix(line, "data:") || strings.HasPrefix(line, ": ") || strings.HasPrefix(line, "HTTP/") {
				st.lines <- line
			}
		}
	}()
	st.close = func() { client.Close(); s.Close(); <-served; <-read }
	return st
}

// single is a Listener of one connection.
type single struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *single) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *single) Close() error   { close(l.closed); return nil }
func (l *single) Addr() net.Addr { return &net.TCPAddr{} }

func (s stream) got() (all []string) {
	synctest.Wait()
	for {
		select {
		case line := <-s.lines:
			all = append(all, line)
		default:
			return all
		}
	}
}

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := family(time.Now())
		s := listen(t, handler(t, Config{Source: h}))
		defer s.close()
		if got := s.got(); len(got) != 1 || got[0] != "HTTP/1.1 200 OK" {
			t.Fatalf("at first %q", got)
		}
		h.change()
		if got := s.got(); len(got) != 1 || got[0] != "data: changed" {
			t.Errorf("after a change %q", got)
		}
		for range 50 {
			h.change()
		}
		time.Sleep(liveLeast)
		if got := s.got(); len(got) != 1 {
			t.Errorf("after many at once %q", got)
		}
		time.Sleep(time.Minute)
		if got := s.got(); len(got) < 3 || got[0] != ": " {
			t.Errorf("in a quiet minute %q", got)
		}
	})
}

func TestLiveEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ending := make(stopper)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/live", http.NoBody)
			live(&household{}, ending).ServeHTTP(deadliner{httptest.NewRecorder()}, r)
		}()
		synctest.Wait()
		close(ending)
		<-ended
	})
}

// deadliner is a recorder that takes deadlines.
type deadliner struct{ *httptest.ResponseRecorder }

func (deadliner) SetWriteDeadline(time.Time) error { return nil }
func (deadliner) SetReadDeadline(time.Time) error  { return nil }
