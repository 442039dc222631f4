package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

// call sends a request as a program does.
func call(h http.Handler, method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost:8580"
	r.Header.Set("Content-Type", "application/json")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// placed is a path of the API with something that is there in its places.
func placed(path string) string {
	return strings.NewReplacer("{id}", "026f1e10007c", "{n}", "3").Replace(path)
}

func apiHouse(t *testing.T) (*household, http.Handler) {
	now := time.Now()
	h := family(now)
	h.devices[2].Groups = []string{"Kids"}
	h.devices[1].FromFile = []string{"name"}
	h.summary.Problems = []string{"the disk is full"}
	h.learned.Bins = []presence.SilenceBin{{UpTo: time.Minute, Slept: 3}}
	return h, handler(t, Config{Source: h, Commands: h, History: past(t, life(now)...), Connections: server(now), Traffic: metered(now, "docker0"), Version: "1.2.3"})
}

// TestOpenAPI holds the description against what the endpoints answer.
func TestOpenAPI(t *testing.T) {
	_, page := apiHouse(t)
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ Responses map[string]any }
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(ask(page, "/api/v1/openapi.json").Body.Bytes(), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatal(doc.OpenAPI, err)
	}
	p := &pages{}
	for _, e := range p.endpoints() {
		method, path, _ := strings.Cut(e.pattern, " ")
		operation, ok := doc.Paths[path][strings.ToLower(method)]
		if !ok {
			t.Errorf("%s is not described", e.pattern)
			continue
		}
		url, body := placed(path), ""
		if strings.Contains(path, "absences") || strings.Contains(path, "sessions") || strings.Contains(path, "first-seen") || strings.Contains(path, "gaps") {
			url += "?from=30d"
		}
		switch {
		case method == http.MethodPatch:
			body = `{"name":"Kettle"}`
		case strings.HasSuffix(path, "/filter"):
			url += "?program=nginx"
		case strings.HasSuffix(path, "/merge"):
			body = `{"id":"001132aabb01"}`
		case strings.HasSuffix(path, "/split"):
			body = `{"mac":"00:11:32:aa:bb:01"}`
		}
		w := call(page, method, url, body)
		response, ok := operation.Responses[fmt.Sprint(w.Code)].(map[string]any)
		if !ok {
			t.Errorf("%s answers %d, which is not described: %s", e.pattern, w.Code, w.Body)
			continue
		}
		if w.Code == http.StatusNoContent {
			continue
		}
		var got any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v: %s", e.pattern, err, w.Body)
		}
		if list, ok := got.([]any); ok && len(list) == 0 && !strings.HasSuffix(path, "leases") {
			t.Errorf("%s answers nothing, so nothing is tested", e.pattern)
		}
		schema := response["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
		for _, wrong := range check(e.pattern, got, schema, doc.Components.Schemas) {
			t.Error(wrong)
		}
	}
	described := 0
	for _, methods := range doc.Paths {
		described += len(methods)
	}
	if described != len(p.endpoints()) {
		t.Errorf("%d operations are described, there are %d", described, len(p.endpoints()))
	}
}

// check holds a JSON value against a schema, of which it knows what is used.
func check(at string, v, schema any, all map[string]any) (wrong []string) {
	s := schema.(map[string]any)
	if ref, ok := s["$ref"].(string); ok {
		return check(at, v, all[strings.TrimPrefix(ref, "#/components/schemas/")], all)
	}
	if either, ok := s["anyOf"].([]any); ok {
		if v == nil {
			return nil
		}
		return check(at, v, either[0], all)
	}
	kind := map[reflect.Kind]string{
		reflect.Map: "object", reflect.Slice: "array", reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number",
	}[reflect.ValueOf(v).Kind()]
	if want := s["type"]; kind != want && (kind != "number" || want != "integer") {
		return []string{fmt.Sprintf("%s is %v (%s), want %v", at, v, kind, want)}
	}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			wrong = append(wrong, check(fmt.Sprintf("%s[%d]", at, i), e, s["items"], all)...)
		}
	case map[string]any:
		properties := s["properties"].(map[string]any)
		for name, e := range v {
			if properties[name] == nil {
				wrong = append(wrong, fmt.Sprintf("%s.%s is not described", at, name))
				continue
			}
			wrong = append(wrong, check(at+"."+name, e, properties[name], all)...)
		}
		for _, name := range s["required"].([]any) {
			if _, there := v[name.(string)]; !there {
				wrong = append(wrong, fmt.Sprintf("%s.%s is missing", at, name))
			}
		}
	case string:
		if _, err := time.Parse(time.RFC3339, v); s["format"] == "date-time" && err != nil {
			wrong = append(wrong, fmt.Sprintf("%s is %q", at, v))
		}
	}
	return wrong
}

// TestChangeIsDescribed: the API takes what is described, and no more.
func TestChangeIsDescribed(t *testing.T) {
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Change]()) {
		names = append(names, f.Tag.Get("json"))
	}
	slices.Sort(names)
	if diff := cmp.Diff(presence.ChangeFields(), names); diff != "" {
		t.Error(diff)
	}
}

func TestAPIChanges(t *testing.T) {
	h, page := apiHouse(t)
	const phone, tv = "/api/v1/devices/026f1e10007c", "/api/v1/devices/a4307a010204"
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		done               string
	}{
		"set":            {"PATCH", phone, `{"name":"x","groups":["a"]}`, 200, "set 026f1e10007c [name groups]"},
		"wrong":          {"PATCH", phone, `{"name":1}`, 422, ""},
		"unknown":        {"PATCH", phone, `{"nmae":"x"}`, 422, ""},
		"no JSON":        {"PATCH", phone, `name=x`, 422, ""},
		"too long":       {"PATCH", phone, `{"name":"` + strings.Repeat("x", maxBody) + `"}`, 413, ""},
		"nobody":         {"PATCH", "/api/v1/devices/ffffffffffff", `{}`, 404, ""},
		"forget":         {"DELETE", phone, "", 204, "forget 026f1e10007c"},
		"in the file":    {"DELETE", tv, "", 409, ""},
		"forget nobody":  {"DELETE", "/api/v1/devices/x", "", 404, ""},
		"merge":          {"POST", phone + "/merge", `{"id":"001132aabb01"}`, 200, "merge 026f1e10007c[001132aabb01]"},
		"merge nothing":  {"POST", phone + "/merge", `{}`, 422, ""},
		"split":          {"POST", phone + "/split", `{"mac":"00:11:32:aa:bb:01"}`, 200, "split 026f1e10007c[00:11:32:aa:bb:01]"},
		"split nothing":  {"POST", phone + "/split", `{"mac":"x"}`, 422, ""},
		"scan":           {"POST", "/api/v1/scan", "", 204, "scan"},
		"wrong method":   {"POST", phone, "", 405, ""},
		"scan by GET":    {"GET", "/api/v1/scan", "", 405, ""},
		"no such part":   {"GET", "/api/v1/x", "", 404, ""},
		"from after to":  {"GET", "/api/v1/gaps?from=1h&to=2h", "", 400, ""},
		"too long ago":   {"GET", "/api/v1/gaps?from=500d", "", 400, ""},
		"no time":        {"GET", "/api/v1/home?at=noon", "", 400, ""},
		"no number":      {"GET", "/api/v1/events?limit=many", "", 400, ""},
		"too many":       {"GET", "/api/v1/events?limit=100000", "", 400, ""},
		"a negative one": {"GET", "/api/v1/events?after=-1", "", 400, ""},
	} {
		h.done = nil
		w := call(page, test.method, test.path, test.body)
		var done string
		if len(h.done) > 0 {
			done = h.done[0]
		}
		if w.Code != test.status || done != test.done {
			t.Errorf("%s: status %d, done %q: %s", name, w.Code, done, w.Body)
		}
		var wrong struct{ Error string }
		if w.Code >= 400 && w.Code != 404 && w.Code != 405 && (json.Unmarshal(w.Body.Bytes(), &wrong) != nil || wrong.Error == "" || strings.Contains(wrong.Error, "\n")) {
			t.Errorf("%s: the error is %s", name, w.Body)
		}
	}
	h.done = nil
	form := func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }
	if w := call(page, "PATCH", phone, `{"name":"x"}`, form); w.Code != http.StatusUnsupportedMediaType || len(h.done) > 0 {
		t.Errorf("as a form can send it: status %d, done %q", w.Code, h.done)
	}
}

func TestAPIAnswers(t *testing.T) {
	_, page := apiHouse(t)
	names := func(path, field string) (all []string) {
		var list []map[string]any
		w := ask(page, path)
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
			t.Fatalf("%s: %s", path, w.Body)
		}
		for _, v := range list {
			all = append(all, fmt.Sprint(v[field]))
		}
		return all
	}
	for path, want := range map[string][]string{
		"/api/v1/devices?state=home|name":                         {"Anna's phone", "nas"},
		"/api/v1/devices?group=kids|id":                           {"026f1e10007c"},
		"/api/v1/groups|slug":                                     {"kids"},
		"/api/v1/events?device=nas|event_type":                    {"new_device", "arrived"},
		"/api/v1/events?type=left&type=sensing_lost|seq":          {"5", "6"},
		"/api/v1/events?limit=2|seq":                              {"7", "8"},
		"/api/v1/events?after=0&limit=2|seq":                      {"1", "2"},
		"/api/v1/events?from=4h|seq":                              {"8"},
		"/api/v1/events?device=nobody|seq":                        nil,
		"/api/v1/home|id":                                         {"001132aabb01", "026f1e10007c"},
		"/api/v1/home?at=20h|id":                                  {"001132aabb01"},
		"/api/v1/devices/026f1e10007c/sessions?from=7d|why_ended": {"no answer to 6 probes", "<nil>"},
		"/api/v1/devices/026f1e10007c/sessions|why_began":         {"ARP probe <b>heard</b>"},
		"/api/v1/gaps?from=7d|kind":                               {"blind"},
	} {
		path, field, _ := strings.Cut(path, "|")
		if diff := cmp.Diff(want, names(path, field)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

// TestAPINeedsThePassword: nothing of it is open.
func TestAPINeedsThePassword(t *testing.T) {
	page := handler(t, Config{Source: family(time.Now()), Password: "let me in", History: past(t)})
	p := &pages{}
	for _, e := range append(p.endpoints(), endpoint{pattern: "GET /api/v1/openapi.json"}) {
		method, path, _ := strings.Cut(e.pattern, " ")
		if w := call(page, method, placed(path), "{}"); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: status %d", e.pattern, w.Code)
		}
	}
}
