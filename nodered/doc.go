// Package nodered has flows for Node-RED (flows.json), and tests that run them
// in a real one: Porchlight, a broker and Node-RED share a machine in a virtual
// LAN where devices come and go. The README beside them is for their users.
//
// scripts/nodered gets Node-RED and runs the tests; without it, or without
// root, they are skipped.
package nodered
