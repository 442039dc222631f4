package lab_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// When the owner of a lab is killed, its children go with it, and with them its
// namespaces: nothing else is in them, and they have no names.
func TestKilledOwner(t *testing.T) {
	if os.Getenv("LAB_CRASH") != "" {
		crash(t)
		return
	}
	labtest.Start(t) // or skip
	ctx := inTime(t)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilledOwner$")
	cmd.Env = append(os.Environ(), "LAB_CRASH=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var children []string
	for s := bufio.NewScanner(out); s.Scan(); {
		if list, ok := strings.CutPrefix(s.Text(), "children "); ok {
			children = strings.Fields(list)
			break
		}
	}
	if len(children) != 4 { // dnsmasq, udhcpc, sleep, mosquitto
		t.Errorf("children %v, want 4", children)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, ctx, func() error {
		for _, pid := range children {
			// A zombie, whose parent is gone, waits for init only.
			if b, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(b), ") Z ") {
				return fmt.Errorf("child %s remains", pid)
			}
		}
		return nil
	})
}

// crash raises a lab, says which children it has, and waits for its end.
func crash(t *testing.T) {
	l := labtest.Start(t)
	l.Must(l.Client("phone").Join(inTime(t)))
	obs := l.Observer("")
	l.Must(obs.Command(t.Context(), "sleep", "1000").Start())
	labtest.Mosquitto(t, lab.MosquittoOptions{})
	fmt.Println("children", strings.Join(childProcesses(t), " "))
	<-t.Context().Done()
}
