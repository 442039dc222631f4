//go:build !linux

package main

import (
	"fmt"
	"runtime"
)

// systemCommands are those that Linux has: there is none of them here, and each
// says so.
type systemCommands struct {
	Run         elsewhere `cmd:"" hidden:""`
	Scan        elsewhere `cmd:"" hidden:""`
	Devices     elsewhere `cmd:"" hidden:""`
	Events      elsewhere `cmd:"" hidden:""`
	Connections elsewhere `cmd:"" hidden:""`
	Traffic     elsewhere `cmd:"" hidden:""`
	Replay      elsewhere `cmd:"" hidden:""`
	Notify      elsewhere `cmd:"" hidden:""`
	Doctor      elsewhere `cmd:"" hidden:""`
	Demo        elsewhere `cmd:"" hidden:""`
	Health      elsewhere `cmd:"" hidden:""`
}

// elsewhere is a command that works on Linux only.
type elsewhere struct {
	Args []string `arg:"" optional:"" passthrough:""`
}

// Run says so.
func (elsewhere) Run(*app) error {
	return fmt.Errorf("this needs Linux, whose packet sockets Porchlight hears the LAN by: run it there, and follow it from this machine (%s) with porchlight listen", runtime.GOOS)
}
