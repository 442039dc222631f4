package main

import (
	"bufio"
	"bytes"
	"os"
	"testing"
	"time"
)

// What goes on until it is stopped ends when nobody reads it any more, however
// little happens.
func TestUnread(t *testing.T) {
	dir := lived(t)
	for _, args := range [][]string{
		{"connections", "--watch", "--every", "100ms", "--program", "no such program"},
		{"events", "--follow", "--last", "1"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		ended := make(chan int, 1)
		go func() {
			a := &app{t.Context(), w, &errs, []string{"PORCHLIGHT_DATA_DIR=" + dir}}
			ended <- run(a, args)
		}()
		if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case status := <-ended:
			if status != exitDone {
				t.Errorf("%q: status %d, %s", args, status, errs.String())
			}
		case <-time.After(time.Minute):
			t.Errorf("%q goes on", args)
		}
		_ = w.Close()
	}
}
