package homeassistant

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// clientID names us in the login, and must be an address that we could be at.
const clientID = "http://" + address + "/"

// onboard does what a person's first visit does: an account, no analytics. It
// leaves out the step core_config: the place is in configuration.yaml, and
// otherwise the step only adds weather and radio from the internet. It gets a
// token that outlives the tests.
func (i *Instance) onboard(ctx context.Context) error {
	var account struct {
		AuthCode string `json:"auth_code"`
	}
	err := i.Call(ctx, http.MethodPost, "/api/onboarding/users", map[string]any{
		"client_id": clientID, "name": "Test", "username": "test", "password": "test", "language": "en",
	}, &account)
	if err != nil {
		return fmt.Errorf("making an account: %w", err)
	}
	var login struct {
		AccessToken string `json:"access_token"`
	}
	err = i.Call(ctx, http.MethodPost, "/auth/token", form(url.Values{
		"client_id": {clientID}, "grant_type": {"authorization_code"}, "code": {account.AuthCode},
	}.Encode()), &login)
	if err != nil {
		return fmt.Errorf("logging in: %w", err)
	}
	i.token = login.AccessToken
	for step, in := range map[string]any{
		"analytics":   map[string]any{},
		"integration": map[string]any{"client_id": clientID, "redirect_uri": clientID},
	} {
		if err := i.Call(ctx, http.MethodPost, "/api/onboarding/"+step, in, nil); err != nil {
			return fmt.Errorf("onboarding, step %s: %w", step, err)
		}
	}
	s, err := i.dial(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return s.command(ctx, "auth/long_lived_access_token", fields{"client_name": "tests", "lifespan": 30}, &i.token)
}

// AddMQTT adds the MQTT integration by its config flow, with the broker at
// addr (host:port), and returns the id of its entry.
func (i *Instance) AddMQTT(ctx context.Context, addr string) (entry string, err error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return "", err
	}
	form, err := i.flow(ctx, "/api/config/config_entries/flow", map[string]any{"handler": "mqtt"})
	if err != nil {
		return "", fmt.Errorf("adding MQTT: %w", err)
	}
	answer := map[string]any{"broker": host, "port": port}
	for _, f := range form.Schema {
		switch f.Name {
		case "protocol": // from 2026.6 on
			answer[f.Name] = f.Default
		case "other_settings":
			answer[f.Name] = map[string]any{"set_client_cert": false, "set_ca_cert": "off", "transport": "tcp"}
		}
	}
	done, err := i.flow(ctx, "/api/config/config_entries/flow/"+form.ID, answer)
	if err != nil {
		return "", fmt.Errorf("adding MQTT: %w", err)
	}
	if done.Type != "create_entry" {
		return "", fmt.Errorf("adding MQTT: its form was answered with %v, and it said %+v", answer, done)
	}
	return done.Result.Entry, nil
}

// step is a step of a config flow.
type step struct {
	ID     string `json:"flow_id"`
	Type   string
	Step   string `json:"step_id"`
	Schema []struct {
		Name    string
		Default any
	} `json:"data_schema"`
	Errors map[string]string
	Reason string
	Result struct {
		Entry string `json:"entry_id"`
	}
}

func (i *Instance) flow(ctx context.Context, path string, in any) (s step, err error) {
	return s, i.Call(ctx, http.MethodPost, path, in, &s)
}

// ReloadEntry reloads a config entry, such as MQTT's.
func (i *Instance) ReloadEntry(ctx context.Context, entry string) error {
	return i.Call(ctx, http.MethodPost, "/api/config/config_entries/entry/"+entry+"/reload", nil, nil)
}
