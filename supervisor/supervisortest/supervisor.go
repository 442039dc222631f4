// Package supervisortest answers as Home Assistant's Supervisor does, for tests.
//
// Its answers have the form that the Supervisor's documentation and its source
// show: {"result": "ok", "data": {…}}, or {"result": "error", "message": …} with
// status 400. Who has no token gets 401, who has a wrong one 403, in plain text.
package supervisortest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Service is what an app has told the Supervisor of its broker; see the
// endpoint /services/mqtt.
type Service struct {
	App      string `json:"addon"`
	Host     string `json:"host"`
	Port     any    `json:"port"` // an int in practice, a string in the documentation
	SSL      bool   `json:"ssl"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Protocol string `json:"protocol"`
}

// Supervisor is an http.Handler. Set its fields before the first request.
type Supervisor struct {
	Token       string
	MQTT        *Service // nil: no app is a broker; see Register
	IngressPort any      // an int; nil where ingress is off
	// Faults answers in the Supervisor's place when it returns true. n is how
	// many requests there were before.
	Faults func(n int, w http.ResponseWriter, r *http.Request) bool

	mu    sync.Mutex
	asked []string
}

// Asked are the paths that were asked for so far.
func (s *Supervisor) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Register makes an app the broker, as when it is started for the first time.
func (s *Supervisor) Register(service Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.MQTT = &service
}

// ServeHTTP implements http.Handler.
func (s *Supervisor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := len(s.asked)
	s.asked = append(s.asked, r.URL.Path)
	broker := s.MQTT
	s.mu.Unlock()
	if s.Faults != nil && s.Faults(n, w, r) {
		return
	}
	switch token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); {
	case token == "":
		http.Error(w, "401: Unauthorized", http.StatusUnauthorized)
	case token != s.Token:
		http.Error(w, "403: Forbidden", http.StatusForbidden)
	case r.Method != http.MethodGet:
		http.Error(w, "405: Method Not Allowed", http.StatusMethodNotAllowed)
	case r.URL.Path == "/services/mqtt" && broker != nil:
		OK(w, broker)
	case r.URL.Path == "/services/mqtt":
		Refuse(w, "Service not enabled")
	case r.URL.Path == "/addons/self/info":
		OK(w, map[string]any{
			"name": "Porchlight", "slug": "local_porchlight", "hostname": "local-porchlight", "state": "started",
			"host_network": true, "ip_address": "172.30.32.1", "privileged": []string{"NET_RAW"}, "rating": 7,
			"ingress": s.IngressPort != nil, "ingress_entry": "/api/hassio_ingress/ml8UFm2r6ZuFZyBs1ILF",
			"ingress_url": "/api/hassio_ingress/ml8UFm2r6ZuFZyBs1ILF/", "ingress_port": s.IngressPort,
			"network": nil, "options": map[string]any{}, "services_role": []string{"mqtt:want"}, "watchdog": true,
		})
	default:
		http.Error(w, "404: Not Found", http.StatusNotFound)
	}
}

// OK answers with data.
func OK(w http.ResponseWriter, data any) {
	answer(w, http.StatusOK, map[string]any{"result": "ok", "data": data})
}

// Refuse answers with the Supervisor's words for why not.
func Refuse(w http.ResponseWriter, message string) {
	answer(w, http.StatusBadRequest, map[string]any{"result": "error", "message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(fmt.Errorf("answering as the Supervisor: %w", err))
	}
}
