package main

import (
	"strings"
	"testing"
)

// Who asks for help gets it, and who is wrong is told where it is.
func TestHelp(t *testing.T) {
	for line, c := range map[string]struct {
		status int
		says   string
	}{
		"help":                        {exitDone, "Usage: porchlight <command>"},
		"help traffic":                {exitDone, "Usage: porchlight traffic"},
		"help connections diff":       {exitDone, "Usage: porchlight connections diff"},
		"connections --help":          {exitDone, "--watch"},
		"connections filter":          {exitUsage, "see porchlight connections filter --help\n"},
		"connections show":            {exitUsage, "see porchlight connections show --help\n"},
		"connections --nonsense":      {exitUsage, "see porchlight connections --help\n"},
		"connections nonsense":        {exitUsage, "see porchlight connections --help\n"},
		"nonsense":                    {exitUsage, "see porchlight --help\n"},
		"traffic --json --csv":        {exitUsage, "see porchlight traffic --help\n"},
		"connections diff 1 yestrday": {exitUsage, "see porchlight connections diff --help\n"},
	} {
		status, out, errs := command(t, t.TempDir(), strings.Fields(line)...)
		if status != c.status || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: status %d\n%s%s", line, status, out, errs)
		}
	}
}
