//go:build !linux

package listen

// icon is none: the libraries for other systems want a file, and leave its name
// behind in the registry of Windows.
const icon = ""

func desktopThere() error { return nil }
