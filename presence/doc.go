// Package presence decides who is home.
//
// It is pure: no sockets, no broker, no database, no goroutines and no clock.
// Sightings, commands and the passing of time go in as values; events, probes
// and changed devices come out. The same inputs at the same times give the
// same outputs, byte for byte, so a capture can be replayed and a year can be
// simulated in seconds.
//
// An Engine is owned by one goroutine; nothing in this package locks.
package presence
