package listen

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"git.sr.ht/~jackmordaunt/go-toast/tmpl"
	"github.com/google/go-cmp/cmp"
)

// hostileNames are host names that mean something on the way to a desktop.
var hostileNames = []string{
	`<b>x</b><img src="http://evil/x.png">"; $(reboot) 😀`,
	`]]></text><text>owned</text><![CDATA[`,
	"`reboot`", "$env:PATH $(Start-Process calc) ${x}", "\"@\n; Start-Process calc; @\"", "”@ ’ “ „",
	`" & (do shell script "reboot") & "`, `\" & (do shell script "reboot") & \"`, `\074b\076 \n \x3c \`,
	"--icon=/etc/shadow", "- - -", "&lt;b&gt; &amp; &#60;", "\x1b[31m\u202e\u0000\u200b", "[a", "(x", "{x}", "%s%n",
}

func TestPlain(t *testing.T) {
	for _, name := range hostileNames {
		p := plain(name, maxTitle)
		if strings.ContainsAny(p, "<>&$`\\") || strings.HasPrefix(p, "-") || strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q became %q", name, p)
		}
	}
	for in, want := range map[string]string{
		"Zoë’s iPhone (2) 📱 #1 50%":          "Zoë’s iPhone (2) 📱 #1 50%",
		`AT&T <b>x</b> $5`:                   `AT+T ‹b›x‹/b› §5`,
		strings.Repeat("&", 1000):            strings.Repeat("+", maxTitle),
		strings.Repeat("é", 1000) + "unseen": strings.Repeat("é", maxTitle/2),
	} {
		if diff := cmp.Diff(want, plain(in, maxTitle)); diff != "" {
			t.Error(diff)
		}
	}
}

// On Windows the library puts the text into this XML, and where COM fails that
// into this script.
func TestWindowsToast(t *testing.T) {
	for _, name := range hostileNames {
		text := plain(name, maxTitle)
		var b strings.Builder
		err := tmpl.XMLTemplate.Execute(&b, map[string]string{
			"Title": text, "Body": text, "Icon": icon, "Audio": "silent", "Duration": "short",
			"ActivationType": "foreground", "ActivationArguments": "", "Actions": "",
		})
		if err != nil {
			t.Fatal(err)
		}
		var toast struct {
			Text []string   `xml:"visual>binding>text"`
			Rest []struct{} `xml:",any"`
		}
		if err := xml.Unmarshal([]byte(b.String()), &toast); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if diff := cmp.Diff([]string{text, text}, toast.Text); diff != "" && text != "" {
			t.Errorf("%q: %s", name, diff)
		}
		if len(toast.Rest) != 1 { // audio
			t.Errorf("%q: %d elements more", name, len(toast.Rest))
		}

		var script, empty strings.Builder
		_ = tmpl.ScriptTemplate.Execute(&script, map[string]string{"AppID": "Porchlight", "XML": b.String()})
		_ = tmpl.ScriptTemplate.Execute(&empty, map[string]string{"AppID": "Porchlight"})
		for _, code := range []string{"$", "`", "\n\"@", "\n”@", "\n“@", "\n„@"} {
			if n, want := strings.Count(script.String(), code), strings.Count(empty.String(), code); n != want {
				t.Errorf("%q: %q is %d times in the script, want %d", name, code, n, want)
			}
		}
	}
}

// On macOS the library quotes the text as Go does, for AppleScript, which knows
// \" and \\ and no other of Go's escapes.
func TestAppleScript(t *testing.T) {
	for _, name := range hostileNames {
		text := plain(name, maxBody)
		want := `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`
		if diff := cmp.Diff(want, fmt.Sprintf("%q", text)); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
}
