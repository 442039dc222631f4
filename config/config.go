// Package config reads Porchlight's settings from environment variables.
//
// A wrong value stops the start, and all of them are told at once: one line
// each, with the variable, its value (never a secret) and what would be right.
package config

import (
	"net/netip"
	"net/url"
	"time"
)

// Prefix begins the name of every variable.
const Prefix = "PORCHLIGHT_"

// Config holds the settings, valid as Load returns them. The tags env and
// envDefault are the variable's name, without Prefix, and its default; oneof
// lists the values that it may have; shown says the default in words where it
// is not a constant; meaning is for the table in the README. In both, | stands
// for the backtick, which a struct tag cannot hold.
type Config struct {
	Interfaces []string `env:"INTERFACES" shown:"the default route's" meaning:"The network interfaces to listen on, comma-separated."`
	Node       string   `env:"NODE" envDefault:"home" meaning:"The name of this instance in topics. Give each its own when several share a broker."`
	DataDir    string   `env:"DATA_DIR" shown:"|/var/lib/porchlight| as root, else |~/.local/state/porchlight|" meaning:"The directory of the database."`

	// MQTTURL is nil for the embedded broker. It holds no user name and no
	// password: those of the variable are in the two fields below.
	MQTTURL      *url.URL `env:"MQTT_URL" shown:"none: the embedded broker" meaning:"The broker: |mqtt://|, |mqtts://| (TLS), |ws://| or |wss://| (WebSocket), such as |mqtt://192.168.1.10:1883|."`
	MQTTUsername string   `env:"MQTT_USERNAME" meaning:"The user name at the broker."`
	MQTTPassword Secret   `env:"MQTT_PASSWORD" meaning:"The password at the broker."`
	MQTTCAFile   string   `env:"MQTT_CA_FILE" shown:"the system's" meaning:"The certificate authority that signed the broker's certificate, a PEM file."`
	MQTTCertFile string   `env:"MQTT_CERT_FILE" meaning:"The client certificate to show to the broker, a PEM file."`
	MQTTKeyFile  string   `env:"MQTT_KEY_FILE" meaning:"The key of the client certificate, a PEM file."`

	BrokerListen   string `env:"BROKER_LISTEN" envDefault:"127.0.0.1:1883" meaning:"Where the embedded broker listens. Other than loopback needs the user name and the password below."`
	BrokerUsername string `env:"BROKER_USERNAME" meaning:"The user name that clients of the embedded broker need."`
	BrokerPassword Secret `env:"BROKER_PASSWORD" meaning:"The password that clients of the embedded broker need."`

	TopicPrefix      string        `env:"TOPIC_PREFIX" envDefault:"porchlight" meaning:"The first level of all topics."`
	LastSeenInterval time.Duration `env:"LAST_SEEN_INTERVAL" shown:"when it comes or goes" meaning:"How often the last-seen time of a device that stays home is published. Not set, mere sightings cause no messages."`

	HADiscovery       bool   `env:"HA_DISCOVERY" envDefault:"true" meaning:"Announce devices to Home Assistant."`
	HADiscoveryPrefix string `env:"HA_DISCOVERY_PREFIX" envDefault:"homeassistant" meaning:"The discovery prefix that Home Assistant's MQTT integration is set to."`
	HAStatusTopic     string `env:"HA_STATUS_TOPIC" envDefault:"homeassistant/status" meaning:"Where Home Assistant says that it has started."`
	HAZone            string `env:"HA_ZONE" envDefault:"zone.home" meaning:"The zone that a device at home is in."`
	HATrackerMode     string `env:"HA_TRACKER_MODE" envDefault:"dual" oneof:"dual,attributes_only" meaning:"|dual| publishes the state and the zones; |attributes_only| only the zones, for a Home Assistant that no longer takes the state."`
	HAExposeAddresses bool   `env:"HA_EXPOSE_ADDRESSES" envDefault:"true" meaning:"Put IP address, MAC and host name into the tracker's attributes. Home Assistant's DHCP integration raises discovery cards from them."`

	Track      string `env:"TRACK" envDefault:"all" oneof:"all,named,none" meaning:"Which devices become entities: |all|, |named| (those that you gave a name) or |none|. A device's own switch wins."`
	MaxTracked int    `env:"MAX_TRACKED" envDefault:"500" meaning:"The most devices that become entities, at most 10000."`

	NewGuests string `env:"NEW_GUESTS" envDefault:"each" oneof:"each,daily" meaning:"How new devices in the group |Guests| are told: |each| by a |new_device| event of its own, or |daily| all of a day by one |new_guests| event."`

	FalseAways  float64       `env:"FALSE_AWAYS" envDefault:"0.25" meaning:"How many times a week a device may be taken for away by mistake. Less makes departures known later."`
	AwayInitial time.Duration `env:"AWAY_INITIAL" envDefault:"10m" meaning:"The away timeout of a device that is not known well yet."`
	AwayMin     time.Duration `env:"AWAY_MIN" envDefault:"20s" meaning:"The shortest learned away timeout; it is never less than |PROBE_INTERVAL| and 8 s."`
	AwayMax     time.Duration `env:"AWAY_MAX" envDefault:"1h" meaning:"The longest learned away timeout."`
	AwayAfter   time.Duration `env:"AWAY_AFTER" shown:"learned per device" meaning:"A fixed away timeout for all devices."`

	DevicesFile string `env:"DEVICES_FILE" meaning:"A YAML file with what you call your devices, their groups, kinds and timeouts. It is read again when it changes."`

	ProbeInterval time.Duration  `env:"PROBE_INTERVAL" envDefault:"30s" meaning:"How often a device that always answers is asked, at most."`
	Nudge         []string       `env:"NUDGE" shown:"none: nobody is woken" oneof:"phone,tablet,watch,laptop,computer,server,tv,speaker,console,camera,printer,appliance,iot,network,car,guest,other" meaning:"Kinds of devices to wake when they are silent for two minutes, comma-separated, such as |phone,watch|. A device's own switch wins."`
	SweepInterval time.Duration  `env:"SWEEP_INTERVAL" envDefault:"10m" meaning:"How often the network is swept for silent devices."`
	SweepRate     Rate           `env:"SWEEP_RATE" envDefault:"50/s" meaning:"How many addresses a sweep asks per second, 1 to 1000."`
	SweepPrefixes []netip.Prefix `env:"SWEEP_PREFIXES" shown:"the interface's own, up to /16" meaning:"The networks to sweep, comma-separated, such as |192.168.1.0/24|. At most a /16 each."`
	OutageHold    time.Duration  `env:"OUTAGE_HOLD" envDefault:"5m" meaning:"How long nobody is declared away when many devices fall silent at once, as when an access point restarts."`
	ForgetAfter   time.Duration  `env:"FORGET_AFTER" envDefault:"720h" meaning:"How long an unnamed device is remembered after it was last seen; one that was only ever heard within a single minute goes after a day."`

	HostapdSockets   []string      `env:"HOSTAPD_SOCKETS" meaning:"On an access point: control sockets of hostapd, or directories of them, comma-separated, such as |/run/hostapd|. It then says who is on the Wi-Fi."`
	HostapdAwayAfter time.Duration `env:"HOSTAPD_AWAY_AFTER" envDefault:"20s" meaning:"How long after it left the Wi-Fi a device is away, if it neither came back nor was heard through another access point."`
	HistoryKeep      time.Duration `env:"HISTORY_KEEP" envDefault:"8760h" meaning:"How long events and sessions are kept."`
	HistoryMaxSize   Size          `env:"HISTORY_MAX_SIZE" envDefault:"256MB" meaning:"How big the database may become; then the oldest goes before its time."`

	ConnectionsInterval time.Duration `env:"CONNECTIONS_INTERVAL" shown:"never" meaning:"How often this machine's connections are recorded and looked at for new listeners and programs, such as |30s|."`
	ConnectionsKeep     time.Duration `env:"CONNECTIONS_KEEP" envDefault:"720h" meaning:"How long recorded connections are kept."`

	Traffic           string        `env:"TRAFFIC" envDefault:"off" oneof:"off,always,attended" meaning:"Whether it is counted what passes this machine's interfaces: |off|, |always|, or |attended|: only while someone is at this machine, logged in and not locked."`
	TrafficRound      time.Duration `env:"TRAFFIC_ROUND" envDefault:"1m" meaning:"How long a round of counting is."`
	TrafficInterfaces []string      `env:"TRAFFIC_INTERFACES" shown:"all but loopback" meaning:"The interfaces whose traffic is counted, comma-separated. Not set, nothing is counted twice: ports of a bridge or a bond, and VLANs, are left out."`
	TrafficTop        int           `env:"TRAFFIC_TOP" envDefault:"10" meaning:"How many of the busiest hosts, and of the busiest devices, are named in a round, 1 to 100."`
	TrafficKeep       time.Duration `env:"TRAFFIC_KEEP" envDefault:"8760h" meaning:"How long counted traffic is kept: by the round for 8 days, by the hour for 93, then by the day."`

	LeaseFiles []string `env:"LEASE_FILES" meaning:"Lease files of dnsmasq, Pi-hole, Kea or dhcpd to take host names from, comma-separated, such as |/var/lib/misc/dnsmasq.leases|. They make nobody home."`
	HostsFiles []string `env:"HOSTS_FILES" meaning:"Hosts files to take host names from, comma-separated, such as |/etc/hosts|."`
	NameLookup []string `env:"NAME_LOOKUP" shown:"none: nobody is asked" meaning:"Whom to ask for the names of devices that have none, comma-separated, in this order: |mdns| (the device itself), |dns| (the system's DNS server) or |dns:192.168.1.1| (this one)."`

	WebListen    string   `env:"WEB_LISTEN" envDefault:"127.0.0.1:8580" meaning:"Where the page, the health check and the metrics are served. Other than loopback needs the password below."`
	WebPassword  Secret   `env:"WEB_PASSWORD" meaning:"The password of the page."`
	WebHosts     []string `env:"WEB_HOSTS" shown:"this machine's name" meaning:"Names that the page may be asked for by, comma-separated, such as |porchlight.example.org| behind a proxy. Its addresses always work, once there is a password."`
	IngressPorts []uint16 `env:"INGRESS_PORTS" meaning:"Ports of |172.30.32.1| where Home Assistant's Supervisor, and nobody else, gets the page without a password, comma-separated. The Home Assistant app sets it."`

	WebURL string `env:"WEB_URL" meaning:"The address by which people reach the page, such as |http://porchlight.lan:8580|, for links in messages."`

	NotifyURLs      Secret `env:"NOTIFY_URLS" meaning:"Where messages go: addresses such as |ntfy://ntfy.sh/topic| or |smtp://user:password@mail.example.org:587/?from=a@example.org&to=b@example.org|, with blanks between them, each perhaps with a name of its own before it, as |phone=ntfy://…|."`
	NotifyOn        string `env:"NOTIFY_ON" envDefault:"new" meaning:"What is told, comma-separated: |new|, |arrived|, |left|, |gone:45m| (an important device that is gone for longer), |conflict|, |trouble| (that, proxies, scans, second servers and the like), |sensing|, |merge|, |machine| (this machine: ports opened and closed, new programs), or an event type. With |/Kids| behind it, of this group or device; with |>phone|, by this service; with |!|, at any hour."`
	NotifyQuiet     string `env:"NOTIFY_QUIET" shown:"none" meaning:"Quiet hours, such as |22:30-07:00|: what happens then is told when they end, all in one."`
	NotifyPerHour   int    `env:"NOTIFY_PER_HOUR" envDefault:"20" meaning:"How many messages a service gets in an hour; the rest follow in one. 0: any number."`
	NotifyTemplates string `env:"NOTIFY_TEMPLATES" shown:"none" meaning:"A directory with templates of your own for messages: |title.txt|, |message.txt|, |message.html|."`

	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" oneof:"debug,info,warn,error" meaning:"|debug|, |info|, |warn| or |error|."`
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" oneof:"text,json" meaning:"|text| or |json|."`
}

// Secret is a value that must not be shown: printed or logged, it only says
// that it is there. Convert it to a string where it is used.
type Secret string

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler; slog and JSON use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Size is a number of bytes.
type Size int64

// Rate is a number of things per second.
type Rate int
