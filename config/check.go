package config

import (
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	topicLevel = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	topic      = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}(/[a-zA-Z0-9_-]{1,64}){0,7}$`)
	zone       = regexp.MustCompile(`^zone\.[a-z0-9_]{1,64}$`)
	ifname     = regexp.MustCompile(`^[^\s/:]{1,15}$`) // what the Linux kernel takes
)

// check adds a fault for each value that is of the right form and yet wrong,
// and puts what can be written in several ways into one.
func (c *Config) check(f *faults) {
	c.checkPlaces(f)
	c.checkHostapd(f)
	c.checkNames(f)
	c.checkTopics(f)
	c.checkBroker(f)
	c.checkListeners(f)
	c.checkMessages(f)
	c.checkTimes(f)
	c.checkTraffic(f)
	c.checkLimits(f)
}

func (c *Config) checkPlaces(f *faults) {
	f.expect("DATA_DIR", c.DataDir != "", "a directory, as neither HOME nor XDG_STATE_HOME is set")
	checkInterfaces(f, "INTERFACES", c.Interfaces)
	sweep := 0
	for i, p := range c.SweepPrefixes {
		sweep += 1 << min(max(32-p.Bits(), 0), 24)
		f.expect("SWEEP_PREFIXES", p.Addr().Is4() && p.Bits() >= 16, "IPv4 networks of at most a /16, such as 192.168.1.0/24")
		c.SweepPrefixes[i] = p.Masked()
	}
	f.expect("SWEEP_PREFIXES", sweep <= 4<<16, "networks of at most four /16 together")
}

func checkInterfaces(f *faults, setting string, names []string) {
	for i, name := range names {
		f.expect(setting, ifname.MatchString(name) && name != "." && name != "..", "interface names such as eth0,wlan0")
		f.expect(setting, !slices.Contains(names[:i], name), "each interface once")
	}
}

// maxSockets bounds what is set for hostapd; a directory stands for all in it.
const maxSockets = 16

// checkHostapd is about control sockets, which need not exist yet.
func (c *Config) checkHostapd(f *faults) {
	const name = "HOSTAPD_SOCKETS"
	f.expect(name, len(c.HostapdSockets) <= maxSockets, "at most "+strconv.Itoa(maxSockets)+", or the directory that they are in")
	for i, path := range c.HostapdSockets {
		f.expect(name, filepath.IsAbs(path), "whole paths, such as /run/hostapd")
		f.expect(name, len(path) < 108, "paths of less than 108 bytes, as sockets have") // unix(7)
		f.expect(name, !slices.Contains(c.HostapdSockets[:i], path), "each once")
	}
}

// maxNameFiles bounds what is read for names, and what of it is kept in memory.
const maxNameFiles = 8

// checkNames is about where names come from. The files need not exist yet.
func (c *Config) checkNames(f *faults) {
	for _, files := range []struct {
		name, such string
		paths      []string
	}{
		{"LEASE_FILES", "/var/lib/misc/dnsmasq.leases", c.LeaseFiles}, {"HOSTS_FILES", "/etc/hosts", c.HostsFiles},
	} {
		f.expect(files.name, len(files.paths) <= maxNameFiles, "at most "+strconv.Itoa(maxNameFiles)+" files")
		for i, path := range files.paths {
			f.expect(files.name, filepath.IsAbs(path), "whole paths, such as "+files.such)
			f.expect(files.name, !slices.Contains(files.paths[:i], path), "each file once")
		}
	}
	var seen []string
	for _, item := range c.NameLookup {
		kind, _, ok := ParseLookup(item)
		f.expect("NAME_LOOKUP", ok, "mdns, dns, or dns: with the address of a DNS server, such as mdns,dns:192.168.1.1")
		f.expect("NAME_LOOKUP", !slices.Contains(seen, kind), "each of mdns and dns once")
		seen = append(seen, kind)
	}
}

func (c *Config) checkTopics(f *faults) {
	const level, levels = "letters, digits, _ and - only", "letters, digits, _ and - only, with / between levels"
	f.expect("NODE", topicLevel.MatchString(c.Node), level)
	f.expect("TOPIC_PREFIX", topic.MatchString(c.TopicPrefix), levels)
	f.expect("TOPIC_PREFIX", c.TopicPrefix != c.HADiscoveryPrefix, "another than PORCHLIGHT_HA_DISCOVERY_PREFIX")
	f.expect("HA_DISCOVERY_PREFIX", topic.MatchString(c.HADiscoveryPrefix), levels)
	f.expect("HA_STATUS_TOPIC", topic.MatchString(c.HAStatusTopic), levels)
	f.expect("HA_STATUS_TOPIC", !f.fine("TOPIC_PREFIX") || !strings.HasPrefix(c.HAStatusTopic, c.TopicPrefix+"/"), "Home Assistant's topic, not one of Porchlight's own")
	f.expect("HA_ZONE", zone.MatchString(c.HAZone), "the entity of a zone, such as zone.home")
}

func (c *Config) checkBroker(f *faults) {
	tls := false
	if c.MQTTURL != nil && f.fine("MQTT_URL") {
		f.expect("MQTT_URL", slices.Contains([]string{"mqtt", "mqtts", "ws", "wss"}, c.MQTTURL.Scheme),
			"mqtt://, mqtts://, ws:// or wss:// at the beginning")
		f.expect("MQTT_URL", c.MQTTURL.Hostname() != "" && portInRange(c.MQTTURL.Port()), wants[reflect.TypeOf(c.MQTTURL)])
		f.expect("MQTT_URL", c.MQTTURL.RawQuery == "" && c.MQTTURL.Fragment == "", "no ? and no # in it")
		web := c.MQTTURL.Scheme == "ws" || c.MQTTURL.Scheme == "wss"
		f.expect("MQTT_URL", web || strings.Trim(c.MQTTURL.Path, "/") == "", "no path after the host")
		tls = c.MQTTURL.Scheme == "mqtts" || c.MQTTURL.Scheme == "wss"
		c.takeUser(f)
	}
	f.expect("MQTT_PASSWORD", c.MQTTPassword == "" || c.MQTTUsername != "", "PORCHLIGHT_MQTT_USERNAME beside it")
	f.expect("MQTT_USERNAME", c.MQTTUsername == "" || c.MQTTURL != nil,
		"PORCHLIGHT_MQTT_URL beside it; the embedded broker has PORCHLIGHT_BROKER_USERNAME")
	for _, file := range []struct{ name, path string }{
		{"MQTT_CA_FILE", c.MQTTCAFile}, {"MQTT_CERT_FILE", c.MQTTCertFile}, {"MQTT_KEY_FILE", c.MQTTKeyFile},
	} {
		if file.path == "" {
			continue
		}
		f.expect(file.name, tls || !f.fine("MQTT_URL"), "an mqtts:// or wss:// address in PORCHLIGHT_MQTT_URL beside it")
		if _, err := os.ReadFile(file.path); err != nil {
			f.expect(file.name, false, "a file that can be read ("+reason(err)+")")
		}
	}
	f.expect("MQTT_CERT_FILE", c.MQTTCertFile == "" || c.MQTTKeyFile != "", "PORCHLIGHT_MQTT_KEY_FILE beside it")
	f.expect("MQTT_KEY_FILE", c.MQTTKeyFile == "" || c.MQTTCertFile != "", "PORCHLIGHT_MQTT_CERT_FILE beside it")
}

// takeUser moves the user name and the password out of the broker's URL, so
// that the URL can be shown.
func (c *Config) takeUser(f *faults) {
	user := c.MQTTURL.User
	if user == nil {
		return
	}
	c.MQTTURL.User = nil
	f.expect("MQTT_URL", c.MQTTUsername == "" && c.MQTTPassword == "",
		"the user name and the password either in it or in their own variables")
	password, _ := user.Password()
	c.MQTTUsername, c.MQTTPassword = user.Username(), Secret(password)
}

// hostName is a name such as a URL has (RFC 1123, section 2.1).
var hostName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,62}\.?)*$`)

func (c *Config) checkListeners(f *faults) {
	const want = "an address and a port such as 127.0.0.1:1883, or :1883 for all addresses"
	port, loopback := listenAddress(c.BrokerListen)
	f.expect("BROKER_LISTEN", port, want)
	f.expect("BROKER_USERNAME", c.BrokerUsername == "" || c.BrokerPassword != "", "PORCHLIGHT_BROKER_PASSWORD beside it")
	f.expect("BROKER_PASSWORD", c.BrokerPassword == "" || c.BrokerUsername != "", "PORCHLIGHT_BROKER_USERNAME beside it")
	f.expect("BROKER_LISTEN", c.MQTTURL != nil || loopback || c.BrokerPassword != "" || !f.fine("BROKER_USERNAME", "BROKER_PASSWORD", "BROKER_PASSWORD_FILE"),
		"PORCHLIGHT_BROKER_USERNAME and PORCHLIGHT_BROKER_PASSWORD beside it, or a loopback address")

	port, loopback = listenAddress(c.WebListen)
	f.expect("WEB_LISTEN", port, strings.ReplaceAll(want, "1883", "8580"))
	f.expect("WEB_LISTEN", loopback || c.WebPassword != "" || !f.fine("WEB_PASSWORD_FILE"),
		"PORCHLIGHT_WEB_PASSWORD beside it, or a loopback address")
	for _, host := range c.WebHosts {
		f.expect("WEB_HOSTS", hostName.MatchString(host) && len(c.WebHosts) <= 16, "at most 16 names without a port, such as porchlight.example.org")
	}
	for i, p := range c.IngressPorts {
		f.expect("INGRESS_PORTS", p != 0 && !slices.Contains(c.IngressPorts[:i], p), "ports between 1 and 65535, each once")
	}
}

// checkMessages is about what can be said without knowing the services: the rest
// is said by who sends.
func (c *Config) checkMessages(f *faults) {
	f.expect("NOTIFY_PER_HOUR", c.NotifyPerHour >= 0 && c.NotifyPerHour <= 3600, "between 0 (any number) and 3600")
	f.expect("NOTIFY_TEMPLATES", c.NotifyTemplates == "" || filepath.IsAbs(c.NotifyTemplates), "a whole path, such as /etc/porchlight/templates")
	u, err := url.Parse(c.WebURL)
	f.expect("WEB_URL", c.WebURL == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.RawQuery == "" && u.User == nil,
		"an address such as http://porchlight.lan:8580")
}

func (f *faults) between(name string, d, low, high time.Duration) {
	f.expect(name, low <= d && d <= high, "between "+short(low)+" and "+short(high))
}

func (c *Config) checkTraffic(f *faults) {
	f.between("TRAFFIC_ROUND", c.TrafficRound, 10*time.Second, time.Hour)
	checkInterfaces(f, "TRAFFIC_INTERFACES", c.TrafficInterfaces)
	f.expect("TRAFFIC_TOP", 1 <= c.TrafficTop && c.TrafficTop <= 100, "a whole number between 1 and 100")
	f.between("TRAFFIC_KEEP", c.TrafficKeep, 24*time.Hour, 100*365*24*time.Hour)
}

func (c *Config) checkTimes(f *faults) {
	between := f.between
	const week = 7 * 24 * time.Hour
	if f.fine("AWAY_MIN", "AWAY_INITIAL", "AWAY_MAX") {
		c.followAway(f)
	}
	between("AWAY_MIN", c.AwayMin, time.Second, week)
	between("AWAY_MAX", c.AwayMax, time.Second, week)
	between("AWAY_INITIAL", c.AwayInitial, time.Second, week)
	if f.fine("AWAY_MIN", "AWAY_INITIAL", "AWAY_MAX") {
		f.expect("AWAY_MIN", c.AwayMin <= c.AwayMax, "at most PORCHLIGHT_AWAY_MAX, which is "+short(c.AwayMax))
	}
	if f.fine("AWAY_MIN", "AWAY_INITIAL", "AWAY_MAX") {
		f.expect("AWAY_INITIAL", c.AwayMin <= c.AwayInitial && c.AwayInitial <= c.AwayMax,
			"between PORCHLIGHT_AWAY_MIN and PORCHLIGHT_AWAY_MAX, which are "+short(c.AwayMin)+" and "+short(c.AwayMax))
	}
	if c.AwayAfter != 0 {
		between("AWAY_AFTER", c.AwayAfter, time.Second, week)
	}
	between("HOSTAPD_AWAY_AFTER", c.HostapdAwayAfter, time.Second, week)
	if c.LastSeenInterval != 0 {
		between("LAST_SEEN_INTERVAL", c.LastSeenInterval, time.Minute, week)
	}
	between("PROBE_INTERVAL", c.ProbeInterval, 100*time.Millisecond, time.Hour)
	between("SWEEP_INTERVAL", c.SweepInterval, time.Second, week)
	between("OUTAGE_HOLD", c.OutageHold, 0, 24*time.Hour)
	between("FORGET_AFTER", c.ForgetAfter, time.Hour, 100*365*24*time.Hour)
	if c.ConnectionsInterval != 0 {
		between("CONNECTIONS_INTERVAL", c.ConnectionsInterval, time.Second, 24*time.Hour)
	}
	between("CONNECTIONS_KEEP", c.ConnectionsKeep, time.Hour, 100*365*24*time.Hour)
	between("HISTORY_KEEP", c.HistoryKeep, 24*time.Hour, 100*365*24*time.Hour)
}

// followAway lets those of the three bounds of the away timeout that are not
// set follow those that are, so that one can be set alone.
func (c *Config) followAway(f *faults) {
	given := func(name string) bool { return f.vars[Prefix+name] != "" }
	if !given("AWAY_MAX") {
		c.AwayMax = max(c.AwayMax, c.AwayMin)
		if given("AWAY_INITIAL") {
			c.AwayMax = max(c.AwayMax, c.AwayInitial)
		}
	}
	if !given("AWAY_MIN") {
		c.AwayMin = min(c.AwayMin, c.AwayMax)
		if given("AWAY_INITIAL") {
			c.AwayMin = min(c.AwayMin, c.AwayInitial)
		}
	}
	if !given("AWAY_INITIAL") {
		c.AwayInitial = min(max(c.AwayInitial, c.AwayMin), c.AwayMax)
	}
}

func (c *Config) checkLimits(f *faults) {
	f.expect("FALSE_AWAYS", c.FalseAways > 0 && !math.IsInf(c.FalseAways, 0), "a number above 0, such as 0.25")
	f.expect("MAX_TRACKED", 0 <= c.MaxTracked && c.MaxTracked <= 10_000, "a whole number between 0 and 10000")
	f.expect("HISTORY_MAX_SIZE", 8e6 <= c.HistoryMaxSize && c.HistoryMaxSize <= 100e9, "a size between 8MB and 100GB")
	f.expect("SWEEP_RATE", 1 <= c.SweepRate && c.SweepRate <= 1000, "a rate between 1/s and 1000/s")
}

// listenAddress takes an address to listen on apart: whether it is one, and
// whether only this machine can reach it.
func listenAddress(s string) (valid, loopback bool) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || port == "" || !portInRange(port) {
		return false, false
	}
	ip, err := netip.ParseAddr(host)
	return true, host == "localhost" || err == nil && ip.IsLoopback()
}

// portInRange reports whether port is a number that a port can have, or none.
func portInRange(port string) bool {
	if port == "" {
		return true
	}
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

// short writes 1h0m0s as 1h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
