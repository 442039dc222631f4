package connections

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// askedToTake makes this program a child that only takes a snapshot, and prints
// how many connections it has and how many kB the program had at most. That is
// not what the parent is told of it, which counts what it was forked from.
const askedToTake = "CONNECTIONS_TEST_TAKE"

// The main thread is for no test: some make their thread another user's, and what
// /proc says of the process is what it says of this one.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	for name, act := range map[string]func(string) error{askedToTake: takeAndPrint, askedToFill: fillTheDisk, askedToHold: hold, askedToChurn: churn, askedToLoseThread: leaderless} {
		with := os.Getenv(name)
		if with == "" {
			continue
		}
		if err := act(with); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func takeAndPrint(string) error {
	s, err := Take(nil)
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, most, _ := strings.Cut(string(status), "\nVmHWM:") // proc_pid_status(5)
	most, _, _ = strings.Cut(strings.TrimSpace(most), " ")
	_, err = fmt.Println(len(s.Connections), most)
	return err
}
