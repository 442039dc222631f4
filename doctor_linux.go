package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"porchlight/doctor"
)

type doctorCmd struct {
	JSON bool `help:"Print JSON Lines."`
}

// Run reports each finding as soon as it is known.
func (c doctorCmd) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	good := doctor.Run(a.ctx, cfg, func(f doctor.Finding) {
		if c.JSON {
			_ = printJSON(a.stdout, []doctor.Finding{f}, func(f doctor.Finding) any { return f })
			return
		}
		_, _ = fmt.Fprintf(a.stdout, "%-4s  %-11s  %s\n", f.Level, f.Check, f.Text)
		if f.Remedy != "" {
			_, _ = fmt.Fprintf(a.stdout, "%-4s  %-11s  → %s\n", "", "", f.Remedy)
		}
	})
	if !good {
		return errSaid
	}
	return nil
}

type healthCmd struct{}

// Run asks the running Porchlight's health address.
func (healthCmd) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.WebListen+"/healthz", http.NoBody)
	if err != nil {
		return fmt.Errorf("asking for the health at %s: %w", cfg.WebListen, err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req) // no proxy
	if err != nil {
		var outer *url.Error // says the method and the address once more
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return fmt.Errorf("nothing answers at %s, is Porchlight running? %w", cfg.WebListen, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusOK {
		return errors.New("not well: " + strings.TrimSpace(string(body)))
	}
	return nil
}
