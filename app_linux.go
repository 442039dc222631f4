package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"porchlight/config"
	"porchlight/mqtt"
	"porchlight/supervisor"
)

// errOtherBroker ends serve when Home Assistant has another broker than the one
// in use, or another password for it.
var errOtherBroker = errors.New("another MQTT broker is in Home Assistant now")

// askEvery is how often the Supervisor is asked for the broker while there is no
// connection to Home Assistant's. The installation of one tells nobody.
const askEvery = 10 * time.Second

// watchBroker returns errOtherBroker when an app of Home Assistant should begin
// anew, with the broker that it would find now. It never trades a broker of Home
// Assistant for one of its own: an app that is updated comes back.
func watchBroker(ctx context.Context, cfg config.Config, session *mqtt.Session, log *slog.Logger) error {
	environ := os.Environ()
	if !supervisor.Inside(environ) {
		return nil
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if connected, _ := session.Status(); connected && cfg.MQTTURL != nil {
			continue
		}
		settings, err := supervisor.Settings(ctx, environ, func(string) {})
		if err != nil {
			continue // the Supervisor is away too, or updates itself
		}
		now, _, err := config.Load(settings)
		if err != nil || now.MQTTURL == nil || sameBroker(now, cfg) {
			continue
		}
		log.Info("Home Assistant has another MQTT broker now, or another password for it: beginning anew with that", "broker", now.MQTTURL.Redacted())
		return errOtherBroker
	}
}

func sameBroker(a, b config.Config) bool {
	return b.MQTTURL != nil && a.MQTTURL.String() == b.MQTTURL.String() &&
		a.MQTTUsername == b.MQTTUsername && a.MQTTPassword == b.MQTTPassword
}

// appProblems is what a user sees on the page in Home Assistant when the app
// found no broker there.
func appProblems(cfg config.Config) []string {
	if len(cfg.IngressPorts) == 0 || cfg.MQTTURL != nil {
		return nil
	}
	return []string{`Home Assistant has no MQTT broker, so it does not hear of this: install the app "Mosquitto broker"; Porchlight finds it by itself`}
}
