package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var compare = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, url.Userinfo{})}

func TestDefaults(t *testing.T) {
	want := Config{
		Node:              "home",
		DataDir:           "/var/lib/porchlight",
		BrokerListen:      "127.0.0.1:1883",
		TopicPrefix:       "porchlight",
		HADiscovery:       true,
		HADiscoveryPrefix: "homeassistant",
		HAStatusTopic:     "homeassistant/status",
		HAZone:            "zone.home",
		HATrackerMode:     "dual",
		HAExposeAddresses: true,
		Track:             "all",
		MaxTracked:        500,
		NewGuests:         "each",
		FalseAways:        0.25,
		AwayInitial:       10 * time.Minute,
		AwayMin:           20 * time.Second,
		AwayMax:           time.Hour,
		ProbeInterval:     30 * time.Second,
		SweepInterval:     10 * time.Minute,
		SweepRate:         50,
		OutageHold:        5 * time.Minute,
		ForgetAfter:       720 * time.Hour,
		HostapdAwayAfter:  20 * time.Second,
		HistoryKeep:       365 * 24 * time.Hour,
		HistoryMaxSize:    256e6,
		ConnectionsKeep:   720 * time.Hour,
		WebListen:         "127.0.0.1:8580",
		NotifyOn:          "new",
		NotifyPerHour:     20,
		LogLevel:          "info",
		LogFormat:         "text",

		Traffic: "off", TrafficRound: time.Minute, TrafficTop: 10, TrafficKeep: 365 * 24 * time.Hour,
	}
	for name, environ := range map[string][]string{
		"nothing set":  nil,
		"switched off": {"PORCHLIGHT_CONNECTIONS_INTERVAL=off", "PORCHLIGHT_LAST_SEEN_INTERVAL=never"},
		"empty values": {"PORCHLIGHT_NODE=", "PORCHLIGHT_AWAY_MAX=", "PORCHLIGHT_MQTT_URL=", "PORCHLIGHT_INTERFACES=", "PORCHLIGHT_WEB_PASSWORD_FILE="},
	} {
		t.Run(name, func(t *testing.T) {
			got, warnings, err := load(environ, true)
			if err != nil || warnings != nil {
				t.Fatalf("warnings %q, error %v", warnings, err)
			}
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pem := file("ca.pem", "any")
	got, warnings, err := load([]string{
		"HOME=/home/anna",
		"PORCHLIGHT_INTERFACES=eth0, wlan0,",
		"PORCHLIGHT_NODE=attic-2",
		"PORCHLIGHT_MQTT_URL=mqtts://anna:p%40ss@broker.lan:8883",
		"PORCHLIGHT_MQTT_CA_FILE=" + pem,
		"PORCHLIGHT_MQTT_CERT_FILE=" + pem,
		"PORCHLIGHT_MQTT_KEY_FILE=" + pem,
		"PORCHLIGHT_BROKER_LISTEN=:1883",
		"PORCHLIGHT_TOPIC_PREFIX=site/one",
		"PORCHLIGHT_LAST_SEEN_INTERVAL=15m",
		"PORCHLIGHT_HA_DISCOVERY=false",
		"PORCHLIGHT_HA_ZONE=zone.summer_house",
		"PORCHLIGHT_HA_TRACKER_MODE=attributes_only",
		"PORCHLIGHT_HA_EXPOSE_ADDRESSES=0",
		"PORCHLIGHT_TRACK=named",
		"PORCHLIGHT_MAX_TRACKED=0",
		"PORCHLIGHT_FALSE_AWAYS=2",
		"PORCHLIGHT_AWAY_AFTER=1d",
		"PORCHLIGHT_NUDGE=phone, watch",
		"PORCHLIGHT_SWEEP_RATE=120",
		"PORCHLIGHT_SWEEP_PREFIXES=192.168.1.7/24,10.1.0.0/16",
		"PORCHLIGHT_OUTAGE_HOLD=0s",
		"PORCHLIGHT_FORGET_AFTER=30d",
		"PORCHLIGHT_HOSTAPD_SOCKETS=/run/hostapd, /tmp/hostapd/wlan0",
		"PORCHLIGHT_HOSTAPD_AWAY_AFTER=1m",
		"PORCHLIGHT_HISTORY_KEEP=90d",
		"PORCHLIGHT_CONNECTIONS_INTERVAL=30s",
		"PORCHLIGHT_CONNECTIONS_KEEP=90d",
		"PORCHLIGHT_HISTORY_MAX_SIZE=1.5GiB",
		"PORCHLIGHT_LEASE_FILES=/etc/pihole/dhcp.leases, /var/lib/kea/kea-leases4.csv",
		"PORCHLIGHT_HOSTS_FILES=/etc/hosts",
		"PORCHLIGHT_NAME_LOOKUP=mdns, dns:[fd00::1]:5353",
		"PORCHLIGHT_WEB_LISTEN=0.0.0.0:80",
		"PORCHLIGHT_WEB_PASSWORD_FILE=" + file("web", "correct horse \r\n"),
		"PORCHLIGHT_WEB_HOSTS=porch.example.org, nas",
		"PORCHLIGHT_WEB_URL=https://porch.example.org/home",
		"PORCHLIGHT_NOTIFY_URLS_FILE=" + file("urls", "ntfy://ntfy.sh/a\nphone=ntfy://ntfy.sh/b\n"),
		"PORCHLIGHT_NOTIFY_ON=new,gone:45m!",
		"PORCHLIGHT_NOTIFY_QUIET=22:00-07:00",
		"PORCHLIGHT_NOTIFY_PER_HOUR=0",
		"PORCHLIGHT_NOTIFY_TEMPLATES=/etc/porchlight/templates",
		"PORCHLIGHT_INGRESS_PORTS=62341, 18580",
		"PORCHLIGHT_TRAFFIC=attended",
		"PORCHLIGHT_TRAFFIC_ROUND=10s",
		"PORCHLIGHT_TRAFFIC_INTERFACES=eth0,wlan0",
		"PORCHLIGHT_TRAFFIC_TOP=100",
		"PORCHLIGHT_TRAFFIC_KEEP=30d",
		"PORCHLIGHT_LOG_LEVEL=debug",
		"PORCHLIGHT_LOG_FORMAT=json",
		"PORCHLIGHT_NEW_GUESTS=daily",
	}, false)
	if err != nil || warnings != nil {
		t.Fatalf("warnings %q, error %v", warnings, err)
	}
	want := Config{
		Interfaces:          []string{"eth0", "wlan0"},
		Node:                "attic-2",
		DataDir:             "/home/anna/.local/state/porchlight",
		MQTTURL:             &url.URL{Scheme: "mqtts", Host: "broker.lan:8883"},
		MQTTUsername:        "anna",
		MQTTPassword:        "p@ss",
		MQTTCAFile:          pem,
		MQTTCertFile:        pem,
		MQTTKeyFile:         pem,
		BrokerListen:        ":1883", // not used beside MQTT_URL, so it needs no password
		TopicPrefix:         "site/one",
		LastSeenInterval:    15 * time.Minute,
		HADiscoveryPrefix:   "homeassistant",
		HAStatusTopic:       "homeassistant/status",
		HAZone:              "zone.summer_house",
		HATrackerMode:       "attributes_only",
		Track:               "named",
		NewGuests:           "daily",
		FalseAways:          2,
		AwayInitial:         10 * time.Minute,
		AwayMin:             20 * time.Second,
		AwayMax:             time.Hour,
		AwayAfter:           24 * time.Hour,
		ProbeInterval:       30 * time.Second,
		SweepInterval:       10 * time.Minute,
		Nudge:               []string{"phone", "watch"},
		SweepRate:           120,
		SweepPrefixes:       []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("10.1.0.0/16")},
		ForgetAfter:         720 * time.Hour,
		HostapdSockets:      []string{"/run/hostapd", "/tmp/hostapd/wlan0"},
		HostapdAwayAfter:    time.Minute,
		HistoryKeep:         90 * 24 * time.Hour,
		ConnectionsInterval: 30 * time.Second,
		ConnectionsKeep:     90 * 24 * time.Hour,
		HistoryMaxSize:      3 << 29,
		LeaseFiles:          []string{"/etc/pihole/dhcp.leases", "/var/lib/kea/kea-leases4.csv"},
		HostsFiles:          []string{"/etc/hosts"},
		NameLookup:          []string{"mdns", "dns:[fd00::1]:5353"},
		WebListen:           "0.0.0.0:80",
		WebPassword:         "correct horse ",
		WebHosts:            []string{"porch.example.org", "nas"},
		WebURL:              "https://porch.example.org/home",
		NotifyURLs:          "ntfy://ntfy.sh/a\nphone=ntfy://ntfy.sh/b",
		NotifyOn:            "new,gone:45m!",
		NotifyQuiet:         "22:00-07:00",
		NotifyTemplates:     "/etc/porchlight/templates",
		IngressPorts:        []uint16{62341, 18580},
		LogLevel:            "debug",
		LogFormat:           "json",

		Traffic: "attended", TrafficRound: 10 * time.Second, TrafficInterfaces: []string{"eth0", "wlan0"}, TrafficTop: 100, TrafficKeep: 30 * 24 * time.Hour,
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// Each case is one fault: a line that names the variable and what would be right.
func TestFaults(t *testing.T) {
	tests := map[string]struct {
		environ []string // without the prefix
		want    string   // of the line, without the prefix
	}{
		"duration":                   {[]string{"AWAY_MIN=20"}, `AWAY_MIN="20": want a duration such as 30s, 10m, 12h or 7d`},
		"duration of nothing":        {[]string{"FORGET_AFTER=d"}, `FORGET_AFTER="d": want a duration such as 30s, 10m, 12h or 7d`},
		"size":                       {[]string{"HISTORY_MAX_SIZE=big"}, `HISTORY_MAX_SIZE="big": want a size such as 256MB or 1GB`},
		"size of nothing":            {[]string{"HISTORY_MAX_SIZE=MB"}, `HISTORY_MAX_SIZE="MB": want a size such as 256MB or 1GB`},
		"size, too small":            {[]string{"HISTORY_MAX_SIZE=1000"}, `HISTORY_MAX_SIZE="1000": want a size between 8MB and 100GB`},
		"size, too big":              {[]string{"HISTORY_MAX_SIZE=NaNGB"}, `HISTORY_MAX_SIZE="NaNGB": want a size such as 256MB or 1GB`},
		"never swept":                {[]string{"SWEEP_INTERVAL=never"}, `SWEEP_INTERVAL="never": want between 1s and 168h`},
		"looked at too often":        {[]string{"CONNECTIONS_INTERVAL=500ms"}, `CONNECTIONS_INTERVAL="500ms": want between 1s and 24h`},
		"snapshots kept too briefly": {[]string{"CONNECTIONS_KEEP=1m"}, `CONNECTIONS_KEEP="1m": want between 1h and 876000h`},
		"kept too briefly":           {[]string{"HISTORY_KEEP=1h"}, `HISTORY_KEEP="1h": want between 24h and 876000h`},
		"bool":                       {[]string{"HA_DISCOVERY=perhaps"}, `HA_DISCOVERY="perhaps": want true or false`},
		"number":                     {[]string{"MAX_TRACKED=many"}, `MAX_TRACKED="many": want a whole number`},
		"number, too high":           {[]string{"MAX_TRACKED=10001"}, `MAX_TRACKED="10001": want a whole number between 0 and 10000`},
		"number, too low":            {[]string{"MAX_TRACKED=-1"}, `MAX_TRACKED="-1": want a whole number between 0 and 10000`},
		"fraction":                   {[]string{"FALSE_AWAYS=x"}, `FALSE_AWAYS="x": want a number such as 0.25`},
		"fraction, zero":             {[]string{"FALSE_AWAYS=0"}, `FALSE_AWAYS="0": want a number above 0, such as 0.25`},
		"fraction, endless":          {[]string{"FALSE_AWAYS=Inf"}, `FALSE_AWAYS="Inf": want a number above 0, such as 0.25`},
		"fraction, NaN":              {[]string{"FALSE_AWAYS=NaN"}, `FALSE_AWAYS="NaN": want a number above 0, such as 0.25`},
		"rate":                       {[]string{"SWEEP_RATE=50/m"}, `SWEEP_RATE="50/m": want a rate per second such as 50/s`},
		"rate, too high":             {[]string{"SWEEP_RATE=1001/s"}, `SWEEP_RATE="1001/s": want a rate between 1/s and 1000/s`},
		"rate, zero":                 {[]string{"SWEEP_RATE=0"}, `SWEEP_RATE="0": want a rate between 1/s and 1000/s`},
		"choice":                     {[]string{"TRACK=some"}, `TRACK="some": want all, named, none`},
		"mode":                       {[]string{"HA_TRACKER_MODE=both"}, `HA_TRACKER_MODE="both": want dual, attributes_only`},
		"level":                      {[]string{"LOG_LEVEL=loud"}, `LOG_LEVEL="loud": want debug, info, warn, error`},
		"node":                       {[]string{"NODE=my/home"}, `NODE="my/home": want letters, digits, _ and - only`},
		"node, wildcard":             {[]string{"NODE=+"}, `NODE="+": want letters, digits, _ and - only`},
		"topic":                      {[]string{"TOPIC_PREFIX=a//b"}, `TOPIC_PREFIX="a//b": want letters, digits, _ and - only, with / between levels`},
		"topic of others":            {[]string{"TOPIC_PREFIX=homeassistant"}, `TOPIC_PREFIX="homeassistant": want another than PORCHLIGHT_HA_DISCOVERY_PREFIX`},
		"zone":                       {[]string{"HA_ZONE=home"}, `HA_ZONE="home": want the entity of a zone, such as zone.home`},
		"interface":                  {[]string{"INTERFACES=eth0,eth0/1"}, `INTERFACES="eth0,eth0/1": want interface names such as eth0,wlan0`},
		"interface twice":            {[]string{"INTERFACES=eth0,eth0"}, `INTERFACES="eth0,eth0": want each interface once`},
		"network":                    {[]string{"SWEEP_PREFIXES=192.168.1.0"}, `SWEEP_PREFIXES="192.168.1.0": want networks such as 192.168.1.0/24, comma-separated`},
		"network too large":          {[]string{"SWEEP_PREFIXES=10.0.0.0/15"}, `SWEEP_PREFIXES="10.0.0.0/15": want IPv4 networks of at most a /16, such as 192.168.1.0/24`},
		"network of IPv6":            {[]string{"SWEEP_PREFIXES=fd00::/64"}, `SWEEP_PREFIXES="fd00::/64": want IPv4 networks of at most a /16, such as 192.168.1.0/24`},
		"hostapd":                    {[]string{"HOSTAPD_SOCKETS=wlan0"}, `HOSTAPD_SOCKETS="wlan0": want whole paths, such as /run/hostapd`},
		"hostapd twice":              {[]string{"HOSTAPD_SOCKETS=/run/hostapd,/run/hostapd"}, `HOSTAPD_SOCKETS="/run/hostapd,/run/hostapd": want each once`},
		"hostapd at once":            {[]string{"HOSTAPD_AWAY_AFTER=0"}, `HOSTAPD_AWAY_AFTER="0": want between 1s and 168h`},
		"lease file":                 {[]string{"LEASE_FILES=dnsmasq.leases"}, `LEASE_FILES="dnsmasq.leases": want whole paths, such as /var/lib/misc/dnsmasq.leases`},
		"lease file twice":           {[]string{"LEASE_FILES=/a,/a"}, `LEASE_FILES="/a,/a": want each file once`},
		"hosts files":                {[]string{"HOSTS_FILES=/1,/2,/3,/4,/5,/6,/7,/8,/9"}, `HOSTS_FILES="/1,/2,/3,/4,/5,/6,/7,/8,/9": want at most 8 files`},
		"a kind that is none":        {[]string{"NUDGE=phone,fridge"}, `NUDGE="phone,fridge": want phone, tablet, watch, laptop, computer, server, tv, speaker, console, camera, printer, appliance, iot, network, car, guest, other`},
		"lookup":                     {[]string{"NAME_LOOKUP=netbios"}, `NAME_LOOKUP="netbios": want mdns, dns, or dns: with the address of a DNS server, such as mdns,dns:192.168.1.1`},
		"lookup by a name":           {[]string{"NAME_LOOKUP=dns:router"}, `NAME_LOOKUP="dns:router": want mdns, dns, or dns: with the address of a DNS server, such as mdns,dns:192.168.1.1`},
		"lookup twice":               {[]string{"NAME_LOOKUP=dns,dns:10.0.0.1"}, `NAME_LOOKUP="dns,dns:10.0.0.1": want each of mdns and dns once`},
		"min above max":              {[]string{"AWAY_MIN=2h", "AWAY_MAX=1h"}, `AWAY_MIN="2h": want at most PORCHLIGHT_AWAY_MAX, which is 1h`},
		"initial above max":          {[]string{"AWAY_MAX=5m", "AWAY_INITIAL=6m"}, `AWAY_INITIAL="6m": want between PORCHLIGHT_AWAY_MIN and PORCHLIGHT_AWAY_MAX, which are 20s and 5m`},
		"page's name":                {[]string{"WEB_HOSTS=nas:8580"}, `WEB_HOSTS="nas:8580": want at most 16 names without a port, such as porchlight.example.org`},
		"page's address":             {[]string{"WEB_URL=porch.lan:8580"}, `WEB_URL="porch.lan:8580": want an address such as http://porchlight.lan:8580`},
		"messages":                   {[]string{"NOTIFY_PER_HOUR=-1"}, `NOTIFY_PER_HOUR="-1": want between 0 (any number) and 3600`},
		"templates":                  {[]string{"NOTIFY_TEMPLATES=here"}, `NOTIFY_TEMPLATES="here": want a whole path, such as /etc/porchlight/templates`},
		"negative":                   {[]string{"AWAY_AFTER=-5m"}, `AWAY_AFTER="-5m": want between 1s and 168h`},
		"last seen too often":        {[]string{"LAST_SEEN_INTERVAL=1s"}, `LAST_SEEN_INTERVAL="1s": want between 1m and 168h`},
		"too often":                  {[]string{"PROBE_INTERVAL=1ms"}, `PROBE_INTERVAL="1ms": want between 100ms and 1h`},
		"scheme":                     {[]string{"MQTT_URL=http://broker"}, `MQTT_URL="http://broker": want mqtt://, mqtts://, ws:// or wss:// at the beginning`},
		"no scheme":                  {[]string{"MQTT_URL=192.168.1.10:1883"}, `MQTT_URL="192.168.1.10:1883": want an address such as mqtt://192.168.1.10:1883`},
		"no host":                    {[]string{"MQTT_URL=mqtt://:1883"}, `MQTT_URL="mqtt://:1883": want an address such as mqtt://192.168.1.10:1883`},
		"port":                       {[]string{"MQTT_URL=mqtt://broker:99999"}, `MQTT_URL="mqtt://broker:99999": want an address such as mqtt://192.168.1.10:1883`},
		"path":                       {[]string{"MQTT_URL=mqtt://broker/home"}, `MQTT_URL="mqtt://broker/home": want no path after the host`},
		"query":                      {[]string{"MQTT_URL=ws://broker/mqtt?token=hunter2"}, `MQTT_URL="ws://broker/mqtt?…": want no ? and no # in it`},
		"password in the URL":        {[]string{"MQTT_URL=http://anna:hunter2@broker"}, `MQTT_URL="http://…@broker": want mqtt://, mqtts://, ws:// or wss:// at the beginning`},
		"traffic":                    {[]string{"TRAFFIC=on"}, `TRAFFIC="on": want off, always, attended`},
		"traffic round":              {[]string{"TRAFFIC_ROUND=5s"}, `TRAFFIC_ROUND="5s": want between 10s and 1h`},
		"traffic round, long":        {[]string{"TRAFFIC_ROUND=2h"}, `TRAFFIC_ROUND="2h": want between 10s and 1h`},
		"traffic interface":          {[]string{"TRAFFIC_INTERFACES=eth0,eth0"}, `TRAFFIC_INTERFACES="eth0,eth0": want each interface once`},
		"traffic, of none":           {[]string{"TRAFFIC_TOP=0"}, `TRAFFIC_TOP="0": want a whole number between 1 and 100`},
		"traffic, kept":              {[]string{"TRAFFIC_KEEP=1h"}, `TRAFFIC_KEEP="1h": want between 24h and 876000h`},
		"password in a bad URL": {
			[]string{"MQTT_URL=mqtt://anna:hunter2%@broker"}, `MQTT_URL="mqtt://…@broker": want an address such as mqtt://192.168.1.10:1883`,
		},
		"password with a question mark": {
			[]string{"MQTT_URL=mqtt://anna:hunter?2@broker"}, `MQTT_URL="mqtt://…@broker": want an address such as mqtt://192.168.1.10:1883`,
		},
		"password without scheme": {
			[]string{"MQTT_URL=anna:hunter2@broker"}, `MQTT_URL="…@broker": want mqtt://, mqtts://, ws:// or wss:// at the beginning`,
		},
		"two users": {
			[]string{"MQTT_URL=mqtt://anna:hunter2@broker", "MQTT_USERNAME=ben"},
			`MQTT_URL="mqtt://…@broker": want the user name and the password either in it or in their own variables`,
		},
		"password without user": {
			[]string{"MQTT_URL=mqtt://broker", "MQTT_PASSWORD=hunter2"}, `MQTT_PASSWORD: want PORCHLIGHT_MQTT_USERNAME beside it`,
		},
		"user without broker": {
			[]string{"MQTT_USERNAME=anna", "MQTT_PASSWORD=hunter2"},
			`MQTT_USERNAME="anna": want PORCHLIGHT_MQTT_URL beside it; the embedded broker has PORCHLIGHT_BROKER_USERNAME`,
		},
		"certificate without TLS": {
			[]string{"MQTT_URL=mqtt://broker", "MQTT_CA_FILE=/dev/null"},
			`MQTT_CA_FILE="/dev/null": want an mqtts:// or wss:// address in PORCHLIGHT_MQTT_URL beside it`,
		},
		"certificate that is not there": {
			[]string{"MQTT_URL=mqtts://broker", "MQTT_CA_FILE=/nowhere/ca.pem"},
			`MQTT_CA_FILE="/nowhere/ca.pem": want a file that can be read (no such file or directory)`,
		},
		"certificate without key": {
			[]string{"MQTT_URL=mqtts://broker", "MQTT_CERT_FILE=/dev/null"},
			`MQTT_CERT_FILE="/dev/null": want PORCHLIGHT_MQTT_KEY_FILE beside it`,
		},
		"key without certificate": {
			[]string{"MQTT_URL=mqtts://broker", "MQTT_KEY_FILE=/dev/null"},
			`MQTT_KEY_FILE="/dev/null": want PORCHLIGHT_MQTT_CERT_FILE beside it`,
		},
		"broker for all without password": {
			[]string{"BROKER_LISTEN=0.0.0.0:1883"},
			`BROKER_LISTEN="0.0.0.0:1883": want PORCHLIGHT_BROKER_USERNAME and PORCHLIGHT_BROKER_PASSWORD beside it, or a loopback address`,
		},
		"broker user without password": {
			[]string{"BROKER_LISTEN=:1883", "BROKER_USERNAME=anna"}, `BROKER_USERNAME="anna": want PORCHLIGHT_BROKER_PASSWORD beside it`,
		},
		"broker password without user": {
			[]string{"BROKER_PASSWORD=hunter2"}, `BROKER_PASSWORD: want PORCHLIGHT_BROKER_USERNAME beside it`,
		},
		"broker address": {
			[]string{"BROKER_LISTEN=1883"}, `BROKER_LISTEN="1883": want an address and a port such as 127.0.0.1:1883, or :1883 for all addresses`,
		},
		"page for all without password": {
			[]string{"WEB_LISTEN=:8580"}, `WEB_LISTEN=":8580": want PORCHLIGHT_WEB_PASSWORD beside it, or a loopback address`,
		},
		"page address": {
			[]string{"WEB_LISTEN=localhost:http"}, `WEB_LISTEN="localhost:http": want an address and a port such as 127.0.0.1:8580, or :8580 for all addresses`,
		},
		"ingress port":       {[]string{"INGRESS_PORTS=62001,http"}, `INGRESS_PORTS="62001,http": want ports such as 62001,62002`},
		"ingress port, zero": {[]string{"INGRESS_PORTS=0"}, `INGRESS_PORTS="0": want ports between 1 and 65535, each once`},
		"ingress port twice": {[]string{"INGRESS_PORTS=62001,62001"}, `INGRESS_PORTS="62001,62001": want ports between 1 and 65535, each once`},
		"secret file that is not there": {
			[]string{"WEB_LISTEN=:8580", "WEB_PASSWORD_FILE=/nowhere/web"},
			`WEB_PASSWORD_FILE="/nowhere/web": want a file that can be read (no such file or directory)`,
		},
		"empty secret file": {
			[]string{"WEB_PASSWORD_FILE=/dev/null"}, `WEB_PASSWORD_FILE="/dev/null": want a file with the secret in it; it is empty`,
		},
		"secret twice": {
			[]string{"WEB_PASSWORD=hunter2", "WEB_PASSWORD_FILE=/dev/null"},
			`WEB_PASSWORD_FILE="/dev/null": want only one of it and PORCHLIGHT_WEB_PASSWORD`,
		},
		"long value": {
			[]string{"NODE=" + strings.Repeat("ä", 200)},
			`NODE="` + strings.Repeat("ä", 50) + `…": want letters, digits, _ and - only`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var environ []string
			for _, v := range test.environ {
				environ = append(environ, Prefix+v)
			}
			_, _, err := load(environ, true)
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("error %v, want Faults", err)
			}
			if diff := cmp.Diff(Faults{Prefix + test.want}, faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaultsAllAtOnce(t *testing.T) {
	_, warnings, err := load([]string{
		"PORCHLIGHT_AWAY_MIN=soon", "PORCHLIGHT_AWAY_MAX=late", "PORCHLIGHT_SWEEP_RATE=0",
		"PORCHLIGHT_WEB_LISTEN=:80", "PORCHLIGHT_WEB_PASWORD=hunter2",
	}, false)
	got := strings.Split(fmt.Sprint(err), "\n")
	var names []string
	for _, line := range got {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, Prefix), "=")
		name, _, _ = strings.Cut(name, ":")
		names = append(names, name)
	}
	want := []string{"AWAY_MIN", "AWAY_MAX", "DATA_DIR", "WEB_LISTEN", "SWEEP_RATE"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("variables with faults (-want +got):\n%s\n%v", diff, err)
	}
	if len(warnings) != 1 || strings.Contains(warnings[0], "hunter2") {
		t.Errorf("warnings %q, want one without the value", warnings)
	}
}

func TestUnknown(t *testing.T) {
	_, warnings, err := load([]string{
		"PORCHLIGHT_AWAY_AFTR=5m", "PORCHLIGHT_MQTT_PASSWORD_FIEL=/x", "PORCHLIGHT_COLOUR_OF_THE_LAMP=red",
		"porchlight_node=x", "PATH=/bin", "NODE=x",
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PORCHLIGHT_AWAY_AFTR is not a setting and does nothing; did you mean PORCHLIGHT_AWAY_AFTER?",
		"PORCHLIGHT_COLOUR_OF_THE_LAMP is not a setting and does nothing",
		"PORCHLIGHT_MQTT_PASSWORD_FIEL is not a setting and does nothing; did you mean PORCHLIGHT_MQTT_PASSWORD_FILE?",
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestDataDir(t *testing.T) {
	tests := map[string]struct {
		vars map[string]string
		root bool
		want string
	}{
		"root":              {map[string]string{"HOME": "/root", "XDG_STATE_HOME": "/x"}, true, "/var/lib/porchlight"},
		"user":              {map[string]string{"HOME": "/home/a"}, false, "/home/a/.local/state/porchlight"},
		"user with XDG":     {map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/state"}, false, "/state/porchlight"},
		"user, XDG invalid": {map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "state"}, false, "/home/a/.local/state/porchlight"},
		"Windows":           {map[string]string{"LOCALAPPDATA": "/Users/a/AppData/Local"}, false, "/Users/a/AppData/Local/porchlight"},
		"user without home": {nil, false, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := dataDir(test.vars, test.root); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestParseDuration(t *testing.T) {
	tests := map[string]struct {
		want time.Duration
		ok   bool
	}{
		"30s":      {30 * time.Second, true},
		"7d":       {168 * time.Hour, true},
		"1d12h":    {36 * time.Hour, true},
		"2w":       {14 * 24 * time.Hour, true},
		"1w2d3h":   {9*24*time.Hour + 3*time.Hour, true},
		"1d1w":     {0, false},
		"w":        {0, false},
		"15251w":   {0, false},
		"0.5d":     {12 * time.Hour, true},
		"-1d":      {-24 * time.Hour, true},
		"d":        {0, false},
		"1d-2h":    {0, false},
		"-1d2h":    {0, false},
		"1d2d":     {0, false},
		"NaNd":     {0, false},
		"Infd":     {0, false},
		"1e300d":   {0, false},
		"106751d":  {0, false}, // 292 years, just what a duration cannot hold
		"106750d":  {106750 * 24 * time.Hour, true},
		"":         {0, false},
		"7 days":   {0, false},
		"tomorrow": {0, false},
	}
	for s, test := range tests {
		got, err := ParseDuration(s)
		if (err == nil) != test.ok || test.ok && got != test.want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v, ok %v", s, got, err, test.want, test.ok)
		}
	}
}

func TestSecretsStayHidden(t *testing.T) {
	cfg, _, err := load([]string{
		"PORCHLIGHT_MQTT_URL=mqtt://anna:hunter2@broker", "PORCHLIGHT_WEB_PASSWORD=hunter2",
		"PORCHLIGHT_BROKER_USERNAME=a", "PORCHLIGHT_BROKER_PASSWORD=hunter2",
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, format := range []string{"text", "json"} {
		c := Config{LogFormat: format}
		c.Logger(&out).Info("settings", "all", cfg, "password", cfg.WebPassword)
	}
	fmt.Fprintf(&out, "%v %+v %#v %s %q", cfg, cfg, cfg, cfg.WebPassword, cfg.WebPassword)
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a secret shows:\n%s", out.String())
	}
	if string(cfg.WebPassword) != "hunter2" || string(cfg.MQTTPassword) != "hunter2" {
		t.Error("the secrets are lost")
	}
}

func TestLogger(t *testing.T) {
	for level, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	} {
		var out bytes.Buffer
		log := Config{LogLevel: level, LogFormat: "text"}.Logger(&out)
		if !log.Enabled(t.Context(), want) || log.Enabled(t.Context(), want-1) {
			t.Errorf("level %q does not log from %v on", level, want)
		}
	}
	var out bytes.Buffer
	Config{LogFormat: "json"}.Logger(&out).Info("hello")
	if !strings.HasPrefix(out.String(), "{") {
		t.Errorf("got %q, want JSON", out.String())
	}
}

// One bound of the away timeout can be set alone: the others follow.
func TestAwayBoundsFollow(t *testing.T) {
	for _, c := range []struct {
		set                string
		low, initial, high time.Duration
	}{
		{"AWAY_MAX=5m", 20 * time.Second, 5 * time.Minute, 5 * time.Minute},
		{"AWAY_MAX=5s", 5 * time.Second, 5 * time.Second, 5 * time.Second},
		{"AWAY_INITIAL=5s", 5 * time.Second, 5 * time.Second, time.Hour},
		{"AWAY_INITIAL=2h", 20 * time.Second, 2 * time.Hour, 2 * time.Hour},
		{"AWAY_MIN=2h", 2 * time.Hour, 2 * time.Hour, 2 * time.Hour},
		{"AWAY_MIN=15m", 15 * time.Minute, 15 * time.Minute, time.Hour},
	} {
		cfg, _, err := Load([]string{"PORCHLIGHT_DATA_DIR=/x", Prefix + c.set})
		if err != nil || cfg.AwayMin != c.low || cfg.AwayInitial != c.initial || cfg.AwayMax != c.high {
			t.Errorf("%s: %s, %s, %s, %v", c.set, cfg.AwayMin, cfg.AwayInitial, cfg.AwayMax, err)
		}
	}
}

// What Notepad and PowerShell make of "péss" is the same secret.
func TestSecretFileEncodings(t *testing.T) {
	for name, content := range map[string]string{
		"UTF-8":                       "péss\n",
		"UTF-8 with byte order mark":  "\xef\xbb\xbfpéss\r\n",
		"UTF-16, as PowerShell's > ":  "\xff\xfep\x00\xe9\x00s\x00s\x00\r\x00\n\x00",
		"UTF-16 that ends in a half ": "\xff\xfep\x00\xe9\x00s\x00s\x00\n",
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, _, err := load([]string{"HOME=/home/a", "PORCHLIGHT_WEB_PASSWORD_FILE=" + path}, false)
		if err != nil || cfg.WebPassword != "péss" {
			t.Errorf("%s: %q, %v", name, string(cfg.WebPassword), err)
		}
	}
}

func TestParseLookup(t *testing.T) {
	for item, want := range map[string]struct {
		kind, server string
		ok           bool
	}{
		"mdns": {"mdns", "invalid AddrPort", true}, "dns": {"dns", "invalid AddrPort", true}, "dns:192.168.1.1": {"dns", "192.168.1.1:53", true},
		"dns:192.168.1.1:5353": {"dns", "192.168.1.1:5353", true}, "dns:fd00::1": {"dns", "[fd00::1]:53", true}, "dns:[fd00::1]:54": {"dns", "[fd00::1]:54", true},
		"mdns:192.168.1.1": {"mdns", "invalid AddrPort", false}, "dns:192.168.1.1:0": {"dns", "192.168.1.1:0", false}, "": {"", "invalid AddrPort", false},
	} {
		if kind, server, ok := ParseLookup(item); kind != want.kind || server.String() != want.server || ok != want.ok {
			t.Errorf("%q: %s, %v, %t, want %+v", item, kind, server, ok, want)
		}
	}
}
