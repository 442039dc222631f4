package doctor

import (
	"fmt"
	"strings"

	"porchlight/hostapd"
)

// checkHostapd tells what each control socket of hostapd answers.
func checkHostapd(all []hostapd.Found) (found []Finding) {
	const check = "hostapd"
	for _, f := range all {
		if f.Err == nil {
			found = append(found, ok(check, fmt.Sprintf("hostapd answers at %s: stations: %d.", f.Path, f.Stations)))
			continue
		}
		text, remedy := hostapd.Explain(f.Path, f.Err)
		found = append(found, warn(check, sentence(text), sentence(remedy)))
	}
	return found
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
