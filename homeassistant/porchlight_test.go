package homeassistant

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"porchlight/lab"
	"porchlight/presence"
)

// command is porchlight with these arguments, on the scene's database.
func (s *scene) command(args ...string) *lab.Cmd {
	cmd := s.obs.Command(context.Background(), s.program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	for k, v := range s.env {
		cmd.Env = append(cmd.Env, "PORCHLIGHT_"+k+"="+v)
	}
	return cmd
}

// run starts Porchlight and does not wait.
func (s *scene) run() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	s.must(err)
	defer log.Close()
	s.porch = s.command("run")
	s.porch.Stdout, s.porch.Stderr = log, log
	s.must(s.porch.Start())
}

// start starts Porchlight and waits until Home Assistant shows its connection,
// and until it has made the list of who was there before.
func (s *scene) start() {
	s.t.Helper()
	s.run()
	s.until("Porchlight to be connected and to know who is there", func() bool {
		select {
		case <-s.porch.Done():
			s.t.Fatalf("Porchlight has ended: %v", s.porch.Wait())
		default:
		}
		return s.state(s.bridge("binary_sensor", "connectivity")) == "on" && len(s.events(presence.Baseline)) > 0
	})
}

// stop ends it as an administrator does, if it runs.
func (s *scene) stop() {
	if s.porch == nil {
		return
	}
	err := s.porch.Stop(patience)
	s.porch = nil
	if err != nil {
		s.t.Errorf("stopping Porchlight: %v", err)
	}
}

// kill ends it as a power cut does.
func (s *scene) kill() {
	s.porch.Kill()
	s.porch = nil
}

// events are those of a type in Porchlight's log.
func (s *scene) events(kind presence.EventType) (found []presence.Event) {
	s.t.Helper()
	out, err := s.command("events", "--json", "-n", "10000").Output()
	if err != nil {
		return nil // there is no database yet
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var e presence.Event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			s.t.Fatalf("reading what porchlight events printed: %v", err)
		}
		if e.Type == kind {
			found = append(found, e)
		}
	}
}
