package listen

import (
	"strings"

	"github.com/gen2brain/beeep"

	"porchlight/presence"
)

// Bounds of a notification, in bytes.
const (
	maxTitle = 120
	maxBody  = 300
)

// newDesktop returns the way to show a notification on this desktop.
func newDesktop() func(title, body string) error {
	beeep.AppName = "Porchlight"
	return func(title, body string) error {
		if err := desktopThere(); err != nil {
			return err
		}
		return beeep.Notify(plain(title, maxTitle), plain(body, maxBody), icon)
	}
}

// lookalikes, which every font has, replace what means something to one of the
// ways that a text can take to a desktop:
//
//   - Linux: markup in the body (Desktop Notifications Specification, "Markup"),
//     in the title too with some services. Those without markup would show an
//     escaped text as it is, so it is not escaped. Where D-Bus fails, beeep
//     tries notify-send, which reads \074 as <, and kdialog.
//   - Windows: CDATA in XML, which ]]> ends, and where COM fails the same XML in
//     a PowerShell here-string, in which $(…) and the backtick are code.
//   - macOS: a string of AppleScript, in double quotes, quoted as Go quotes; a
//     text that is printable needs no more than \" and \\.
var lookalikes = strings.NewReplacer(
	"<", "‹", ">", "›", "&", "+", "$", "§", "`", "'", `\`, "/",
)

// plain makes text that a stranger may have chosen fit for every desktop: at
// most limit bytes, printable, one line, without meaning to what it passes
// through, and no option of a command.
func plain(s string, limit int) string {
	s = lookalikes.Replace(presence.CleanText(s, limit))
	return strings.TrimLeft(presence.CleanText(s, limit), "- ")
}
