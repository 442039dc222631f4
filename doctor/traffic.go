package doctor

import (
	"context"
	"fmt"
	"net"
	"time"

	"porchlight/attendance"
	"porchlight/config"
)

// logindTime bounds the question to logind.
const logindTime = 3 * time.Second

// checkTraffic is about the counting of this machine's traffic, if it is on: raw
// is the error of a packet socket, missing are the interfaces that are named and
// not there, held is whether another Porchlight runs, and logind is the error of
// asking who is there.
func checkTraffic(mode string, raw error, missing []string, held bool, logind func() error) (found []Finding) {
	const check = "traffic"
	if mode == "off" {
		return nil
	}
	if raw != nil {
		return []Finding{warn(check, fmt.Sprintf("PORCHLIGHT_TRAFFIC is %s, and no traffic is counted: this program may not open a packet socket (CAP_NET_RAW is missing).", mode),
			"Give it the capability, as said above.")}
	}
	for _, name := range missing {
		found = append(found, warn(check, fmt.Sprintf("The traffic of %s is not counted: there is no such interface.", name),
			"Compare PORCHLIGHT_TRAFFIC_INTERFACES with what `ip link` shows; if it comes later, it is counted from then on."))
	}
	if mode == "always" {
		return append(found, ok(check, "What passes this machine's interfaces is counted."))
	}
	if err := logind(); err != nil {
		return append(found, warn(check, fmt.Sprintf("PORCHLIGHT_TRAFFIC is attended, and no traffic is counted: logind does not say whether someone is at this machine (%v).", err),
			"It takes systemd-logind or elogind, in a container /run/dbus/system_bus_socket of the host, and a user that the bus knows. Without these set PORCHLIGHT_TRAFFIC=always."))
	}
	if held { // as another user, perhaps, whom the bus may refuse
		return append(found, ok(check, "What passes this machine's interfaces is counted while someone is at it. logind says to this program who is; if it does not to the Porchlight that runs, that one says so, below."))
	}
	return append(found, ok(check, "What passes this machine's interfaces is counted while someone is at it; logind says who is."))
}

// askLogind asks it once.
func askLogind(ctx context.Context) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(ctx, logindTime)
		defer cancel()
		_, err := attendance.Ask(ctx, "")
		return err
	}
}

// trafficFindings looks at this machine, on which another Porchlight may run.
func trafficFindings(ctx context.Context, cfg config.Config, held bool) []Finding {
	var missing []string
	for _, name := range cfg.TrafficInterfaces {
		if _, err := net.InterfaceByName(name); err != nil {
			missing = append(missing, name)
		}
	}
	return checkTraffic(cfg.Traffic, openPacketSocket(), missing, held, askLogind(ctx))
}
