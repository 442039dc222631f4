// Package capture hears Ethernet frames: live, on an AF_PACKET socket, or from
// a capture file.
//
// A Listener owns one interface. It reads on one goroutine and hands each
// frame to its handler in order; while the interface cannot hear it says so
// and dials again. The packet loop never waits for anyone: a handler must not
// block.
//
// A Ring hears the beginnings of all packets that pass the interfaces, of any link
// and in both directions, for who counts them.
package capture
