// Package supervisor makes settings out of what Home Assistant's Supervisor
// knows, when Porchlight runs as an app ("add-on") of Home Assistant.
//
// There are three sources. The later wins:
//   - what holds for every app: the database is in /data
//   - the Supervisor's answers: the MQTT broker, and the port of the ingress
//   - the app's options, which the Supervisor has written to /data/options.json
//
// An option has the name of its setting, in lower case and without the prefix.
// The values are not looked at here: config.Load checks them, whoever set them.
//
// Sources: developers.home-assistant.io, "App configuration", "App
// communication", and the Supervisor's endpoints /services/mqtt and
// /addons/self/info.
package supervisor
