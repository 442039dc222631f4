package connections

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"
)

// askedToTake makes this program a child that only takes a snapshot and prints
// how many connections it has, so that its memory can be measured.
const askedToTake = "CONNECTIONS_TEST_TAKE"

// The main thread is for no test: some make their thread another user's, and what
// /proc says of the process is what it says of this one.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	for name, act := range map[string]func(string) error{askedToTake: takeAndPrint, askedToFill: fillTheDisk, askedToHold: hold, askedToChurn: churn} {
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
	if err == nil {
		_, err = fmt.Println(len(s.Connections))
	}
	return err
}
