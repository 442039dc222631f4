package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"porchlight/bridge"
	"porchlight/capture"
	"porchlight/history"
	"porchlight/mqtt"
	"porchlight/notify"
	"porchlight/web"
)

// status is what the page, the health check and the metrics show.
type status struct {
	*bridge.Bridge
	store   *history.Store
	session *mqtt.Session
	lan     *lan
	notify  *notify.Notifier
	broker  string
	dataDir string
}

// Health returns nil when Porchlight does its work, else what is wrong.
func (s *status) Health(ctx context.Context) error {
	_, sum, err := s.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("the main loop does not answer: %w", err)
	}
	wrong := sum.Problems
	for _, i := range sum.Sensing {
		if i.Blind {
			wrong = append(wrong, i.Why)
		}
	}
	if connected, why := s.session.Status(); !connected {
		wrong = append(wrong, "no broker: "+why)
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// Stats returns the counters for the metrics.
func (s *status) Stats(ctx context.Context) (web.Stats, error) {
	b, err := s.Bridge.Stats(ctx)
	connected, why := s.session.Status()
	w := web.Stats{
		Events: b.Events, Sightings: b.Sightings, Dropped: b.Dropped, Refused: b.Refused,
		Probes: b.Probes, ProbesFailed: b.ProbesFailed, Sweeps: b.Sweeps,
		EventsLost: uint64(s.store.Lost()), DatabaseFault: s.store.Fault() != nil, Database: s.database(),
		BrokerConnected: connected, Broker: s.broker, BrokerFault: why, Behind: s.store.Behind(),
		Interfaces: map[string]web.Interface{},
	}
	for _, m := range s.notify.States() {
		w.Messages = append(w.Messages, web.Messages{Service: m.Service, Waiting: m.Waiting, Fault: m.Fault, Sent: m.Sent})
	}
	for i, name := range s.lan.names {
		var sum web.Interface
		for _, c := range []capture.Stats{s.lan.arp[i].Stats().Stats, s.lan.dhcp[i].Stats().Capture, s.lan.ndp[i].Stats().Capture} {
			sum.Frames += c.Frames
			sum.Malformed += c.Malformed
			sum.Dropped += c.Dropped
			sum.Redials += c.Redials
		}
		w.Interfaces[name] = sum
	}
	return w, err
}

// database says where everything is kept, and how large that is.
func (s *status) database() web.Database {
	d := web.Database{Path: filepath.Join(s.dataDir, "porchlight.db")}
	if info, err := os.Stat(d.Path); err == nil {
		d.Size = info.Size()
	}
	if err := s.store.Fault(); err != nil {
		d.Fault = err.Error()
	}
	return d
}
