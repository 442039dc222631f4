package web

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/netip"
	"path"
	"reflect"
	"strings"
	"time"

	"porchlight/presence"
)

type object = map[string]any

// openAPI serves the description of the API (OpenAPI 3.1), which is made from
// the endpoints and the types of what they return.
func (p *pages) openAPI() http.Handler {
	b, err := json.MarshalIndent(describe(p.endpoints(), p.cfg.Version), "", "  ")
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			http.Error(w, "the description cannot be made", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b)
	})
}

func describe(endpoints []endpoint, version string) object {
	schemas := object{"Error": object{
		"type": "object", "required": []string{"error"}, "properties": object{"error": object{"type": "string"}},
	}}
	paths := object{}
	for _, e := range endpoints {
		method, at, _ := strings.Cut(e.pattern, " ")
		item, ok := paths[at].(object)
		if !ok {
			item = object{}
			paths[at] = item
		}
		item[strings.ToLower(method)] = e.describe(at, schemas)
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Porchlight", "version": cmp.Or(version, "dev"), "description": "Who is home, and who was."},
		"servers": []object{{"url": "../../"}},
		"paths":   paths,
		"components": object{
			"schemas": schemas,
			"securitySchemes": object{
				"password": object{"type": "http", "scheme": "basic", "description": "PORCHLIGHT_WEB_PASSWORD, with any user name"},
				"session":  object{"type": "apiKey", "in": "cookie", "name": cookieName},
			},
		},
		"security": []object{{}, {"password": []string{}}, {"session": []string{}}},
	}
}

func (e *endpoint) describe(at string, schemas object) object {
	failure := object{"description": "It could not be done.", "content": object{
		"application/json": object{"schema": object{"$ref": "#/components/schemas/Error"}},
	}}
	responses := object{"default": failure}
	if e.returns == nil {
		responses["204"] = object{"description": "Done."}
	} else {
		responses["200"] = object{"description": "The answer.", "content": object{
			"application/json": object{"schema": schemaOf(reflect.TypeOf(e.returns), schemas)},
		}}
	}
	params := []object{}
	if strings.Contains(at, "{id}") {
		params = append(params, object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}, "description": "the device's id: twelve hexadecimal digits"})
	}
	if strings.Contains(at, "{n}") {
		params = append(params, object{"name": "n", "in": "path", "required": true, "schema": object{"type": "string"}, "description": "the snapshot's number"})
	}
	for _, q := range e.query {
		params = append(params, object{"name": q.name, "in": "query", "schema": object{"type": "string"}, "description": q.means})
	}
	operation := object{"summary": e.summary, "parameters": params, "responses": responses}
	if e.body != nil {
		operation["requestBody"] = object{"required": true, "content": object{
			"application/json": object{"schema": schemaOf(reflect.TypeOf(e.body), schemas)},
		}}
	}
	return operation
}

// schemaOf describes the JSON form of t. Named structs go into schemas.
func schemaOf(t reflect.Type, schemas object) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[presence.MAC]():
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []object{schemaOf(t.Elem(), schemas), {"type": "null"}}}
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case reflect.Struct:
		name := t.Name()
		if t.PkgPath() != reflect.TypeFor[Device]().PkgPath() {
			room := path.Base(t.PkgPath())
			name = strings.ToUpper(room[:1]) + room[1:] + name
		}
		if _, known := schemas[name]; !known {
			schemas[name] = object{} // a type may hold itself
			schemas[name] = structSchema(t, schemas)
		}
		return object{"$ref": "#/components/schemas/" + name}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.String:
		return object{"type": "string"}
	}
	return object{"type": "integer"}
}

func structSchema(t reflect.Type, schemas object) object {
	properties, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" {
			continue
		}
		properties[name] = schemaOf(f.Type, schemas)
		if !strings.Contains(options, "omit") && t != reflect.TypeFor[Change]() {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
