// Package doctor says in plain words what would keep Porchlight from working,
// and what to do about it.
//
// Each check is a function of values that were read before, so that it can be
// tried on what other machines look like. It changes nothing on the machine; the
// only things that it sends are a few ARP requests, to the configured broker the
// question which Porchlights are there, and to one that runs here the question
// how it is. It is for Linux.
package doctor

import (
	"context"
	"os"
	"strings"
	"time"

	"porchlight/config"
	"porchlight/hostapd"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // it works, with limits
	Fail Level = "fail" // Porchlight cannot do its work
)

// Finding is the result of one check. It never holds a secret.
type Finding struct {
	Check  string `json:"check"` // what was looked at, one word: "interface"
	Level  Level  `json:"level"`
	Text   string `json:"text"`             // one sentence
	Remedy string `json:"remedy,omitempty"` // one sentence or a command; empty when Level is OK
}

func ok(check, text string) Finding { return Finding{check, OK, text, ""} }

func warn(check, text, remedy string) Finding { return Finding{check, Warn, text, remedy} }

func fail(check, text, remedy string) Finding { return Finding{check, Fail, text, remedy} }

// Run does all checks and reports each finding as soon as it is known; some
// take a few seconds. It returns false when at least one failed.
func Run(ctx context.Context, cfg config.Config, report func(Finding)) bool {
	good := true
	tell := func(findings ...Finding) (passed bool) {
		passed = true
		for _, f := range findings {
			passed = passed && f.Level != Fail
			report(f)
		}
		good = good && passed
		return passed
	}

	tell(checkSettings(os.Environ())...)
	tell(sameFindings(cfg.DataDir)...)
	where := readPlace()
	mayHear := tell(checkCapability(openPacketSocket(), executable(), where.runtime != ""))
	net, err := readNetwork()
	if err != nil {
		tell(fail("interface", "The network interfaces cannot be listed: "+err.Error()+".", "Run this on Linux, outside a sandbox."))
	} else {
		names := net.chosen(cfg.Interfaces)
		tell(net.check(cfg.Interfaces, len(cfg.SweepPrefixes) > 0)...)
		for _, name := range names {
			if net.ready(name) {
				tell(net.checkIPv6(name))
			}
		}
		tell(checkContainer(where, net))
		if mayHear {
			for _, name := range names {
				if net.ready(name) {
					tell(checkHearing(ctx, name, net.askable(name)))
				}
			}
		}
	}
	held := lockHeld(cfg.DataDir)
	tell(trafficFindings(ctx, cfg, held)...)
	tell(checkHostapd(hostapd.Look(ctx, cfg.HostapdSockets))...)
	tell(checkNames(cfg.LeaseFiles, cfg.HostsFiles)...)
	tell(checkDatabase(ctx, cfg.DataDir, held)...)
	tell(checkDeviceFile(cfg.DevicesFile)...)
	tell(checkMessages(messages(cfg), knownDevices(ctx, cfg.DataDir, cfg.DevicesFile), cfg.ConnectionsInterval > 0)...)
	if cfg.ConnectionsInterval > 0 {
		tell(checkConnections(readSight(cfg.DataDir), where, len(cfg.IngressPorts) > 0, executable()))
	}
	if cfg.MQTTURL == nil {
		tell(checkEmbedded(cfg.BrokerListen, listenOn(ctx, cfg.BrokerListen), held))
		if held {
			tell(askEmbedded(ctx, cfg)...)
		}
	} else {
		tell(checkBroker(ctx, cfg, held)...)
	}
	tell(checkWeb(cfg.WebListen, listenOn(ctx, cfg.WebListen), held))
	if held {
		tell(checkRunning(ctx, cfg.WebListen, string(cfg.WebPassword))...)
	}
	tell(checkClock(time.Now(), readClock()))
	return good
}

// checkSettings is about variables that do nothing; wrong values have stopped
// the program before.
func checkSettings(environ []string) []Finding {
	_, warnings, _ := config.Load(environ)
	if len(warnings) == 0 {
		return []Finding{ok("settings", "All settings are known and have values that make sense.")}
	}
	var found []Finding
	for _, line := range warnings {
		if !strings.HasSuffix(line, "?") {
			line += "."
		}
		found = append(found, warn("settings", line, "Correct the name of the variable, or remove it."))
	}
	return found
}
