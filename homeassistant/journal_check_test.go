package homeassistant

import (
	"regexp"
	"slices"
	"strings"
)

// The tests have no internet, no camera and no microphone, and Home Assistant
// says so when it starts. These entries are of loggers that never hear of us.
var unrelated = regexp.MustCompile(`^(` + strings.Join([]string{
	`aiohttp_fast_zlib: zlib_ng and isal are not available`,
	`haffmpeg\.\w+: `,
	`homeassistant\.bootstrap: Skipping pip installation`,
	// MQTT was reloaded before its birth message was out.
	`homeassistant: Error doing job: Task exception was never retrieved(?s:.*)_async_resubscribe_and_publish_birth_message`,
	`homeassistant\.components\.camera\.img_util: `,
	`homeassistant\.setup: .*'assist_(pipeline|satellite)'`,
}, "|") + `)`)

// cleanup is said by older releases when a device goes that has disabled
// entities: each of them clears the device's discovery topic once more. Of other
// scenes it is the echo of forget.
var cleanup = regexp.MustCompile(`^homeassistant\.components\.mqtt\.discovery: No device components to cleanup for \w+, node_id '(\w+)'`)

// forgive is what the scene itself makes Home Assistant complain about.
func (s *scene) forgive(pattern string) { s.forgives = regexp.MustCompile(pattern) }

// checkJournal fails the test for every warning and error that Home Assistant
// has logged since the scene began and that is not known to be of others.
func (s *scene) checkJournal() {
	s.t.Helper()
	for _, e := range s.ha.Journal().Since(s.journal) {
		text := e.Logger + ": " + e.Text
		if m := cleanup.FindStringSubmatch(text); m != nil && m[1] != s.node || s.forgives != nil && s.forgives.MatchString(text) {
			continue
		}
		if !unrelated.MatchString(text) || strings.Contains(strings.ToLower(text), "porchlight") {
			s.t.Errorf("Home Assistant logged: %s [%s] %s", e.Level, e.Logger, e.Text)
		}
	}
}

// logSeen is the proof that a complaint about us would be seen.
func logSeen(s *scene) {
	s.forgive(`Unable to parse JSON .*\brubbish_` + s.node)
	object := "rubbish_" + s.node
	s.until("Home Assistant to complain", func() bool {
		s.publish("homeassistant/device/"+s.node+"/"+object+"/config", "{", false) // it may not have subscribed before
		return slices.ContainsFunc(s.ha.Journal().Since(s.journal), func(e Entry) bool {
			return e.Level == "WARNING" && e.Logger == "homeassistant.components.mqtt.discovery" && strings.Contains(e.Text, object)
		})
	})
}
