package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"porchlight/presence"
)

// For those who watch over Porchlight there are three questions. They are asked
// without a password and by any name, and say no more than they must.

// forProbes reports whether the page says nothing there but how it fares.
func forProbes(path string) bool { return path == "/healthz" || path == "/livez" || path == "/readyz" }

// probe answers 200 and ok, or 503 and what the error says.
func probe(check func(context.Context, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), sourceTime)
		defer cancel()
		err := check(ctx, r)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintln(w, err)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
}

// health: is all well? The reason is for those who may see the page.
func health(source Source, g *guard) http.Handler {
	return probe(func(ctx context.Context, r *http.Request) error {
		err := source.Health(ctx)
		if err != nil && g.check(r) != allowed {
			return errors.New("not well")
		}
		return err
	})
}

// ready: has it begun its work? It has when every interface has said whether it
// hears, and the database takes what happens. A broker that is away is no reason
// to wait: what it must be told is kept.
func ready(source Source) http.Handler {
	return probe(func(ctx context.Context, _ *http.Request) error {
		s, err := source.Stats(ctx)
		if err != nil {
			return errHangs
		}
		if s.DatabaseFault {
			return errors.New("the database cannot be written")
		}
		_, summary, err := source.Snapshot(ctx)
		if err != nil {
			return errHangs
		}
		for name := range s.Interfaces {
			if !slices.ContainsFunc(summary.Sensing, func(i presence.Sensing) bool { return i.Interface == name }) {
				return errors.New("not all interfaces are open yet")
			}
		}
		return nil
	})
}

// alive: does the main loop answer? It is for who restarts Porchlight when it
// hangs: a broker that is away or a cable that is pulled is not mended by that.
func alive(source Source) http.Handler {
	return probe(func(ctx context.Context, _ *http.Request) error {
		if _, _, err := source.Snapshot(ctx); err != nil {
			return errHangs
		}
		return nil
	})
}

var errHangs = errors.New("the main loop does not answer")
