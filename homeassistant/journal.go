package homeassistant

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// Entry is one entry of Home Assistant's log.
type Entry struct {
	Level  string // WARNING, ERROR or CRITICAL: it logs no others by default
	Logger string // such as homeassistant.components.mqtt.client
	Text   string // all lines, a traceback included
}

// Journal is Home Assistant's log so far. Its methods may be used by many.
type Journal struct {
	mu      sync.Mutex
	partial []byte // of the last line
	entries []Entry
}

func newJournal() *Journal { return &Journal{} }

// head is the beginning of an entry; the time has a zone in newer releases.
var head = regexp.MustCompile(`^(?:\x1b\[\d+m)*\d{4}-\d\d-\d\d [0-9:.+]+ ([A-Z]+) \([^)]*\) \[([^\]]+)\] `)

// Write implements io.Writer.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.partial = append(j.partial, p...)
	for {
		line, rest, ok := bytes.Cut(j.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		if text := strings.TrimSuffix(string(line), "\x1b[0m"); text != "" {
			j.line(text)
		}
		j.partial = append([]byte(nil), rest...)
	}
}

func (j *Journal) line(s string) {
	if m := head.FindStringSubmatch(s); m != nil {
		j.entries = append(j.entries, Entry{m[1], m[2], s[len(m[0]):]})
	} else if n := len(j.entries); n > 0 {
		j.entries[n-1].Text += "\n" + s
	} else {
		j.entries = append(j.entries, Entry{Level: "ERROR", Text: s}) // python, before its log
	}
}

// Mark returns the place after the last entry.
func (j *Journal) Mark() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries)
}

// Since returns the entries after a mark.
func (j *Journal) Since(mark int) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Entry(nil), j.entries[mark:]...)
}

// Tail returns the last entries, for error messages.
func (j *Journal) Tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, e := range j.entries[max(0, len(j.entries)-20):] {
		b.WriteString(e.Level + " [" + e.Logger + "] " + e.Text + "\n")
	}
	b.Write(j.partial)
	return b.String()
}
