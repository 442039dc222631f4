package main

import (
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"porchlight/bridge"
	"porchlight/config"
	"porchlight/leases"
	"porchlight/lookup"
	"porchlight/presence"
)

// runNames brings in the names that files and others know, until ctx ends.
func runNames(ctx context.Context, cfg config.Config, b *bridge.Bridge, log *slog.Logger) error {
	files := leases.NewWatcher(leases.Config{Leases: cfg.LeaseFiles, Hosts: cfg.HostsFiles, Tell: b.Tell, Log: log})
	namer := lookup.New(lookup.Config{Sources: sources(cfg), Devices: devicesOf(b), Tell: b.Tell, Log: log})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return files.Run(ctx) })
	g.Go(func() error { return namer.Run(ctx) })
	return g.Wait()
}

func devicesOf(b *bridge.Bridge) func(context.Context) ([]presence.Device, error) {
	return func(ctx context.Context) ([]presence.Device, error) {
		devices, _, err := b.Snapshot(ctx)
		return devices, err
	}
}

// sources are those to ask for names, as they are set.
func sources(cfg config.Config) (all []lookup.Source) {
	for _, item := range cfg.NameLookup {
		switch kind, server, _ := config.ParseLookup(item); kind {
		case "mdns":
			all = append(all, lookup.NewMDNS())
		case "dns":
			all = append(all, lookup.NewDNS(server))
		}
	}
	return all
}
