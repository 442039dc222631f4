package homeassistant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/gorilla/websocket"
)

// fields are those of a command besides its id and type.
type fields map[string]any

// socket is a connection to the websocket interface.
type socket struct {
	conn   *websocket.Conn
	stream *Stream
	gone   chan struct{} // closed when nothing more is read

	mu      sync.Mutex
	last    int // id of a command
	waiting map[int]chan<- reply
}

// message is what comes in.
type message struct {
	ID    int
	Type  string
	Event json.RawMessage
	reply
}

// reply is the answer to a command.
type reply struct {
	Result json.RawMessage
	Error  struct{ Code, Message string } // no Code: it is done
}

// dial connects and logs in.
func (i *Instance) dial(ctx context.Context) (*socket, error) {
	dialer := websocket.Dialer{NetDialContext: i.opts.Host.Dial}
	conn, resp, err := dialer.DialContext(ctx, "ws://"+address+"/api/websocket", nil)
	if err != nil {
		return nil, fmt.Errorf("connecting to the websocket: %w", err)
	}
	_ = resp.Body.Close()
	var m message
	for _, want := range []string{"auth_required", "auth_ok"} {
		if err := conn.ReadJSON(&m); err != nil || m.Type != want {
			_ = conn.Close()
			return nil, fmt.Errorf("logging in to the websocket: got %q, want %q: %w", m.Type, want, err)
		}
		if want == "auth_ok" {
			break
		}
		if err := conn.WriteJSON(map[string]string{"type": "auth", "access_token": i.token}); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	s := &socket{conn: conn, stream: i.stream, gone: make(chan struct{}), waiting: map[int]chan<- reply{}}
	go s.read()
	return s, nil
}

func (s *socket) read() {
	defer close(s.gone)
	for {
		var m message
		if err := s.conn.ReadJSON(&m); err != nil {
			return
		}
		switch m.Type {
		case "event":
			s.stream.add(m.Event)
		case "result", "pong":
			s.mu.Lock()
			c := s.waiting[m.ID]
			delete(s.waiting, m.ID)
			s.mu.Unlock()
			if c != nil {
				c <- m.reply
			}
		}
	}
}

func (s *socket) close() {
	_ = s.conn.Close()
	<-s.gone
}

var errSocketGone = errors.New("the websocket is closed")

// command sends a command and reads its result into out unless that is nil.
func (s *socket) command(ctx context.Context, kind string, f fields, out any) error {
	answer := make(chan reply, 1)
	m := map[string]any{"type": kind}
	for k, v := range f {
		m[k] = v
	}
	s.mu.Lock()
	s.last++
	m["id"] = s.last
	s.waiting[s.last] = answer
	err := s.conn.WriteJSON(m)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("command %s: %w", kind, err)
	}
	select {
	case r := <-answer:
		if r.Error.Code != "" {
			return fmt.Errorf("command %s: %s: %s", kind, r.Error.Code, r.Error.Message)
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(r.Result, out)
	case <-s.gone:
		return fmt.Errorf("command %s: %w", kind, errSocketGone)
	case <-ctx.Done():
		return fmt.Errorf("command %s: %w", kind, ctx.Err())
	}
}

// follow subscribes the stream.
func (s *socket) follow(ctx context.Context) error {
	return s.command(ctx, "subscribe_events", fields{"event_type": "state_changed"}, nil)
}

// Sync waits until the stream has all changes that Home Assistant shows already.
func (i *Instance) Sync(ctx context.Context) error { return i.socket.command(ctx, "ping", nil, nil) }

// Command sends a command to the websocket interface.
func (i *Instance) Command(ctx context.Context, kind string, f map[string]any, out any) error {
	return i.socket.command(ctx, kind, f, out)
}
