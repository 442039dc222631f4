// Package systemd tells the service manager how Porchlight is: started,
// reloading, alive, stopping, with a line for people (sd_notify(3),
// sd_watchdog_enabled(3)). Where no service manager listens, it does nothing.
package systemd
