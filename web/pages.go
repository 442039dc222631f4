package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// pages renders what people look at. Each page is the frame of layout.html
// around a template of its own.
type pages struct {
	cfg       Config
	looks     *looks
	buckets   *buckets
	templates map[string]*template.Template // by file name
}

// shared are the templates that others use.
var shared = []string{"templates/layout.html", "templates/past.html", "templates/machine.html"}

func newPages(cfg Config) (*pages, error) {
	p := &pages{cfg: cfg, looks: &looks{source: cfg.Connections}, buckets: &buckets{source: cfg.Traffic}, templates: map[string]*template.Template{}}
	entries, err := files.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := path.Join("templates", e.Name())
		if slices.Contains(shared, name) {
			continue
		}
		t, err := template.ParseFS(files, append(slices.Clone(shared), name)...)
		if err != nil {
			return nil, err
		}
		p.templates[e.Name()] = t
	}
	return p, nil
}

// layout is what every page shows around itself.
type layout struct {
	Title   string
	Root    string // leads from this page to the root, as "../"; may be empty
	Here    string // the entry of the navigation that this is
	Version string
	Login   bool // there is a session that can be ended
	Fault   string
	Beat    int // after how many seconds it is fetched again; 0: as usual
}

func (p *pages) layout(r *http.Request, title, here string) layout {
	return layout{
		Title: title, Root: rootOf(r), Here: here, Version: p.cfg.Version,
		Login: here != "" && p.cfg.Password != "",
	}
}

// rootOf leads from the page that r asks for to the root, by a relative URL.
func rootOf(r *http.Request) string {
	return strings.Repeat("../", strings.Count(r.URL.Path, "/")-1)
}

// buffers are for pages to be rendered into: the largest have megabytes.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// render writes a page, whole or not at all.
func (p *pages) render(w http.ResponseWriter, status int, name string, view any) {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if err := p.templates[name].ExecuteTemplate(b, "layout.html", view); err != nil {
		p.cfg.Log.Error("the page cannot be rendered", "page", name, "err", err)
		http.Error(w, "the page cannot be rendered; see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// fault is a page that says, in one line, why there is nothing else on it.
func (p *pages) fault(w http.ResponseWriter, r *http.Request, status int, title string, err error) {
	v := p.layout(r, title, "none")
	v.Fault = err.Error()
	p.render(w, status, "fault.html", v)
}

// limit bounds how long a page may take to gather what it shows.
func limit(next func(http.ResponseWriter, *http.Request)) http.Handler {
	return limitTo(sourceTime, next)
}

func limitTo(most time.Duration, next func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), most)
		defer cancel()
		next(w, r.WithContext(ctx))
	})
}

// newAsset returns the handler of a file that comes with the program.
func newAsset(name string) (http.Handler, error) {
	b, err := files.ReadFile(path.Join("static", name))
	if err != nil {
		return nil, fmt.Errorf("the file %s of the page: %w", name, err)
	}
	sum := sha256.Sum256(b)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache") // ask each time whether it has changed
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
	}), nil
}
