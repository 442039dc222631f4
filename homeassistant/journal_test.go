package homeassistant

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJournal(t *testing.T) {
	j := newJournal()
	for _, part := range []string{
		"Traceback: no ", "module\n",
		"\x1b[33m2026-11-20 13:52:27.196+00:00 WARNING (MainThread) [homeassistant.bootstrap] Skipping pip\n\x1b[0m",
		"2026-04-20 13:52:27.804 ERROR (Recorder) [homeassistant.setup] Setup failed\x1b[0m\nTraceback (most recent call last):\n  File x\n",
		"2026-04-20 13:52:28.100 WARNING (MainThread) [mqtt] not ended",
	} {
		if _, err := io.WriteString(j, part); err != nil {
			t.Fatal(err)
		}
	}
	want := []Entry{
		{"ERROR", "", "Traceback: no module"},
		{"WARNING", "homeassistant.bootstrap", "Skipping pip"},
		{"ERROR", "homeassistant.setup", "Setup failed\nTraceback (most recent call last):\n  File x"},
	}
	if diff := cmp.Diff(want, j.Since(0)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
