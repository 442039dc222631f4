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
	if os.Getenv(askedToTake) != "" {
		os.Exit(takeAndPrint())
	}
	if dir := os.Getenv(askedToFill); dir != "" {
		if err := fillTheDisk(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func takeAndPrint() int {
	s, err := Take(nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(len(s.Connections))
	return 0
}
