package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"slices"
	"strings"

	"porchlight/config"
	"porchlight/doctor"
	"porchlight/history"
	"porchlight/web"
)

// pages are the servers of the page: for this machine or its network, and for
// Home Assistant's ingress. Porchlight does its work without those that cannot
// listen.
func pages(cfg config.Config, source web.Source, commands web.Commands, machine ownMachine, past *history.Queries, secret []byte, log *slog.Logger) (servers []*web.Server) {
	c := web.Config{
		Listen: cfg.WebListen, Password: string(cfg.WebPassword), Hosts: slices.Concat(cfg.WebHosts, ownNames()), Secret: secret,
		Version: version, Source: source, Commands: commands, History: past, Doctor: examine(cfg), Log: log,
		Connections: machine.connections, RecordEvery: cfg.ConnectionsInterval, Traffic: machine.traffic, TrafficMode: cfg.Traffic,
	}
	page, err := web.New(c)
	if err != nil {
		log.Warn("there is no page, no health check and no metrics", "err", err)
	} else {
		servers = append(servers, page)
	}
	for _, port := range cfg.IngressPorts {
		page, err := web.NewIngress(c, port)
		if err != nil {
			log.Warn("there is no page in Home Assistant, or it does not see whether Porchlight lives", "err", err)
			continue
		}
		servers = append(servers, page)
	}
	return servers
}

// examine is the doctor of the command line, for the page.
func examine(cfg config.Config) web.Doctor {
	return func(ctx context.Context, report func(web.Finding)) {
		doctor.Run(ctx, cfg, func(f doctor.Finding) {
			report(web.Finding{Level: string(f.Level), Check: f.Check, Text: f.Text, Remedy: f.Remedy})
		})
	}
}

// pageSecret is what the page's sessions are signed with. It is kept, so that a
// restart ends none.
func pageSecret(store *history.Store) []byte {
	const key = "page_secret"
	secret, err := hex.DecodeString(store.Meta(key))
	if err != nil || len(secret) != 32 {
		secret = make([]byte, 32)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
		store.SetMeta(key, hex.EncodeToString(secret))
	}
	return secret
}

// ownNames are those that this machine usually goes by in its own network.
func ownNames() (names []string) {
	full, err := os.Hostname()
	if err != nil || full == "" {
		return nil
	}
	name, _, _ := strings.Cut(full, ".")
	names = append(names, full, name)
	for _, domain := range []string{"local", "lan", "home", "home.arpa", "internal", "localdomain", "fritz.box"} {
		names = append(names, name+"."+domain)
	}
	return names
}
