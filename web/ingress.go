package web

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
)

// The network of Home Assistant's apps (developers.home-assistant.io,
// "Presenting your app", Ingress): this machine has the first address in it, and
// the Supervisor, which hands over the requests of users who have logged in to
// Home Assistant, the second. Nobody else may be let in there.
var (
	ingressHost = netip.MustParseAddr("172.30.32.1")
	ingressPeer = netip.MustParseAddr("172.30.32.2")
)

// NewIngress takes a port for Home Assistant's ingress. What it serves is the
// same as of New, without a password and under any name: a request has the Host
// that the user's browser asked for. cfg.Listen and cfg.Password do not count.
func NewIngress(cfg Config, port uint16) (*Server, error) {
	cfg.Listen, cfg.Password = netip.AddrPortFrom(ingressHost, port).String(), ""
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ending := make(stopper)
	guard := newGuard(cfg)
	guard.anyHost = true
	handler, err := newHandler(cfg, guard, ending)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("the page for Home Assistant: %w", err)
	}
	return newServer(cfg, &only{l, ingressPeer, cfg.Log}, handler, ending), nil
}

// only is a Listener for one peer. Connections of others are closed unread.
type only struct {
	net.Listener
	peer netip.Addr
	log  *slog.Logger
}

// Accept implements net.Listener.
func (o *only) Accept() (net.Conn, error) {
	for {
		conn, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err == nil && from.Addr() == o.peer {
			return conn, nil
		}
		_ = conn.Close()
		o.log.Debug("somebody who is not the Supervisor wanted the page for Home Assistant", "from", conn.RemoteAddr().String())
	}
}
