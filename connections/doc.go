// Package connections tells what this machine itself is connected to: its TCP
// and UDP sockets, the programs that own them, and what changed between two
// looks.
//
// Take looks, Compare finds what changed, Store keeps snapshots as differences
// in an SQLite file of their own, and FilterFor says how tcpdump and Wireshark
// choose the same packets.
package connections
