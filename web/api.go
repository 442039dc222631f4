package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"porchlight/connections"
	"porchlight/history"
	"porchlight/presence"
	"porchlight/traffic"
)

// The JSON API, described by openapi.json. A list is an array; an error is an
// object with one line. Times are RFC 3339 in UTC.
//
// A question about the past is bounded by from and to (config.ParseMoment).

const (
	apiEvents   = 100 // by default
	maxEvents   = 1000
	apiAbsences = 20
	apiPast     = 24 * time.Hour // by default
	maxPast     = 400 * 24 * time.Hour
)

// fault is an error with the status that it is answered with.
type fault struct {
	status int
	error
}

func badRequest(format string, args ...any) error {
	return fault{http.StatusBadRequest, fmt.Errorf(format, args...)}
}

// answer is what an endpoint does: the value becomes JSON; nil: there is nothing
// to say.
type answer func(context.Context, *http.Request) (any, error)

func (f answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), sourceTime)
	defer cancel()
	value, err := f(ctx, r)
	status := http.StatusOK
	var wrong fault
	switch {
	case errors.As(err, &wrong):
		status, value = wrong.status, map[string]string{"error": wrong.Error()}
	case err != nil:
		status, value = http.StatusServiceUnavailable, map[string]string{"error": err.Error()}
	case value == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	writeJSON(w, status, value)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "the answer cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// endpoint is a part of the API.
type endpoint struct {
	pattern string // of net/http.ServeMux
	summary string
	query   []param
	body    any // a value of the type that is sent; nil: nothing is
	returns any // a value of the type that is answered; nil: nothing is
	answer  answer
}

// param is a value in the query.
type param struct{ name, means string }

var (
	within400 = []param{
		{"from", "the begin: a time (RFC 3339, or in the local time zone 2026-03-01 18:30, 2026-03-01, 18:30, today, yesterday), or how long ago, such as 7d; by default a day before the end"},
		{"to", "the end, in the same way; by default now; at most 400 days after the begin"},
	}
	upTo = param{"limit", "how many at most, up to 1000"}
)

func (p *pages) endpoints() []endpoint {
	return []endpoint{
		{"GET /api/v1/summary", "The household in one value.", nil, nil, Summary{}, p.apiSummary},
		{"GET /api/v1/groups", "All groups: home when any of their devices is.", nil, nil, []Group{}, p.apiGroups},
		{"GET /api/v1/devices", "The devices, by id.", []param{
			{"q", "text in a name or an address"},
			{"state", "home or not_home"},
			{"group", "a group's name or slug"},
			{"kind", "such as phone"},
			{"vendor", "the vendor, exactly"},
		}, nil, []Device{}, p.apiDevices},
		{"GET /api/v1/devices/{id}", "One device.", nil, nil, Device{}, p.apiDevice},
		{"PATCH /api/v1/devices/{id}", "Set what the user decides about a device; null takes it back. What the device file decides stays.", nil, Change{}, Device{}, p.apiSet},
		{"DELETE /api/v1/devices/{id}", "Forget a device, with all that was learned and set. It is new when it is heard again.", nil, nil, nil, p.apiForget},
		{"POST /api/v1/devices/{id}/merge", "Make another device part of this one.", nil, MergeOf{}, Device{}, p.apiMerge},
		{"POST /api/v1/devices/{id}/split", "Make a MAC of this device a device of its own.", nil, SplitOf{}, Device{}, p.apiSplit},
		{"GET /api/v1/devices/{id}/sessions", "When a device was home.", within400, nil, []history.Session{}, p.apiSessions},
		{"GET /api/v1/devices/{id}/names", "What a device was called over time.", nil, nil, []history.Name{}, p.apiNames},
		{"GET /api/v1/devices/{id}/leases", "The addresses that a device had by DHCP.", nil, nil, []history.Lease{}, p.apiLeases},
		{"GET /api/v1/devices/{id}/silences", "How long a device can be silent, as learned.", nil, nil, Silences{}, p.apiSilences},
		{"GET /api/v1/events", "The event log, in order: the newest, or with after the oldest that follow.", append([]param{
			{"type", "an event type; may be given several times"},
			{"device", "an id, a MAC or a name"},
			{"program", "only events about this machine, of this program"},
			{"before", "only events with a lower seq"},
			{"after", "only events with a higher seq"},
			upTo,
		}, within400...), nil, []presence.Event{}, p.apiEvents},
		{"GET /api/v1/home", "Who was home at a time.", []param{{"at", "the time, as from of the other questions; by default now"}}, nil, []history.Session{}, p.apiHome},
		{"GET /api/v1/absences", "The longest absences.", append([]param{upTo}, within400...), nil, []history.Absence{}, p.apiAbsences},
		{"GET /api/v1/first-seen", "The devices that were seen for the first time.", within400, nil, []history.Found{}, p.apiFirstSeen},
		{"GET /api/v1/gaps", "When nothing could be known.", within400, nil, []history.Gap{}, p.apiGaps},
		{"GET /api/v1/connections", "What this machine is connected to, as it is now.", slices.Concat(chosenParams, partParams), nil, Snapshot{}, p.apiConnections},
		{"GET /api/v1/connections/snapshots", "The stored snapshots of the connections, the newest first.", []param{
			{"before", "only snapshots with a lower number"},
			upTo,
		}, nil, []connections.Entry{}, p.apiSnapshots},
		{"GET /api/v1/connections/snapshots/{n}", "What this machine was connected to, as it was stored.", slices.Concat(chosenParams, partParams), nil, Snapshot{}, p.apiConnections},
		{"GET /api/v1/connections/diff", "What changed from one snapshot to another.", slices.Concat(pairParams, chosenParams, partParams), nil, Changes{}, p.apiDiff},
		{"GET /api/v1/connections/filter", "The filters of tcpdump and Wireshark for the connections that are chosen; with a or b for what changed.", slices.Concat(chosenParams, []param{
			{"snapshot", "a stored snapshot; by default the connections are those of now"},
		}, pairParams), nil, connections.Filter{}, p.apiFilter},
		{"GET /api/v1/traffic", "What passed this machine's interfaces, by equal parts of the time.", append([]param{
			{"step", "how long a part is, such as 1h; by default a 24th of the time, and always at least a 400th"},
		}, within400...), nil, []traffic.Line{}, p.apiTraffic},
		{"GET /api/v1/health", "How every part of Porchlight fares.", nil, nil, Health{}, p.apiHealth},
		{"POST /api/v1/scan", "Sweep the network now.", nil, nil, nil, p.apiScan},
	}
}

// Summary is the household in the API.
type Summary struct {
	Home     int                `json:"home"`
	Known    int                `json:"known"`
	LastNew  *presence.NewFound `json:"last_new"`
	Problems []string           `json:"problems"`
	Sensing  []Sensing          `json:"sensing"`
}

// Sensing is an interface in the API.
type Sensing struct {
	Interface string    `json:"interface"`
	Hears     bool      `json:"hears"`
	Since     time.Time `json:"since,omitzero"`
	Why       string    `json:"why,omitempty"`
}

func (p *pages) apiSummary(ctx context.Context, _ *http.Request) (any, error) {
	_, s, err := p.cfg.Source.Snapshot(ctx)
	v := Summary{Home: s.Home, Known: s.Known, LastNew: s.LastNew, Problems: array(s.Problems), Sensing: []Sensing{}}
	for _, i := range s.Sensing {
		v.Sensing = append(v.Sensing, Sensing{i.Interface, !i.Blind, i.At, i.Why})
	}
	return v, err
}

func (p *pages) apiGroups(ctx context.Context, _ *http.Request) (any, error) {
	devices, _, err := p.cfg.Source.Snapshot(ctx)
	return groupsOf(devices), err
}

func (p *pages) apiDevices(ctx context.Context, r *http.Request) (any, error) {
	devices, _, err := p.cfg.Source.Snapshot(ctx)
	all := []Device{}
	for _, d := range filterOf(r).of(devices) {
		all = append(all, NewDevice(&d))
	}
	return all, err
}

// one returns the device that the path names.
func (p *pages) one(ctx context.Context, r *http.Request) (d presence.Device, err error) {
	devices, _, err := p.cfg.Source.Snapshot(ctx)
	if err != nil {
		return d, err
	}
	d, ok := among(devices, r)
	if !ok {
		err = fault{http.StatusNotFound, errors.New("there is no such device")}
	}
	return d, err
}

func (p *pages) apiDevice(ctx context.Context, r *http.Request) (any, error) {
	d, err := p.one(ctx, r)
	return NewDevice(&d), err
}

// sentTo returns the device that the path names, and the JSON that was sent to it.
func (p *pages) sentTo(ctx context.Context, r *http.Request) (d presence.Device, body []byte, err error) {
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t != "application/json" && t != "application/merge-patch+json" {
		return d, nil, fault{http.StatusUnsupportedMediaType, errors.New("want application/json")}
	}
	if d, err = p.one(ctx, r); err != nil {
		return d, nil, err
	}
	if body, err = io.ReadAll(r.Body); err != nil {
		err = fault{http.StatusRequestEntityTooLarge, errors.New("the body is too long")}
	}
	return d, body, err
}

// MergeOf names the device that becomes part of another one.
type MergeOf struct {
	ID presence.ID `json:"id"`
}

// SplitOf names the MAC that becomes a device of its own.
type SplitOf struct {
	MAC presence.MAC `json:"mac"`
}

func (p *pages) apiMerge(ctx context.Context, r *http.Request) (any, error) {
	d, body, err := p.sentTo(ctx, r)
	if err != nil {
		return nil, err
	}
	var v MergeOf
	if json.Unmarshal(body, &v) != nil || v.ID == "" {
		return nil, fault{http.StatusUnprocessableEntity, errors.New(`want {"id": "the other device's id"}`)}
	}
	if err := p.cfg.Commands.MergeNow(ctx, d.ID, []presence.ID{v.ID}); err != nil {
		return nil, fault{http.StatusConflict, err}
	}
	return p.apiDevice(ctx, r)
}

func (p *pages) apiSplit(ctx context.Context, r *http.Request) (any, error) {
	d, body, err := p.sentTo(ctx, r)
	if err != nil {
		return nil, err
	}
	var v SplitOf
	if json.Unmarshal(body, &v) != nil || !v.MAC.Station() {
		return nil, fault{http.StatusUnprocessableEntity, errors.New(`want {"mac": "a MAC of this device"}`)}
	}
	if err := p.cfg.Commands.SplitNow(ctx, d.ID, []presence.MAC{v.MAC}); err != nil {
		return nil, fault{http.StatusConflict, err}
	}
	return p.apiDevice(ctx, r)
}

func (p *pages) apiSet(ctx context.Context, r *http.Request) (any, error) {
	d, body, err := p.sentTo(ctx, r)
	if err != nil {
		return nil, err
	}
	c, unknown, err := presence.ParseChange(body)
	if err == nil && len(unknown) > 0 {
		err = fmt.Errorf("unknown fields: %s", unknown)
	}
	if err != nil {
		return nil, fault{http.StatusUnprocessableEntity, err}
	}
	p.cfg.Commands.Set(d.ID, c)
	return p.apiDevice(ctx, r) // as it is then
}

func (p *pages) apiForget(ctx context.Context, r *http.Request) (any, error) {
	d, err := p.one(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(d.FromFile) > 0 {
		return nil, fault{http.StatusConflict, errors.New("it is in the device file: remove it there")}
	}
	p.cfg.Commands.Forget(d.ID)
	return nil, nil
}

func (p *pages) apiScan(context.Context, *http.Request) (any, error) {
	p.cfg.Commands.Scan()
	return nil, nil
}

func (p *pages) apiSilences(ctx context.Context, r *http.Request) (any, error) {
	d, err := p.one(ctx, r)
	if err != nil {
		return nil, err
	}
	s, err := p.cfg.Source.Silences(ctx, d.ID)
	return newSilences(s), err
}

func (p *pages) apiSessions(ctx context.Context, r *http.Request) (any, error) {
	return between(r, func(from, to time.Time) ([]history.Session, error) {
		return p.cfg.History.Sessions(ctx, presence.ID(r.PathValue("id")), from, to)
	})
}

func (p *pages) apiNames(ctx context.Context, r *http.Request) (any, error) {
	all, err := p.cfg.History.Names(ctx, presence.ID(r.PathValue("id")))
	return array(all), err
}

func (p *pages) apiLeases(ctx context.Context, r *http.Request) (any, error) {
	all, err := p.cfg.History.Leases(ctx, presence.ID(r.PathValue("id")))
	return array(all), err
}

func (p *pages) apiEvents(ctx context.Context, r *http.Request) (any, error) {
	q := r.URL.Query()
	page := history.Page{Limit: apiEvents, Oldest: q.Has("after")}
	for name, to := range map[string]*int64{"before": &page.Before, "after": &page.After} {
		if err := number(q.Get(name), to, 0, 1<<62); err != nil {
			return nil, badRequest("%s: %w", name, err)
		}
	}
	limit := int64(page.Limit)
	if err := number(q.Get("limit"), &limit, 1, maxEvents); err != nil {
		return nil, badRequest("limit: %w", err)
	}
	page.Limit = int(limit)
	var f history.EventFilter
	var err error
	if f.Since, err = moment(q.Get("from"), time.Time{}); err != nil {
		return nil, badRequest("from: %w", err)
	}
	if f.Until, err = moment(q.Get("to"), time.Time{}); err != nil {
		return nil, badRequest("to: %w", err)
	}
	f.Program = presence.CleanText(q.Get("program"), presence.MaxName)
	for _, t := range q["type"] {
		f.Types = append(f.Types, presence.EventType(t))
	}
	events, err := p.find(ctx, f, q.Get("device"), page)
	return array(events), err
}

func (p *pages) apiHome(ctx context.Context, r *http.Request) (any, error) {
	at, err := moment(r.URL.Query().Get("at"), time.Now())
	if err != nil {
		return nil, badRequest("at: %w", err)
	}
	all, err := p.cfg.History.HomeAt(ctx, at)
	return array(all), err
}

func (p *pages) apiAbsences(ctx context.Context, r *http.Request) (any, error) {
	from, to, err := pastOf(r)
	if err != nil {
		return nil, err
	}
	limit := int64(apiAbsences)
	if err := number(r.URL.Query().Get("limit"), &limit, 1, maxEvents); err != nil {
		return nil, badRequest("limit: %w", err)
	}
	all, err := p.cfg.History.LongestAbsences(ctx, from, to, time.Now(), int(limit))
	return array(all), err
}

func (p *pages) apiFirstSeen(ctx context.Context, r *http.Request) (any, error) {
	return between(r, func(from, to time.Time) ([]history.Found, error) {
		return p.cfg.History.FirstSeen(ctx, from, to)
	})
}

func (p *pages) apiGaps(ctx context.Context, r *http.Request) (any, error) {
	return between(r, func(from, to time.Time) ([]history.Gap, error) {
		return p.cfg.History.Gaps(ctx, from, to)
	})
}

func (p *pages) apiHealth(ctx context.Context, _ *http.Request) (any, error) {
	s, err := p.cfg.Source.Stats(ctx)
	if err != nil {
		return nil, err
	}
	v := Health{Well: true, Parts: []Finding{}}
	if err := p.cfg.Source.Health(ctx); err != nil {
		v.Well, v.Why = false, err.Error()
	}
	v.Parts = append(v.Parts, partsOf(s, time.Now())...)
	return v, nil
}

// Health is how Porchlight fares, in the API.
type Health struct {
	Well  bool      `json:"well"`
	Why   string    `json:"why,omitempty"`
	Parts []Finding `json:"parts"`
}

// array is l, or an empty one where it is nothing.
func array[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// number reads a whole number into to, which stays when text is empty.
func number(text string, to *int64, least, most int64) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return fmt.Errorf("want a whole number from %d to %d", least, most)
	}
	*to = n
	return nil
}

// between answers a question about the time that the query names.
func between[T any](r *http.Request, ask func(from, to time.Time) ([]T, error)) (any, error) {
	from, to, err := pastOf(r)
	if err != nil {
		return nil, err
	}
	all, err := ask(from, to)
	return array(all), err
}

// pastOf reads from and to: the last day by default.
func pastOf(r *http.Request) (from, to time.Time, err error) {
	now := time.Now()
	q := r.URL.Query()
	if to, err = moment(q.Get("to"), now); err != nil {
		return from, to, badRequest("to: %w", err)
	}
	if from, err = moment(q.Get("from"), to.Add(-apiPast)); err != nil {
		return from, to, badRequest("from: %w", err)
	}
	if !from.Before(to) || to.Sub(from) > maxPast {
		return from, to, badRequest("want from before to, and no more than 400 days between them")
	}
	return from, to, nil
}
