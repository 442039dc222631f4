package hostapd

import (
	"bytes"
	"strings"

	"porchlight/presence"
)

// maxMessage is more than hostapd sends: its replies have at most 4 KiB.
const maxMessage = 8 << 10

// eventKind is what an event is about.
type eventKind uint8

const (
	otherEvent eventKind = iota
	connected
	disconnected
	enabled  // the access point is on the air
	disabled // it is not, or hostapd ends: nothing is known of its stations
)

// eventKinds are the events that matter, by their first word.
var eventKinds = map[string]eventKind{
	"AP-STA-CONNECTED":       connected,
	"AP-STA-DISCONNECTED":    disconnected,
	"AP-ENABLED":             enabled,
	"INTERFACE-ENABLED":      enabled,
	"AP-DISABLED":            disabled,
	"INTERFACE-DISABLED":     disabled,
	"CTRL-EVENT-TERMINATING": disabled,
}

// isEvent reports whether a message is an event, not an answer. Those of
// hostapd's global socket begin with the interface that they are about.
func isEvent(message []byte) bool {
	return bytes.HasPrefix(message, []byte("<")) || bytes.HasPrefix(message, []byte("IFNAME="))
}

// parseEvent takes an event apart, such as
//
//	<3>AP-STA-CONNECTED 02:00:5e:10:00:01 keyid=guest
//
// mac is that of the station, of the events that are about one.
func parseEvent(message []byte) (kind eventKind, mac presence.MAC) {
	if len(message) > maxMessage {
		return otherEvent, mac
	}
	text := string(message)
	if strings.HasPrefix(text, "IFNAME=") {
		_, text, _ = strings.Cut(text, " ")
	}
	_, text, found := strings.Cut(text, ">")
	if !found {
		return otherEvent, mac
	}
	word, rest, _ := strings.Cut(strings.TrimRight(text, "\n"), " ")
	kind = eventKinds[word]
	if kind == connected || kind == disconnected {
		var ok bool
		if mac, ok = parseMAC(rest); !ok {
			return otherEvent, mac
		}
	}
	return kind, mac
}

// parseStation takes apart what STA-FIRST and STA-NEXT answer: the MAC on the
// first line, and then "flags=[AUTH][ASSOC][AUTHORIZED]" among other lines.
func parseStation(answer []byte) (mac presence.MAC, authorized, ok bool) {
	first, rest, _ := strings.Cut(string(answer[:min(len(answer), maxMessage)]), "\n")
	if mac, ok = parseMAC(first); !ok {
		return mac, false, false
	}
	for line := range strings.Lines(rest) {
		if flags, found := strings.CutPrefix(line, "flags="); found {
			return mac, strings.Contains(flags, "[AUTHORIZED]"), true
		}
	}
	return mac, false, true
}

// parseMAC reads the MAC that text begins with; a space may follow.
func parseMAC(text string) (presence.MAC, bool) {
	word, _, _ := strings.Cut(text, " ")
	mac, err := presence.ParseMAC(word)
	return mac, err == nil && len(word) == len("02:00:5e:10:00:01") && mac.Station()
}
