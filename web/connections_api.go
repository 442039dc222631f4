package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"porchlight/connections"
)

const (
	apiRows = 1000 // by default
	maxAPI  = 10_000
)

var (
	chosenParams = []param{
		{"q", "text in an address, a port, a state, a program, a user, a device"},
		{"program", "the program, exactly"},
		{"remote", "an address, a network, or a part of a device's name"},
		{"device", "the device at the other end by its name, exactly"},
		{"listening", "yes: only what waits for others to connect"},
		{"only", "one connection, as tcp,192.168.1.2:22,192.168.1.20:50122"},
	}
	partParams = []param{
		{"limit", "how many at most, up to 10000; by default 1000"},
		{"offset", "how many are left out before these"},
	}
	pairParams = []param{
		{"a", "the first: a snapshot's number, or a time; by default an hour ago"},
		{"b", "the second, in the same way; by default now"},
	}
)

// Snapshot is what this machine is connected to, in the API. There are no command
// lines in it, for they may hold passwords.
type Snapshot struct {
	Number      int64              `json:"number,omitempty"` // none: it is not stored
	Time        time.Time          `json:"time"`
	Boot        string             `json:"boot"`
	Missing     []string           `json:"missing"` // what could not be seen, and the remedy
	Total       int                `json:"total"`   // that are chosen
	Connections []connections.Line `json:"connections"`
}

// Changes is what changed from one snapshot to another, in the API.
type Changes struct {
	From    int64                    `json:"from"` // 0: now
	To      int64                    `json:"to"`   // 0: now
	Notes   []string                 `json:"notes"`
	Total   int                      `json:"total"`
	Changes []connections.ChangeLine `json:"changes"`
}

// errNoConnections says why there are none to show, with the remedy.
var errNoConnections = fault{http.StatusNotFound, errors.New("this Porchlight does not look at the connections of its machine: porchlight connections does, in a terminal")}

// named returns the connections that text names, and the devices.
func (p *pages) named(ctx context.Context, text string) (*connections.Snapshot, *people, error) {
	if p.cfg.Connections == nil {
		return nil, nil, errNoConnections
	}
	who, err := p.people(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := p.snapshotOf(ctx, text, who)
	return s, who, err
}

func (p *pages) apiConnections(ctx context.Context, r *http.Request) (any, error) {
	found, _, err := p.named(ctx, r.PathValue("n"))
	if err != nil {
		return nil, err
	}
	s := selectionOf(r.URL.Query())
	chosen := s.of(found.Connections)
	v := Snapshot{found.Number, found.Time.UTC(), found.Boot, array(found.Missing), len(chosen), []connections.Line{}}
	if chosen, err = part(r, chosen); err != nil {
		return nil, err
	}
	for i := range chosen {
		v.Connections = append(v.Connections, lineOf(connections.NewLine(&chosen[i])))
	}
	return v, nil
}

// lineOf is a line as it is answered: without what the pages do not show either.
func lineOf(l connections.Line) connections.Line {
	l.Command, l.Started = "", l.Started.UTC()
	return l
}

// part returns those of all that limit and offset ask for.
func part[T any](r *http.Request, all []T) ([]T, error) {
	limit, offset := int64(apiRows), int64(0)
	if err := number(r.URL.Query().Get("limit"), &limit, 1, maxAPI); err != nil {
		return nil, badRequest("limit: %w", err)
	}
	if err := number(r.URL.Query().Get("offset"), &offset, 0, 1<<62); err != nil {
		return nil, badRequest("offset: %w", err)
	}
	all = all[min(offset, int64(len(all))):]
	return all[:min(limit, int64(len(all)))], nil
}

func (p *pages) apiSnapshots(ctx context.Context, r *http.Request) (any, error) {
	if p.cfg.Connections == nil {
		return nil, errNoConnections
	}
	limit, before := int64(apiEvents), int64(0)
	if err := number(r.URL.Query().Get("limit"), &limit, 1, maxEvents); err != nil {
		return nil, badRequest("limit: %w", err)
	}
	if err := number(r.URL.Query().Get("before"), &before, 0, 1<<62); err != nil {
		return nil, badRequest("before: %w", err)
	}
	all, err := p.cfg.Connections.Newest(ctx, before, int(limit))
	for i := range all {
		all[i].Time = all[i].Time.UTC()
	}
	return array(all), err
}

func (p *pages) apiDiff(ctx context.Context, r *http.Request) (any, error) {
	pair, d, err := p.difference(ctx, r)
	if err != nil {
		return nil, err
	}
	lines := d.Lines(pair[1].Time.UTC())
	v := Changes{pair[0].Number, pair[1].Number, array(d.Notes), len(lines), []connections.ChangeLine{}}
	if lines, err = part(r, lines); err != nil {
		return nil, err
	}
	for _, l := range lines {
		l.Line = lineOf(l.Line)
		v.Changes = append(v.Changes, l)
	}
	return v, nil
}

// difference compares the two that the query names.
func (p *pages) difference(ctx context.Context, r *http.Request) (pair [2]connections.Snapshot, d connections.Diff, err error) {
	if p.cfg.Connections == nil {
		return pair, d, errNoConnections
	}
	who, err := p.people(ctx)
	if err != nil {
		return pair, d, err
	}
	s := selectionOf(r.URL.Query())
	if pair, err = p.pair(ctx, r.URL.Query(), &s, who); err != nil {
		return pair, d, err
	}
	return pair, connections.Compare(&pair[0], &pair[1]), nil
}

func (p *pages) apiFilter(ctx context.Context, r *http.Request) (any, error) {
	q := r.URL.Query()
	var f connections.Filter
	if q.Get("a")+q.Get("b") != "" {
		_, d, err := p.difference(ctx, r)
		if err != nil {
			return nil, err
		}
		f, err = filterOfChanges(pairsOf(&d))
		return f, unfit(err)
	}
	found, who, err := p.named(ctx, q.Get("snapshot"))
	if err != nil {
		return nil, err
	}
	s := selectionOf(q)
	f, err = s.filter(s.of(found.Connections), who)
	return f, unfit(err)
}

// unfit is the error of a choice that there is no filter for.
func unfit(err error) error {
	if err == nil {
		return nil
	}
	return fault{http.StatusUnprocessableEntity, err}
}
