package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"porchlight/bridge"
	"porchlight/config"
	"porchlight/history"
	"porchlight/notify"
	"porchlight/presence"
)

// notifyConfig is the part of the settings that messages need.
func notifyConfig(cfg config.Config) notify.Config {
	return notify.Config{
		URLs: string(cfg.NotifyURLs), On: cfg.NotifyOn, Quiet: cfg.NotifyQuiet, PerHour: cfg.NotifyPerHour,
		Templates: cfg.NotifyTemplates, Link: cfg.WebURL,
	}
}

// newMessages returns who sends messages about what is logged from now on.
func newMessages(cfg config.Config, store *history.Store, b *bridge.Bridge, log *slog.Logger) (*notify.Notifier, error) {
	c := notifyConfig(cfg)
	c.Log, c.Notes, c.Begin, c.Logger = store, store, store.Head(), log
	c.Devices = func(ctx context.Context, id presence.ID) *presence.Device {
		d, _ := b.Device(ctx, id) // who cannot be asked is not known
		return d
	}
	return notify.New(c)
}

type notifyCmd struct {
	Test bool `help:"Send a message to every service, and say what came of it." required:""`
}

// Run tries every service.
func (notifyCmd) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if cfg.NotifyURLs == "" {
		return errors.New("there is nowhere to send a message to: set PORCHLIGHT_NOTIFY_URLS")
	}
	failed := false
	err = notify.Test(a.ctx, notifyConfig(cfg), func(service string, err error) {
		if err != nil {
			failed = true
			_, _ = fmt.Fprintf(a.stdout, "%s: not taken: %v\n", service, err)
			return
		}
		_, _ = fmt.Fprintf(a.stdout, "%s: taken\n", service)
	})
	if err == nil && failed {
		return errSaid
	}
	return err
}
