package web

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"porchlight/presence"
)

// Stats is what /metrics shows besides the snapshot. The numbers count since
// the start.
type Stats struct {
	Events       map[presence.EventType]uint64
	Sightings    uint64 // taken from all sources
	Dropped      uint64 // sightings that there was no room for
	Probes       uint64 // sent
	ProbesFailed uint64 // could not be sent
	Sweeps       uint64
	Refused      uint64 // frames of made-up MACs that were not let in
	EventsLost   uint64 // events that could not be kept for the database

	DatabaseFault   bool
	Database        Database
	BrokerConnected bool
	Broker          string               // where it is, without a password
	BrokerFault     string               // why it is not connected
	Behind          map[string]int64     // events that a consumer has not acknowledged, by its name
	Messages        []Messages           // one per service
	Interfaces      map[string]Interface // by name
}

// Database is the file that everything is kept in.
type Database struct {
	Path  string
	Size  int64  // in bytes; 0: not known
	Fault string // why it cannot be written
}

// Messages is how a service for messages fares.
type Messages struct {
	Service string
	Waiting int       // things that are to be said
	Fault   string    // of the last try
	Sent    time.Time // the last one that arrived; zero: none since the start
}

// Interface counts the frames of one interface.
type Interface struct {
	Frames    uint64 // heard
	Malformed uint64
	Dropped   uint64 // by the kernel, for want of room
	Redials   uint64 // sockets opened after the first
}

// newMetrics returns the handler of /metrics, in the Prometheus text format.
func newMetrics(cfg Config) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		newCollector(cfg.Source, cfg.Version),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError, // the rest is still worth having
		MaxRequestsInFlight: 4,
		Timeout:             2 * sourceTime,
	})
}

// collector makes metrics of what the Source says at each scrape.
type collector struct {
	source  Source
	version string
	desc    map[string]*prometheus.Desc
}

// metrics are names without the prefix, what they mean, and their labels.
var metrics = []struct {
	name, help string
	labels     []string
}{
	{"build_info", "Always 1; the version is in the label.", []string{"version"}},
	{"devices_home", "Devices that are home.", nil},
	{"devices_known", "Devices that are known.", nil},
	{"devices_tracked", "Devices that have an entity.", nil},
	{"problems", "Problems that the page shows.", nil},
	{"sensing", "1 while the interface hears, 0 while it does not.", []string{"interface"}},
	{"events_total", "Events by type.", []string{"type"}},
	{"events_lost_total", "Events that could not be kept until the database could be written.", nil},
	{"sightings_total", "Frames that said something about a device.", nil},
	{"sightings_dropped_total", "Sightings that there was no room for.", nil},
	{"probes_total", "Probes sent to devices, by ARP or IPv6.", nil},
	{"probes_failed_total", "Probes that could not be sent.", nil},
	{"sweeps_total", "Sweeps of the network.", nil},
	{"refused_frames_total", "Frames of made-up MAC addresses that were refused.", nil},
	{"database_fault", "1 while the database cannot be written.", nil},
	{"database_bytes", "Size of the database.", nil},
	{"broker_connected", "1 while the MQTT broker is connected.", nil},
	{"events_behind", "Events that a consumer has not acknowledged.", []string{"consumer"}},
	{"messages_waiting", "Things that are to be said by a service for messages.", []string{"service"}},
	{"messages_failing", "1 while messages by the service do not arrive.", []string{"service"}},
	{"interface_frames_total", "Frames heard on the interface.", []string{"interface"}},
	{"interface_malformed_frames_total", "Frames that were cut short or not Ethernet.", []string{"interface"}},
	{"interface_dropped_frames_total", "Frames that the kernel had no room for.", []string{"interface"}},
	{"interface_redials_total", "Packet sockets opened again after the link went.", []string{"interface"}},
}

func newCollector(source Source, version string) *collector {
	c := &collector{source: source, version: version, desc: map[string]*prometheus.Desc{}}
	for _, m := range metrics {
		c.desc[m.name] = prometheus.NewDesc("porchlight_"+m.name, m.help, m.labels, nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range metrics {
		to <- c.desc[m.name]
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), sourceTime)
	defer cancel()
	gauge := func(name string, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(c.desc[name], prometheus.GaugeValue, v, labels...)
	}
	gauge("build_info", 1, c.version)
	devices, summary, err := c.source.Snapshot(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(c.desc["devices_home"], err)
	} else {
		tracked := 0
		for _, d := range devices {
			if d.Tracked {
				tracked++
			}
		}
		gauge("devices_home", float64(summary.Home))
		gauge("devices_known", float64(summary.Known))
		gauge("devices_tracked", float64(tracked))
		gauge("problems", float64(len(summary.Problems)))
		for _, s := range summary.Sensing {
			gauge("sensing", truth(!s.Blind), text(s.Interface))
		}
	}
	s, err := c.source.Stats(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(c.desc["sightings_total"], err)
		return
	}
	gauge("database_fault", truth(s.DatabaseFault))
	gauge("broker_connected", truth(s.BrokerConnected))
	if s.Database.Size > 0 {
		gauge("database_bytes", float64(s.Database.Size))
	}
	for consumer, n := range s.Behind {
		gauge("events_behind", float64(n), text(consumer))
	}
	for _, m := range s.Messages {
		gauge("messages_waiting", float64(m.Waiting), text(m.Service))
		gauge("messages_failing", truth(m.Fault != ""), text(m.Service))
	}
	c.count(to, s)
}

func (c *collector) count(to chan<- prometheus.Metric, s Stats) {
	count := func(name string, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(c.desc[name], prometheus.CounterValue, float64(v), labels...)
	}
	for _, t := range presence.EventTypes() {
		count("events_total", s.Events[t], string(t))
	}
	count("events_lost_total", s.EventsLost)
	count("sightings_total", s.Sightings)
	count("sightings_dropped_total", s.Dropped)
	count("probes_total", s.Probes)
	count("probes_failed_total", s.ProbesFailed)
	count("sweeps_total", s.Sweeps)
	count("refused_frames_total", s.Refused)
	for name, i := range s.Interfaces {
		name = text(name)
		count("interface_frames_total", i.Frames, name)
		count("interface_malformed_frames_total", i.Malformed, name)
		count("interface_dropped_frames_total", i.Dropped, name)
		count("interface_redials_total", i.Redials, name)
	}
}

// text makes a label's value of an interface name, which can be any bytes.
func text(name string) string { return strings.ToValidUTF8(name, "\ufffd") }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
