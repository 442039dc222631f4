package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"porchlight/bridge"
	"porchlight/config"
	"porchlight/discovery"
	"porchlight/doctor"
	"porchlight/history"
	"porchlight/mqtt"
	"porchlight/notify"
	"porchlight/presence"
	"porchlight/reach"
	"porchlight/systemd"
)

type runCmd struct{}

// Run is the main job.
func (runCmd) Run(a *app) error {
	// Nobody reads the log any more: that ends nothing. Otherwise the first line
	// after that would (os/signal, "SIGPIPE").
	signal.Ignore(syscall.SIGPIPE)
	for {
		cfg, err := a.config()
		if err == nil {
			err = serve(a.ctx, cfg, a.environ, cfg.Logger(a.stderr))
		}
		switch {
		case a.ctx.Err() != nil && (errors.Is(err, errOtherBroker) || errors.Is(err, context.Canceled)):
			return nil // was stopped while it waited for the Supervisor, or just then
		case !errors.Is(err, errOtherBroker):
			return err
		case err != errOtherBroker: //nolint:errorlint // there is more in it
			cfg.Logger(a.stderr).Warn("beginning anew with another broker", "err", err)
		}
		a.environ = os.Environ() // so that the Supervisor is asked again
	}
}

const baselineDone = "baseline_done"

// eventLog is the event log as the broker session sees it: there is news only
// when the states that it speaks of have been handed over.
type eventLog struct {
	*history.Store
	bridge *bridge.Bridge
}

func (l *eventLog) Changed() <-chan struct{} { return l.bridge.Changed() }

// commands hands what users ask for over MQTT to the bridge.
type commands struct{ bridge *bridge.Bridge }

func (c *commands) Scan()                                  { c.bridge.Scan() }
func (c *commands) Set(id presence.ID, ch presence.Change) { c.bridge.Set(id, ch) }

func (c *commands) Merge(into presence.ID, ids []presence.ID) { c.bridge.Merge(into, ids) }
func (c *commands) Split(id presence.ID, macs []presence.MAC) { c.bridge.Split(id, macs) }

// gcPercent trades a little processor time, of which there is plenty, for
// memory, of which a Raspberry Pi has little. GOGC in the environment wins.
const gcPercent = 40

// settled is when the start is over; what it needed is then given back.
const settled = 30 * time.Second

// saveMemory keeps the heap small until ctx ends.
func saveMemory(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	select {
	case <-ctx.Done():
	case <-time.After(settled):
		debug.FreeOSMemory()
	}
	return nil
}

// serve runs Porchlight until ctx ends.
func serve(ctx context.Context, cfg config.Config, environ []string, log *slog.Logger) (err error) {
	if err := notify.Check(notifyConfig(cfg)); err != nil {
		return err
	}
	if f, bridged := doctor.Container(); bridged {
		if len(cfg.Interfaces) == 0 {
			return errors.New(f.Text + " " + f.Remedy)
		}
		log.Warn(f.Text, "remedy", f.Remedy) // whoever names the interfaces may know better
	}
	names, err := interfaces(cfg)
	if err != nil {
		return err
	}
	if info, err := os.Stat(cfg.DataDir); err == nil && !info.IsDir() {
		return fmt.Errorf("PORCHLIGHT_DATA_DIR is %q, which is a file: name a directory", cfg.DataDir)
	}
	store, err := history.Open(cfg.DataDir, log, history.Keep(cfg.HistoryKeep, int64(cfg.HistoryMaxSize)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	records, err := store.Load(ctx)
	if err != nil {
		return err
	}
	records = bridge.CatchUp(records, store.Recent())

	// What outlives the rest: the broker, until "offline" is on it.
	outer, endOuter := context.WithCancel(context.WithoutCancel(ctx))
	var tail errgroup.Group
	tail.Go(func() error { return store.Run(outer) })
	defer func() { endOuter(); err = errors.Join(err, tail.Wait()) }()
	var broker *mqtt.Broker
	if cfg.MQTTURL == nil {
		broker, err = mqtt.NewBroker(mqtt.BrokerConfig{
			Listen: cfg.BrokerListen, Username: cfg.BrokerUsername, Password: string(cfg.BrokerPassword), Log: log,
		})
		if err != nil {
			return err
		}
		tail.Go(func() error { return broker.Run(outer) })
	}

	events, cmds := &eventLog{Store: store}, &commands{}
	session, err := mqtt.New(sessionConfig(cfg, broker, log), events, cmds)
	if err != nil {
		return err
	}
	file, declared := newDeviceFile(cfg, store, log)
	engine := engineConfig(cfg)
	engine.Declared = declared
	engine.Told = store.Recent()
	engine.Self = ownMACs()
	engine.Baseline = store.Meta(baselineDone) == ""
	engine.BaselineAt, _ = time.Parse(time.RFC3339Nano, store.Meta(baselineDone))

	var b *bridge.Bridge
	var messages *notify.Notifier
	l, err := openLAN(names, cfg, lateEar{&b}, log)
	if err != nil {
		return err
	}
	l.reach = reach.New(reach.Config{
		Sight: func(s presence.Sighting) { b.Sight(s) }, Unsent: func(p presence.Probe) { b.Unsent(p) }, Log: log,
	})
	stations := newHostapd(names, cfg, &b, log)
	recorded := newRecording(cfg, &b, session, log)
	counted := newTrafficCount(cfg, func(ctx context.Context) ([]presence.Device, error) { return devicesOf(b)(ctx) }, recorded, log)
	b = bridge.New(bridge.Config{
		Engine: presence.New(engine), Log: store, Past: store, Publisher: session, LAN: l,
		SweepInterval: cfg.SweepInterval,
		Problems: func() []string {
			return slices.Concat(appProblems(cfg), l.problems(), l.reach.Problems(), stations.Problems(), file.problems(), problems(store, session), messages.Problems(), recorded.problems(), counted.problems())
		},
		BaselineDone: func() { store.SetMeta(baselineDone, time.Now().UTC().Format(time.RFC3339Nano)) },
		Logger:       log,
	})
	events.bridge, cmds.bridge = b, b

	if messages, err = newMessages(cfg, store, b, log); err != nil {
		return err
	}
	all := &status{Bridge: b, store: store, session: session, lan: l, notify: messages, broker: brokerName(cfg), dataDir: cfg.DataDir}
	machine := newOwnMachine(cfg.DataDir)
	defer machine.close()
	served := pages(cfg, all, b, machine, store.Queries(), pageSecret(store), log)
	service, err := systemd.New(systemd.Config{Ask: all.life, Log: log})
	if err != nil {
		return err
	}

	log.Info("Porchlight starts", "version", version, "interfaces", names, "broker", brokerName(cfg), "data", cfg.DataDir, "known_devices", len(records))
	g, inner := errgroup.WithContext(ctx)
	g.Go(func() error { return b.Run(inner, records) })
	g.Go(func() error { return session.Run(inner) })
	g.Go(func() error { return l.run(inner) })
	g.Go(func() error { return stations.Run(inner) })
	g.Go(func() error { return runNames(inner, cfg, b, log) })
	g.Go(func() error { return file.run(inner, b) })
	g.Go(func() error { return recorded.run(inner) })
	g.Go(func() error { return counted.run(inner) })
	g.Go(func() error { return messages.Run(inner) })
	g.Go(func() error { return saveMemory(inner) })
	g.Go(func() error { return service.Run(inner) })
	g.Go(func() error { return hangups(inner, func() { reload(environ, session, log) }, service) })
	g.Go(func() error { return watchBroker(inner, cfg, session, log) })
	for _, page := range served {
		g.Go(func() error { return page.Run(inner) })
	}
	err = g.Wait()
	log.Info("Porchlight has stopped")
	return err
}

// lateEar hands over to a bridge that is made after the sources.
type lateEar struct{ b **bridge.Bridge }

func (e lateEar) Sight(s presence.Sighting) { (*e.b).Sight(s) }
func (e lateEar) Sense(s presence.Sensing)  { (*e.b).Sense(s) }

func problems(store *history.Store, session *mqtt.Session) (all []string) {
	if err := store.Fault(); err != nil {
		all = append(all, err.Error())
	}
	if n := store.Lost(); n > 0 {
		all = append(all, fmt.Sprintf("%d events were lost because the database could not be written", n))
	}
	for _, consumer := range slices.Sorted(maps.Keys(store.Skipped())) {
		all = append(all, fmt.Sprintf("%d events were deleted before %s had taken them: what it delivers to was away for too long, or PORCHLIGHT_HISTORY_MAX_SIZE is too small",
			store.Skipped()[consumer], consumer))
	}
	return append(all, session.Problems()...)
}

func brokerName(cfg config.Config) string {
	if cfg.MQTTURL == nil {
		return "embedded, on " + cfg.BrokerListen
	}
	return cfg.MQTTURL.Redacted()
}

func sessionConfig(cfg config.Config, broker *mqtt.Broker, log *slog.Logger) mqtt.Config {
	c := mqtt.Config{
		Username: cfg.MQTTUsername, Password: string(cfg.MQTTPassword),
		CAFile: cfg.MQTTCAFile, CertFile: cfg.MQTTCertFile, KeyFile: cfg.MQTTKeyFile,
		Discovery: discovery.Options{
			Topics:         discovery.Topics{Prefix: cfg.TopicPrefix, Node: cfg.Node, HAPrefix: cfg.HADiscoveryPrefix},
			Zone:           cfg.HAZone,
			AttributesOnly: cfg.HATrackerMode == "attributes_only",
			HideAddresses:  !cfg.HAExposeAddresses,
			Version:        version,
		},
		Announce:      cfg.HADiscovery,
		HAStatusTopic: cfg.HAStatusTopic,
		Log:           log,

		Machine:          cfg.ConnectionsInterval > 0,
		LastSeenInterval: cfg.LastSeenInterval,
	}
	if broker != nil {
		c.Dial = broker.Dial
	} else {
		c.URL = cfg.MQTTURL.String()
	}
	return c
}

// hangups answers SIGHUP.
func hangups(ctx context.Context, reload func(), service *systemd.Service) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			service.Reload(reload)
		}
	}
}

// reload reads the files with the broker's password again, for the next
// connection. Certificates are read at each connection anyway, and a process's
// environment cannot change.
func reload(environ []string, session *mqtt.Session, log *slog.Logger) {
	cfg, _, err := config.Load(environ)
	if err != nil {
		log.Error("reading the settings again: what was read before stays", "err", err)
		return
	}
	session.SetCredentials(cfg.MQTTUsername, string(cfg.MQTTPassword))
	log.Info("read the broker's password again; the next connection uses it")
}
