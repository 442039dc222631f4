// Package scenario has the days of a household as tables, and tests that play
// each of them twice: simulated, with the bridge and the engine in virtual
// time, and real, with the built program in a virtual LAN among real DHCP
// clients and a real broker. Both must tell the same story.
//
// Beside them are tests of what only the real thing can show: the commands,
// faults at the start, faults while running, and the end.
//
// The real ones need root and the programs that package lab names, and are
// skipped without them.
package scenario
