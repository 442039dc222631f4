// Package web serves pages that show who is home and let people say who is who,
// a health check and metrics.
//
// What strangers on the LAN chose, such as host names, is shown by html/template
// alone, under a Content-Security-Policy that allows no script but our own. URLs
// are relative, so that the pages work below any path of a proxy. All of them
// work without script; with it they are live: a stream says that there is
// something new, and the page fetches itself again (static/app.js).
package web

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"porchlight/history"
	"porchlight/presence"
)

// Source is where the Server gets what it shows. Its methods are called from
// any goroutine.
type Source interface {
	// Snapshot returns all devices and the household in one value.
	Snapshot(ctx context.Context) (devices []presence.Device, summary presence.Summary, err error)
	// Silences returns what was learned of a device's silences.
	Silences(ctx context.Context, id presence.ID) (presence.Silences, error)
	// Health returns nil, or in words what keeps Porchlight from its work.
	Health(ctx context.Context) error
	// Stats returns what /metrics shows besides the snapshot.
	Stats(ctx context.Context) (Stats, error)
	// Changed returns a channel that is closed when there is something new to show.
	Changed() <-chan struct{}
}

// Doctor says what would keep Porchlight from working, each finding as soon as it
// is known.
type Doctor func(ctx context.Context, report func(Finding))

// Finding is what the doctor has found.
type Finding struct {
	Level  string `json:"level"` // ok, warn or fail
	Check  string `json:"check"` // what was looked at, in a word
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// Commands carries out what people ask for on the pages. Its methods are called
// from any goroutine, and do not wait: what they bring about is in the next
// Snapshot.
type Commands interface {
	Set(id presence.ID, c presence.Change)
	Forget(id presence.ID)
	Scan()
	// MergeNow makes devices part of one; SplitNow takes MACs off it again. An error
	// says in a line why nothing was done.
	MergeNow(ctx context.Context, into presence.ID, ids []presence.ID) error
	SplitNow(ctx context.Context, id presence.ID, macs []presence.MAC) error
}

// Config is what a Server needs.
type Config struct {
	Listen   string   // host:port; other than loopback needs a Password
	Password string   // empty: none is asked for
	Hosts    []string // names that it may be asked for by, besides addresses
	Secret   []byte   // what sessions are signed with; empty: they end with the process
	Version  string
	Source   Source
	Commands Commands
	History  *history.Queries
	Doctor   Doctor // nil: it is not offered

	Connections Connections   // of this machine; nil: they are not shown
	RecordEvery time.Duration // how often they are stored; 0: they are not

	Traffic     Traffic // nil: none was ever recorded
	TrafficMode string  // whether it is: always or attended; else it is not

	Log *slog.Logger
}

// Limits of the server.
const (
	maxConnections = 1024
	maxPerClient   = 128 // of these
	maxBody        = 64 << 10
	maxHeader      = 16 << 10
	sourceTime     = 3 * time.Second // for the Source to answer
	farewell       = time.Second     // for requests under way at the end
)

//go:embed templates static
var files embed.FS

// Server serves over HTTP. Make one with New.
type Server struct {
	cfg      Config
	listener net.Listener
	server   *http.Server
}

// stopper tells long answers that the server ends.
type stopper chan struct{}

// New checks cfg and takes the port. What connects before Run waits.
func New(cfg Config) (*Server, error) {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("PORCHLIGHT_WEB_LISTEN %q: want an address and a port, such as 127.0.0.1:8580", cfg.Listen)
	}
	if cfg.Password == "" && !loopback(host) {
		return nil, fmt.Errorf("PORCHLIGHT_WEB_LISTEN %q is open to the network: set PORCHLIGHT_WEB_PASSWORD, or listen on 127.0.0.1", cfg.Listen)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ending := make(stopper)
	handler, err := newHandler(cfg, newGuard(cfg), ending)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, explainListen(cfg.Listen, err)
	}
	return newServer(cfg, newCrowd(l, cfg.Log), handler, ending), nil
}

func newServer(cfg Config, l net.Listener, handler http.Handler, ending stopper) *Server {
	s := &Server{
		cfg:      cfg,
		listener: l,
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		},
	}
	s.server.RegisterOnShutdown(func() { close(ending) })
	return s
}

// newHandler returns all that is served, guarded by g.
func newHandler(cfg Config, g *guard, ending stopper) (http.Handler, error) {
	p, err := newPages(cfg)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	keeper := &keeper{source: cfg.Source}
	for pattern, h := range map[string]http.Handler{
		"GET /{$}":                  keeper.keep(limit(p.now)),
		"GET /devices/{id}":         keeper.keep(limit(p.devicePage)),
		"POST /devices/{id}":        limit(p.setDevice),
		"POST /devices/{id}/forget": limit(p.forgetDevice),
		"GET /timeline":             keeper.keep(limit(p.timeline)),
		"GET /events":               keeper.keep(limit(p.events)),
		"GET /connections":          keeper.keep(limit(p.connections)),
		"GET /connections/changes":  keeper.keep(limit(p.changes)),
		"GET /traffic":              keeper.keep(limitTo(trafficTime, p.traffic)),
		"GET /health":               limit(p.health),
		"POST /health":              http.HandlerFunc(p.examine),
		"POST /devices/{id}/merge":  limit(p.merge),
		"POST /devices/{id}/split":  limit(p.split),
		"POST /scan":                limit(p.scan),
		"POST /logout":              logout(g),
		"GET /live":                 live(cfg.Source, ending),
		"GET /metrics":              newMetrics(cfg),
	} {
		if !strings.HasPrefix(pattern, "GET") {
			h = keeper.after(h)
		}
		mux.Handle(pattern, g.protect(h))
	}
	for _, e := range p.endpoints() {
		var h http.Handler = e.answer
		if !strings.HasPrefix(e.pattern, "GET") {
			h = keeper.after(h)
		}
		mux.Handle(e.pattern, g.protect(h))
	}
	mux.Handle("GET /api/v1/openapi.json", g.protect(p.openAPI()))
	mux.Handle("GET /login", p.loginPage(g))
	mux.Handle("POST /login", p.loginPage(g))
	for _, name := range []string{"style.css", "app.js", "icon.svg"} {
		asset, err := newAsset(name)
		if err != nil {
			return nil, err
		}
		mux.Handle("GET /"+name, asset)
	}
	mux.Handle("GET /healthz", health(cfg.Source, g))
	mux.Handle("GET /readyz", ready(cfg.Source))
	mux.Handle("GET /livez", alive(cfg.Source))
	return g.admit(mux), nil
}

// loopback reports whether only this machine can reach host.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func explainListen(listen string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("the page cannot listen on %s, the port is taken: set PORCHLIGHT_WEB_LISTEN to another", listen)
	}
	return fmt.Errorf("the page cannot listen on PORCHLIGHT_WEB_LISTEN %q: %w", listen, err)
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, lets requests under way finish for a second, and
// returns nil then.
func (s *Server) Run(ctx context.Context) error {
	s.cfg.Log.Info("the page is served", "address", "http://"+s.Addr().String()+"/")
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(netutil.LimitListener(s.listener, maxConnections)) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving the page on %s: %w", s.cfg.Listen, err)
	case <-ctx.Done():
	}
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if s.server.Shutdown(bye) != nil {
		_ = s.server.Close() // who still reads after a second is cut off
	}
	<-ended
	return nil
}
