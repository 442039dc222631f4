// Package flows reads a traffic dump and says which of its flows this machine's
// connections explain.
//
// Read makes flows of a dump, in a stream and in bounded memory. An Explainer
// takes the snapshots of package connections that were stored at that time, and
// makes a Report: which program is behind each flow, which flows no snapshot
// explains and why not, and which connections had no traffic.
//
// All in a dump was chosen by strangers: lengths are checked, numbers bounded,
// and names fit to be shown.
package flows
