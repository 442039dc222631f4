// Package hostapd hears from hostapd, the access point's own program, who is
// associated: on the machine that is the access point this is the truth of the
// link layer, and a departure is known at once.
//
// It speaks the protocol of hostapd's control interface (w1.fi, wpa_ctrl.h):
// datagrams over a UNIX socket, one socket for each interface (BSS). Commands
// are answered in order; who has sent ATTACH gets events besides, which begin
// with their level, such as "<3>". Only stations that are authorized count: who
// merely tries to get in is nobody.
//
// What comes from hostapd is bounded and checked like what comes from the LAN.
// It is for Linux.
package hostapd
