// Package lookup asks for the names of devices that have told none: the DNS
// server by reverse DNS, and the devices themselves by multicast DNS.
//
// It asks slowly, one question at a time, about private addresses only, and
// remembers for hours what was answered, or that nothing was. Answers come from
// strangers; they are bounded and cleaned.
package lookup
