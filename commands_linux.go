package main

// systemCommands are those that this system has and others have not.
type systemCommands struct {
	Run         runCmd         `cmd:"" default:"withargs" help:"Listen, decide and publish until stopped (the default)."`
	Scan        scanCmd        `cmd:"" help:"Ask every address on the network once, and list who answers."`
	Devices     devicesCmd     `cmd:"" help:"List the known devices."`
	Events      eventsCmd      `cmd:"" help:"List what happened."`
	Sessions    sessionsCmd    `cmd:"" help:"List who was home from when to when, who was home at a time, or the longest absences."`
	Export      exportCmd      `cmd:"" help:"Copy the whole history into an SQLite file, also while Porchlight runs."`
	Import      importCmd      `cmd:"" help:"Start with what another tool knows: put the devices of its list into the device file."`
	Connections connectionsCmd `cmd:"" help:"What this machine itself is connected to, by which programs, and what changed."`
	Traffic     trafficCmd     `cmd:"" help:"What passed the interfaces of this machine: protocols, hosts, devices, ports."`
	Replay      replayCmd      `cmd:"" help:"Run a capture (pcap or pcapng) through the engine and print the events."`
	Notify      notifyCmd      `cmd:"" help:"Try whether messages arrive."`
	Doctor      doctorCmd      `cmd:"" help:"Say in plain words what would keep Porchlight from working."`
	Demo        demoCmd        `cmd:"" help:"Raise a virtual LAN on this machine and show what happens in it (needs root)."`
	Health      healthCmd      `cmd:"" hidden:"" help:"Ask the running Porchlight whether it is well; for container health checks."`
}
