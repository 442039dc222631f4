// Package discovery knows the MQTT topics and what is said on them: states,
// attributes, the summary, and the discovery messages that make Home Assistant
// create its entities. It is pure; package mqtt sends what it renders.
//
// Discovery messages follow Home Assistant's device discovery (2024.11 and
// later): one retained message per device, full key names, and no key that
// Home Assistant's schema does not know, since one unknown key makes it reject
// the whole message.
// https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
package discovery
