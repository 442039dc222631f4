package doctor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"porchlight/config"
	"porchlight/devicefile"
	"porchlight/history"
	"porchlight/notify"
	"porchlight/presence"
)

// checkMessages looks at the settings of messages, and sends none. devices are
// those that are known by now; none: it is not known which there are. recorded is
// whether this machine's connections are.
func checkMessages(cfg notify.Config, devices []presence.Device, recorded bool) []Finding {
	const check = "messages"
	services, rules, err := notify.Plan(cfg)
	if err != nil {
		var found []Finding
		for line := range strings.SplitSeq(err.Error(), "\n") {
			found = append(found, fail(check, line+".", "Correct it; the README has a section on messages."))
		}
		return found
	}
	if len(services) == 0 {
		return nil
	}
	var found []Finding
	for _, r := range rules {
		if len(devices) > 0 && !r.AboutMachine() && r.Of != presence.GuestGroup && !slices.ContainsFunc(devices, func(d presence.Device) bool { return r.Knows(&d) }) {
			found = append(found, warn(check, fmt.Sprintf("PORCHLIGHT_NOTIFY_ON names %q, and no device or group is called so.", r.Of),
				"Correct it, or give a device that name or group."))
		}
	}
	if !recorded && slices.ContainsFunc(rules, func(r notify.Rule) bool { return r.AboutMachine() }) {
		found = append(found, warn(check, "PORCHLIGHT_NOTIFY_ON asks for news of this machine, and there are none: its connections are not recorded.",
			"Set PORCHLIGHT_CONNECTIONS_INTERVAL, to 30s for instance."))
	}
	if len(rules) == 0 {
		return append(found, warn(check, "PORCHLIGHT_NOTIFY_ON has no rules, so that nothing is told.", "Set it, to new for instance."))
	}
	return append(found, ok(check, fmt.Sprintf("Rules: %d; messages go by %s. To try it: porchlight notify --test.", len(rules), strings.Join(services, ", "))))
}

// messages is the part of the settings that messages need.
func messages(cfg config.Config) notify.Config {
	return notify.Config{
		URLs: string(cfg.NotifyURLs), On: cfg.NotifyOn, Quiet: cfg.NotifyQuiet, PerHour: cfg.NotifyPerHour, Templates: cfg.NotifyTemplates,
	}
}

// knownDevices are those of the database and of the device file. What cannot be
// read has a check of its own.
func knownDevices(ctx context.Context, dir, file string) (devices []presence.Device) {
	if r, err := history.OpenReader(dir); err == nil {
		records, _ := r.Devices(ctx)
		for i := range records {
			devices = append(devices, records[i].Device)
		}
		_ = r.Close()
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return devices
	}
	declared, _ := devicefile.Parse(content)
	for i := range declared {
		d := presence.Device{ID: declared[i].MAC.ID(), MAC: declared[i].MAC}
		if name := declared[i].Change.Name; name != nil {
			d.Name = *name
		}
		if groups := declared[i].Change.Groups; groups != nil {
			d.Groups = *groups
		}
		devices = append(devices, d)
	}
	return devices
}
