package main

import (
	"context"
	"log/slog"

	"porchlight/bridge"
	"porchlight/config"
	"porchlight/devicefile"
	"porchlight/history"
	"porchlight/presence"
)

// lastDeviceFile is where the database has the device file that was read last:
// it counts while the file has a fault, and for the other commands.
const lastDeviceFile = "device_file"

// deviceFile is the device file of the settings, if there is one.
type deviceFile struct{ watcher *devicefile.Watcher }

// newDeviceFile returns the device file and what it declares at the start.
func newDeviceFile(cfg config.Config, store *history.Store, log *slog.Logger) (deviceFile, []presence.Declaration) {
	if cfg.DevicesFile == "" {
		if store.Meta(lastDeviceFile) != "" {
			store.SetMeta(lastDeviceFile, "")
		}
		return deviceFile{}, nil
	}
	w := devicefile.New(devicefile.Config{
		Path: cfg.DevicesFile, Last: store.Meta(lastDeviceFile), Log: log,
		Keep: func(content string) { store.SetMeta(lastDeviceFile, content) },
	})
	return deviceFile{w}, w.Load()
}

// run tells the bridge what the file says whenever that changes.
func (f deviceFile) run(ctx context.Context, b *bridge.Bridge) error {
	if f.watcher == nil {
		return nil
	}
	return f.watcher.Run(ctx, b.Declare)
}

func (f deviceFile) problems() []string {
	if f.watcher == nil || f.watcher.Problem() == "" {
		return nil
	}
	return []string{"the device file does not count as it is: " + f.watcher.Problem()}
}

// declaredNow is what the running Porchlight, or the last one, had from the
// device file.
func declaredNow(ctx context.Context, r *history.Reader) ([]presence.Declaration, error) {
	content, err := r.Meta(ctx, lastDeviceFile)
	if err != nil || content == "" {
		return nil, err
	}
	list, _ := devicefile.Parse([]byte(content)) // it had no fault
	return list, nil
}
