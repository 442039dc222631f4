// Package attendance tells whether someone is at this machine: whether a user's
// session on one of its own seats is in the foreground and not locked, as logind
// says on the system bus (org.freedesktop.login1; systemd-logind and elogind have
// it). Who has come by the network is not at the machine.
package attendance
