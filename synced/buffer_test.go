package synced

import (
	"strings"
	"sync"
	"testing"
)

func TestBuffer(t *testing.T) {
	var b Buffer
	var each sync.WaitGroup
	for _, word := range []string{"anna", "bert", "carl"} {
		each.Go(func() {
			for range 100 {
				_, _ = b.Write([]byte(word + "\n"))
			}
		})
	}
	each.Wait()
	all := b.String()
	for _, word := range []string{"anna", "bert", "carl"} {
		if n := strings.Count(all, word+"\n"); n != 100 {
			t.Errorf("%s is there %d times", word, n)
		}
	}
	if got := b.Take(); got != all || b.String() != "" {
		t.Errorf("took %d of %d bytes, left %q", len(got), len(all), b.String())
	}
}
