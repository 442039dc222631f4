package main

import (
	"log/slog"

	"porchlight/config"
	"porchlight/web"
)

// pages are the servers of the page: for this machine or its network, and for
// Home Assistant's ingress. Porchlight does its work without those that cannot
// listen.
func pages(cfg config.Config, source web.Source, log *slog.Logger) (servers []*web.Server) {
	c := web.Config{Listen: cfg.WebListen, Password: string(cfg.WebPassword), Version: version, Source: source, Log: log}
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
