package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
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
	return append([]Finding{ok(check, fmt.Sprintf("The broker %s accepts the connection.", at))}, checkInstances(there, held, cfg)...)
}

// askEmbedded asks the same at the embedded broker of the Porchlight that runs.
func askEmbedded(ctx context.Context, cfg config.Config) []Finding {
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	there, err := mqtt.Ask(ctx, brokerConfig(cfg))
	if err != nil {
		return nil // what is wrong there is checkEmbedded's
	}
	return checkInstances(there, true, cfg)
}

// checkInstances is about the Porchlights that answered.
func checkInstances(there []mqtt.Instance, held bool, cfg config.Config) (found []Finding) {
	host, _ := os.Hostname()
	ours := slices.IndexFunc(there, func(i mqtt.Instance) bool { return held && i.Host == host })
	if ours >= 0 && cfg.HADiscovery {
		found = append(found, checkHomeAssistant(there[ours], cfg.HAStatusTopic))
	}
	return append(found, checkOthers(there, held, host, cfg.Node)...)
}

// checkHomeAssistant is about what the Porchlight that runs has heard of Home
// Assistant. To have heard nothing may be well: it speaks only when it starts.
func checkHomeAssistant(ours mqtt.Instance, topic string) Finding {
	const check = "discovery"
	if ours.HomeAssistant.IsZero() {
		return ok(check, fmt.Sprintf("Home Assistant has said nothing on %s since Porchlight started (%s). It does when it starts and when its MQTT integration is reloaded; if it has since, it uses another broker, or PORCHLIGHT_HA_STATUS_TOPIC and PORCHLIGHT_HA_DISCOVERY_PREFIX are not what it is set to.",
			topic, stamp(ours.Since)))
	}
	return ok(check, fmt.Sprintf("Home Assistant was heard on %s (%s).", topic, stamp(ours.HomeAssistant)))
}

func stamp(t time.Time) string { return t.Local().Format(time.DateTime) }

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
			fmt.Sprintf("Another Porchlight (%s, since %s) uses PORCHLIGHT_NODE %q on this broker: they overwrite each other's devices.", where, stamp(i.Since), node),
			"Set PORCHLIGHT_NODE to another name on one of them."))
	}
	return found
}

func brokerConfig(cfg config.Config) mqtt.Config {
	b := cfg.Broker()
	return mqtt.Config{
		URL: b.URL, Username: b.Username, Password: b.Password,
		CAFile: b.CAFile, CertFile: b.CertFile, KeyFile: b.KeyFile,
		Discovery: discovery.Options{Topics: discovery.Topics{Prefix: cfg.TopicPrefix, Node: cfg.Node, HAPrefix: cfg.HADiscoveryPrefix}},
		Log:       slog.New(slog.DiscardHandler),
	}
}
