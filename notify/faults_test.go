package notify

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// TestFaults has services fail, and then be well again: each message arrives
// once, or once more where it was taken and nobody could know.
func TestFaults(t *testing.T) {
	for _, url := range []string{
		"ntfy://user:hunter2pw@ntfy.example/hunter2topic",
		"generic://hook.example/hunter2path",
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAhunter2Dsaw0@telegram?chats=@hunter2",
		"smtp://porch:hunter2pw@mail.example:587/?from=porch@example.org&to=hunter2@example.org",
	} {
		kind, _, _ := strings.Cut(url, ":")
		for _, c := range []struct {
			trouble trouble
			says    string
			lasts   time.Duration
			most    int // how often what happened meanwhile may arrive
		}{
			{refused, "connection refused", 5 * time.Minute, 1},
			{slams, "closed", 5 * time.Minute, 1},
			{mute, "", 5 * time.Minute, 1},
			{late, "no answer within 30s", 5 * time.Minute, 1},
			{tooMany, "answered 4", 5 * time.Minute, 1},
			{broken, "answered ", 5 * time.Minute, 1},
			{untrusted, "unknown authority", 5 * time.Minute, 1},
			{cutsAfter, "without an answer", 4 * time.Second, 2},
		} {
			t.Run(kind+" "+string(c.trouble), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newInternet(t)
					var log bytes.Buffer
					r := newRig(t, "new", func(cfg *Config) {
						cfg.URLs, cfg.Logger = url, slog.New(slog.NewTextHandler(&log, nil))
					})
					m, stop := r.startReal()
					r.book.happen(presence.NewDevice, 1)
					time.Sleep(time.Minute * 2)
					if got := n.taken(); len(got) != 1 {
						t.Fatalf("when all is well it took %q", got)
					}
					n.is(c.trouble)
					r.book.happen(presence.NewDevice, 2)
					time.Sleep(min(c.lasts, tryFor+time.Second))
					fault := m.States()[0].Fault
					if !strings.Contains(fault, c.says) || fault == "" {
						t.Errorf("the fault is %q, want %q", fault, c.says)
					}
					if p := m.Problems(); len(p) != 1 || !strings.Contains(p[0], fault) {
						t.Errorf("the problems are %q", p)
					}
					time.Sleep(c.lasts)
					n.is(well)
					time.Sleep(lastPause + 2*answerWithin)
					r.book.happen(presence.NewDevice, 3)
					time.Sleep(time.Minute)
					got := strings.Join(n.taken(), "\n")
					got = strings.ReplaceAll(got, "Title: ", "")
					for d, most := range map[int]int{1: 0, 2: c.most, 3: 1} {
						count := strings.Count(got, fmt.Sprintf("MAC: 00:00:00:00:00:%02d", d))
						if count > most || count < min(most, 1) {
							t.Errorf("device %d was told of %d times, want %d:\n%s", d, count, most, got)
						}
					}
					if s := m.States()[0]; s.Fault != "" || s.Waiting != 0 || s.Sent.IsZero() {
						t.Errorf("then the state is %+v", s)
					}
					stop()
					for _, text := range []string{log.String(), fault} {
						if strings.Contains(text, "hunter2") || strings.Contains(text, "AAHdq") {
							t.Errorf("a secret is in %s", text)
						}
					}
					if !strings.Contains(log.String(), "did not arrive") || !strings.Contains(log.String(), "arrive again") {
						t.Errorf("the log says %s", log.String())
					}
				})
			})
		}
	}
}

// startReal runs a Notifier that asks real services, until stop.
func (r *rig) startReal() (m *Notifier, stop func()) {
	r.t.Helper()
	m, err := New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	synctest.Wait()
	return m, func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	}
}

// TestTry says of each service whether it took the message.
func TestTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet(t)
		cfg := Config{URLs: "phone=ntfy://ntfy.example/hunter2 smtp://u:hunter2pw@mail.example:587/?from=a@b.example&to=c@d.example,e@f.example"}
		try := func() (said []string) {
			if err := Test(t.Context(), cfg, func(service string, err error) { said = append(said, fmt.Sprint(service, ": ", err)) }); err != nil {
				t.Fatal(err)
			}
			return said
		}
		if got := strings.Join(try(), "\n"); got != "phone: <nil>\nsmtp: <nil>" {
			t.Errorf("when all is well: %s", got)
		}
		if got := strings.Join(n.taken(), "\n"); strings.Count(got, "A message to try") < 2 {
			t.Errorf("it sent %s", got)
		}
		n.noFor = "e@f.example"
		if got := try()[1]; !strings.Contains(got, "1 of 2 receivers are refused: the mail server answered 550") || strings.Contains(got, "e@f") {
			t.Errorf("with one who is refused: %s", got)
		}
		n.is(mute)
		if got := strings.Join(try(), "\n"); got != "phone: no answer within 30s\nsmtp: no answer within 30s" {
			t.Errorf("of services that say nothing: %s", got)
		}
		time.Sleep(2 * answerWithin)
	})
}
