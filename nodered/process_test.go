package nodered

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"porchlight/lab"
)

// installed is where scripts/nodered puts Node-RED.
const installed = "../.cache/nodered"

// redJS returns Node-RED's program, and skips the test without it.
func redJS(t *testing.T) string {
	t.Helper()
	want, err := os.ReadFile("testdata/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(filepath.Join(installed, "installed")); err != nil || !bytes.Equal(have, want) {
		t.Skip("Node-RED is not installed, or not this version of it: run make test-nodered")
	}
	path, err := filepath.Abs(filepath.Join(installed, "node_modules/node-red/red.js"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// nodeRED is a Node-RED on a host of the lab. It can be started again and again
// with the same flows.
type nodeRED struct {
	t    *testing.T
	host *lab.Host
	args []string
	dir  string

	cmd       *lab.Cmd
	reading   sync.WaitGroup
	connected chan struct{} // one for each connection to the broker
	told      chan string   // what came to a debug node: its name and the payload

	mu  sync.Mutex
	log bytes.Buffer
}

func newNodeRED(t *testing.T, host *lab.Host, flows []node) *nodeRED {
	t.Helper()
	program, dir := redJS(t), t.TempDir()
	settings, err := filepath.Abs("testdata/settings.js")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(listeners(flows))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, flowsFile)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return &nodeRED{
		t: t, host: host, dir: dir, args: []string{program, "--userDir", dir, "-s", settings, file},
		connected: make(chan struct{}, 64), told: make(chan string, 1024),
	}
}

// start starts it and returns at once.
func (n *nodeRED) start() {
	n.t.Helper()
	n.cmd = n.host.Command(context.Background(), "node", n.args...)
	n.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.dir}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	n.cmd.Stderr = n.cmd.Stdout
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.reading.Go(func() { n.read(out) })
}

// read takes the log line by line, until the end of the process.
func (n *nodeRED) read(out io.ReadCloser) {
	defer out.Close()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		n.mu.Lock()
		n.log.WriteString(line + "\n")
		n.mu.Unlock()
		if strings.Contains(line, "Connected to broker") {
			n.connected <- struct{}{}
		}
		if _, message, ok := strings.Cut(line, "[function:told] "); ok {
			var told [2]string
			if err := json.Unmarshal([]byte(message), &told); err != nil {
				n.t.Errorf("Node-RED's log has %q: %v", line, err)
			}
			n.told <- told[0] + ": " + told[1]
		}
	}
}

// awaitBroker waits for the next connection to the broker.
func (n *nodeRED) awaitBroker() {
	n.t.Helper()
	select {
	case <-n.connected:
	case <-time.After(patience):
		n.t.Fatalf("Node-RED does not connect to the broker in %s", patience)
	}
}

// stop ends it as an administrator does, kill as a power cut does.
func (n *nodeRED) stop() {
	n.t.Helper()
	if err := n.cmd.Stop(patience); err != nil {
		n.t.Errorf("Node-RED: %v", err)
	}
	n.reading.Wait()
}

func (n *nodeRED) kill() {
	n.cmd.Kill()
	n.reading.Wait()
}

func (n *nodeRED) said() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}
