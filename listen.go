package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"porchlight/config"
	"porchlight/listen"
	"porchlight/mqtt"
	"porchlight/presence"
)

type listenCmd struct {
	Broker  string               `arg:"" optional:"" help:"The broker, such as mqtt://192.168.1.10:1883; without it PORCHLIGHT_MQTT_URL, or the broker of the Porchlight on this machine. User name and password are PORCHLIGHT_MQTT_USERNAME and PORCHLIGHT_MQTT_PASSWORD (or …_FILE)."`
	Node    string               `placeholder:"NAME" help:"Only the Porchlight of this name; without it PORCHLIGHT_NODE, or all."`
	Type    []presence.EventType `short:"t" placeholder:"TYPE" help:"Only events of this type, such as new_device; several: once for each."`
	Desktop bool                 `help:"Also show notifications on the desktop: of new devices, or of the types chosen by --type."`
	JSON    bool                 `help:"Print JSON Lines."`
}

// Validate is called by kong.
func (c listenCmd) Validate() error {
	if strings.Contains(c.Broker, "@") { // not repeated: it is a secret
		return errors.New("a user name or password in the broker's address is seen by everyone on this machine: set PORCHLIGHT_MQTT_USERNAME and PORCHLIGHT_MQTT_PASSWORD_FILE instead")
	}
	for _, t := range c.Type {
		if !slices.Contains(presence.EventTypes(), t) {
			return fmt.Errorf("--type %q: want one of %v", t, presence.EventTypes())
		}
	}
	return nil
}

// Run follows a broker until it is stopped.
func (c listenCmd) Run(a *app) error {
	cfg, err := c.settings(a)
	if err != nil {
		return err
	}
	l := listen.Config{
		Broker:  brokerConfig(cfg),
		Prefix:  cfg.TopicPrefix,
		Types:   c.Type,
		Out:     a.stdout,
		Line:    eventLine,
		Desktop: c.Desktop,
		Log:     cfg.Logger(a.stderr),
	}
	if c.Node != "" || a.isSet("PORCHLIGHT_NODE") {
		l.Node = cfg.Node
	}
	if c.JSON {
		l.Line = nil
	}
	return listen.Run(a.ctx, l)
}

// settings are those of the environment, with what the command line says.
func (c listenCmd) settings(a *app) (config.Config, error) {
	with := *a
	with.environ = slices.Clone(a.environ)
	if c.Broker != "" {
		if !strings.Contains(c.Broker, "://") {
			c.Broker = "mqtt://" + c.Broker
		}
		with.environ = append(with.environ, "PORCHLIGHT_MQTT_URL="+c.Broker)
	}
	if c.Node != "" {
		with.environ = append(with.environ, "PORCHLIGHT_NODE="+c.Node)
	}
	return with.config()
}

func brokerConfig(cfg config.Config) mqtt.Config {
	b := cfg.Broker()
	return mqtt.Config{
		URL: b.URL, Username: b.Username, Password: b.Password,
		CAFile: b.CAFile, CertFile: b.CertFile, KeyFile: b.KeyFile,
	}
}
