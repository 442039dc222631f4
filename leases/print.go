package leases

import (
	"fmt"
	"os"
	"strings"
)

// print tells one state of a file, and of those that belong to it, from another.
type print string

// printOf looks at a file without opening it.
func printOf(path string) print {
	var b strings.Builder
	for _, end := range []string{"", ".completed", ".2", ".1"} { // Kea's
		info, err := os.Stat(path + end)
		switch {
		case err == nil:
			fmt.Fprintf(&b, "%s %d %d;", identity(info), info.Size(), info.ModTime().UnixNano())
		default:
			fmt.Fprintf(&b, "%v;", reason(err))
		}
	}
	return print(b.String())
}
