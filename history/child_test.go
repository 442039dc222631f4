package history

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// children are what the test binary can play in a process of its own, by its
// first argument; the second is a directory.
var children = map[string]func(dir string){"append-for-ever": appendForEver, "merge-for-ever": mergeForEver}

func child(args []string) bool {
	if len(args) < 3 || children[args[1]] == nil {
		return false
	}
	children[args[1]](args[2])
	return true
}

// appendForEver says each number that Append has acknowledged.
func appendForEver(dir string) {
	s, err := Open(dir, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() { _ = s.Run(always) }()
	for i := 0; ; i++ {
		var b strings.Builder
		for _, e := range s.Append(arrivals(1 + i%3)) {
			fmt.Fprintln(&b, e.Seq)
		}
		os.Stdout.WriteString(b.String())
	}
}

func TestKilled(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []int64
	for range 20 {
		cmd := exec.Command(os.Args[0], "append-for-ever", dir)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		kill := 0
		for n := 1; ; n++ {
			line, err := lines.ReadString('\n')
			if errors.Is(err, io.EOF) {
				break // a line cut off was not acknowledged
			}
			seq, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			acknowledged = append(acknowledged, seq)
			if n == 1 {
				kill = n + rand.IntN(400)
			}
			if n == kill {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
	}
	if !slices.IsSorted(acknowledged) || len(slices.Compact(slices.Clone(acknowledged))) != len(acknowledged) {
		t.Error("numbers were repeated or went back")
	}
	stored := seqs(all(t, open(t, dir), 0))
	if !slices.IsSorted(stored) || len(slices.Compact(slices.Clone(stored))) != len(stored) {
		t.Error("the log is out of order")
	}
	for _, seq := range acknowledged {
		if _, ok := slices.BinarySearch(stored, seq); !ok {
			t.Errorf("event %d was acknowledged and is gone", seq)
		}
	}
	t.Logf("%d events acknowledged, %d stored, 20 kills", len(acknowledged), len(stored))
}
