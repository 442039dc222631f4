// Package listen follows the events of the Porchlights at a broker: it prints
// them as they come and, where that is wanted, shows them as notifications of
// the desktop. It works on every system.
//
// Everything that comes is a stranger's: whoever may publish at the broker can
// put anything on a topic, and host names come from the LAN. It is bounded,
// checked and cleaned before it is shown.
package listen
