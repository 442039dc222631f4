package homeassistant

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// State is an entity's state, as Home Assistant shows it.
type State struct {
	Entity      string         `json:"entity_id"`
	State       string         `json:"state"`
	Attributes  map[string]any `json:"attributes"`
	LastChanged time.Time      `json:"last_changed"`
	LastUpdated time.Time      `json:"last_updated"`
}

// Call sends a request to the REST interface, with in as JSON unless it is nil,
// and reads the answer into out unless that is nil.
func (i *Instance) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	kind := "application/json"
	switch in := in.(type) {
	case nil:
	case form:
		kind, body = "application/x-www-form-urlencoded", strings.NewReader(string(in))
	default:
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	if i.token != "" {
		req.Header.Set("Authorization", "Bearer "+i.token)
	}
	resp, err := i.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, said)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(said, out); err != nil {
		return fmt.Errorf("%s %s: reading %q: %w", method, path, said, err)
	}
	return nil
}

// form is a body that is not JSON.
type form string

// State returns an entity's state.
func (i *Instance) State(ctx context.Context, entity string) (s State, err error) {
	return s, i.Call(ctx, http.MethodGet, "/api/states/"+entity, nil, &s)
}

// States returns the state of every entity.
func (i *Instance) States(ctx context.Context) (all []State, err error) {
	return all, i.Call(ctx, http.MethodGet, "/api/states", nil, &all)
}

// Action performs an action, such as button.press with an entity_id in data.
func (i *Instance) Action(ctx context.Context, name string, data map[string]any) error {
	domain, service, _ := strings.Cut(name, ".")
	if data == nil {
		data = map[string]any{}
	}
	return i.Call(ctx, http.MethodPost, "/api/services/"+domain+"/"+service, data, nil)
}

// History returns what the recorder has of an entity since then, oldest first;
// the first is the state at that time.
func (i *Instance) History(ctx context.Context, entity string, since time.Time) ([]State, error) {
	var all [][]State
	path := fmt.Sprintf("/api/history/period/%s?filter_entity_id=%s&significant_changes_only=0",
		since.UTC().Format("2006-01-02T15:04:05.000000Z"), entity)
	if err := i.Call(ctx, http.MethodGet, path, nil, &all); err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}
