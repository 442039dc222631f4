package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"porchlight/config"
	"porchlight/discovery"
	"porchlight/mqtt"
)

// brokerTime bounds the whole conversation with the broker.
const brokerTime = 5 * time.Second

// checkBroker connects to the configured broker once, asks which Porchlights
// are there, and says goodbye. It has a client id of its own, so that it does
// not end the session of a Porchlight that runs (MQTT 3.1.1, section 3.1.4).
// held is whether one runs on our database.
func checkBroker(ctx context.Context, cfg config.Config, held bool) []Finding {
	const check = "broker"
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	at := cfg.MQTTURL.Redacted()
	there, err := mqtt.Ask(ctx, brokerConfig(cfg))
	if err != nil {
		r := mqtt.Refusal{Why: err.Error()}
		_ = errors.As(err, &r)
		remedy := "Look at the broker's log, and check PORCHLIGHT_MQTT_URL."
		if r.Remedy != "" {
			remedy = strings.ToUpper(r.Remedy[:1]) + r.Remedy[1:] + "."
		}
		return []Finding{fail(check, fmt.Sprintf("No connection to the broker %s: %s.", at, r.Why), remedy)}
	}
	found := []Finding{ok(check, fmt.Sprintf("The broker %s accepts the connection.", at))}
	host, _ := os.Hostname()
	return append(found, checkOthers(there, held, host, cfg.Node)...)
}

// checkOthers is about the Porchlights that answered. One of them is the one
// that runs on our database, if held.
func checkOthers(there []mqtt.Instance, held bool, host, node string) (found []Finding) {
	for _, i := range there {
		if held && i.Host == host {
			held = false
			continue
		}
		where := "on " + i.Host
		if i.Host == host {
			where = "on this machine"
		}
		found = append(found, warn("broker",
			fmt.Sprintf("Another Porchlight (%s, since %s) uses PORCHLIGHT_NODE %q on this broker: they overwrite each other's devices.", where, i.Since.Local().Format(time.DateTime), node),
			"Set PORCHLIGHT_NODE to another name on one of them."))
	}
	return found
}

func brokerConfig(cfg config.Config) mqtt.Config {
	return mqtt.Config{
		URL: cfg.MQTTURL.String(), Username: cfg.MQTTUsername, Password: string(cfg.MQTTPassword),
		CAFile: cfg.MQTTCAFile, CertFile: cfg.MQTTCertFile, KeyFile: cfg.MQTTKeyFile,
		Discovery: discovery.Options{Topics: discovery.Topics{Prefix: cfg.TopicPrefix, Node: cfg.Node, HAPrefix: cfg.HADiscoveryPrefix}},
		Log:       slog.New(slog.DiscardHandler),
	}
}
