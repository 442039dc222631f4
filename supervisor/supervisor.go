package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	prefix = "PORCHLIGHT_"

	// tokenVar holds the token that the Supervisor gives to each app;
	// oldTokenVar is its former name, which is still set.
	tokenVar, oldTokenVar = "SUPERVISOR_TOKEN", "HASSIO_TOKEN"

	// addressVar is where the tools of app developers look for the Supervisor's
	// address; usually it is not set.
	addressVar, defaultAddress = "SUPERVISOR_API", "http://supervisor"

	// dataDir is an app's own directory, which survives updates and is in backups.
	dataDir = "/data"

	// deviceFile is where a user puts the device file: in the app's folder under
	// /addon_configs. It is read as soon as it is there.
	deviceFile = "/config/devices.yaml"

	// patience is how long a Supervisor that is starting is waited for.
	patience = 30 * time.Second

	// WatchdogPort is where the Supervisor asks whether the app is alive, on the
	// address of the ingress. It is part of the app's config.yaml, which cannot
	// hold the port of the ingress: that one is given out at the installation.
	WatchdogPort = 18580

	// ownBroker is where the embedded broker listens when Home Assistant has
	// none. It leaves the usual port to a broker that is installed later.
	ownBroker = "127.0.0.1:18830"
)

// Inside reports whether environ, of the form of os.Environ, is an app's.
func Inside(environ []string) bool { return variables(environ)[tokenVar] != "" }

// Settings returns environ followed by the settings that the app has from the
// Supervisor, and without the Supervisor's token. A later entry wins over an
// earlier one of the same name. say is called with a line for everything that
// the user should know. The call takes at most half a minute.
func Settings(ctx context.Context, environ []string, say func(line string)) ([]string, error) {
	vars := variables(environ)
	dir := vars[prefix+"DATA_DIR"]
	if dir == "" {
		dir = dataDir
	}
	options, err := readOptions(filepath.Join(dir, "options.json"))
	if err != nil {
		return nil, err
	}
	chosen := variables(append(withoutTokens(environ), options...))
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := newClient(vars[addressVar], vars[tokenVar], say)
	found := []string{prefix + "DATA_DIR=" + dir}
	if vars[prefix+"DEVICES_FILE"] == "" {
		found = append(found, prefix+"DEVICES_FILE="+deviceFile)
	}

	broker, there, err := brokerSettings(ctx, c, chosen, say)
	if err != nil {
		return nil, err
	}
	found = append(found, broker...)
	if !there { // a user or a certificate is for the broker that will come
		options = slices.DeleteFunc(options, func(o string) bool { return strings.HasPrefix(o, prefix+"MQTT_") })
	}

	ports := strconv.Itoa(WatchdogPort)
	switch port, err := c.ingressPort(ctx); {
	case err == nil:
		ports = strconv.Itoa(port) + "," + ports
	case errors.Is(err, context.Canceled):
		return nil, err
	default: // who is home is worth more than a page about it
		say("Home Assistant will not show the page: " + err.Error())
	}
	found = append(found, prefix+"INGRESS_PORTS="+ports)
	return append(append(withoutTokens(environ), found...), options...), nil
}

// brokerSettings are those of the broker that Home Assistant has, unless
// another is chosen, and of the embedded broker when it has none; there is then
// false.
func brokerSettings(ctx context.Context, c *client, chosen map[string]string, say func(string)) (settings []string, there bool, err error) {
	if chosen[prefix+"MQTT_URL"] != "" {
		return nil, true, nil
	}
	b, err := c.broker(ctx)
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		listen := chosen[prefix+"BROKER_LISTEN"]
		if listen == "" {
			listen = ownBroker
		}
		say(fmt.Sprintf("Home Assistant has no MQTT broker (%s): install the app \"Mosquitto broker\", or set the option mqtt_url; "+
			"until then Porchlight runs a broker of its own on %s", refused.message, listen))
		return []string{prefix + "BROKER_LISTEN=" + listen}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	address := url.URL{Scheme: "mqtt", Host: net.JoinHostPort(b.host, strconv.Itoa(b.port))}
	if b.ssl {
		address.Scheme = "mqtts"
	}
	settings = []string{prefix + "MQTT_URL=" + address.String()}
	if chosen[prefix+"MQTT_USERNAME"] == "" && b.username != "" {
		settings = append(settings, prefix+"MQTT_USERNAME="+b.username, prefix+"MQTT_PASSWORD="+b.password)
	}
	return settings, true, nil
}

// variables are the entries of an environment by name. The last of a name wins.
func variables(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		vars[name] = value
	}
	return vars
}

// withoutTokens returns a copy of environ without what only Settings needs.
func withoutTokens(environ []string) (rest []string) {
	for _, entry := range environ {
		if name, _, _ := strings.Cut(entry, "="); name != tokenVar && name != oldTokenVar {
			rest = append(rest, entry)
		}
	}
	return rest
}
