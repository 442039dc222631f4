package notify

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	html "html/template"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	text "text/template"
	"time"

	"porchlight/presence"
)

const (
	// maxItems is how many things one message lists.
	maxItems = 50
	// maxTitle is the longest title, in bytes.
	maxTitle = 200
)

// Message is what the templates get.
type Message struct {
	Digest bool   // several things at once, as they could not be said one by one
	Items  []Item // what happened, in order; at least one
	More   int    // how many there are besides
	Link   string // the address of the page; may be empty
}

// Item is one thing that happened. What strangers can choose (the names, the
// vendor) is cleaned, and not escaped.
type Item struct {
	presence.Event
	Headline string    // "New device: Kettle"
	When     time.Time // by the clock on the wall
	Groups   []string
	Kind     presence.DeviceKind
	Link     string // the address of the device's page, or of the program's connections; may be empty
}

// Title returns one line that says it all.
func (m Message) Title() string {
	if len(m.Items) == 1 && m.More == 0 {
		return m.Items[0].Headline
	}
	counts := map[presence.EventType]int{}
	var order []presence.EventType
	for _, i := range m.Items {
		if counts[i.Type]++; counts[i.Type] == 1 {
			order = append(order, i.Type)
		}
	}
	var parts []string
	for _, t := range order {
		parts = append(parts, fmt.Sprintf("%d %s", counts[t], plural(t, counts[t])))
	}
	title := strings.Join(parts, ", ")
	if m.More > 0 {
		title += fmt.Sprintf(", and %d more", m.More)
	}
	return title
}

// plural names n events of a type.
func plural(t presence.EventType, n int) string {
	one, many := strings.ReplaceAll(string(t), "_", " "), ""
	switch t {
	case presence.NewDevice:
		many = "new devices"
	case presence.Arrived, presence.Left:
		many = one
	case presence.SensingLost, presence.SensingBack:
		many = one
	case goneType:
		one, many = "device gone", "devices gone"
	case presence.ListenerOpened:
		one, many = "port opened", "ports opened"
	case presence.ListenerClosed:
		one, many = "port closed", "ports closed"
	case presence.NewProgramOnline:
		many = "new programs online"
	default:
		many = one + "s"
	}
	if n == 1 {
		return one
	}
	return many
}

// goneType is the type of an Item of a device that is gone for long. It is no
// event of the log.
const goneType presence.EventType = "gone"

// headline says in a line what e is.
func headline(e *presence.Event) string {
	if e.Socket != nil {
		return headlineOfSocket(e)
	}
	name := e.Name
	if name == "" {
		name = "a device"
	}
	switch e.Type {
	case presence.NewDevice:
		return "New device: " + name
	case presence.Arrived:
		return name + " is home"
	case presence.Left:
		return name + " left"
	case goneType:
		return name + " is still gone"
	case presence.AddressChanged:
		return name + " has another address"
	case presence.AddressConflict:
		return "Address conflict: " + name
	case presence.MergeSuggested:
		return "Perhaps the same device: " + name
	case presence.SensingLost:
		return "Porchlight cannot hear on " + e.Interface
	case presence.SensingBack:
		return "Porchlight hears again on " + e.Interface
	case presence.NewGuests:
		return "New guests"
	case presence.VendorChanged:
		return "Another device at an address: " + name
	case presence.ProxyFound:
		return name + " answers for others"
	case presence.NetworkScan:
		return name + " scans the network"
	case presence.SecondDHCP:
		return "Another DHCP server: " + name
	case presence.SecondRouter:
		return "Another IPv6 router: " + name
	case presence.Baseline:
		return "The first list of devices"
	}
	what := strings.ReplaceAll(string(e.Type), "_", " ")
	what = strings.ToUpper(what[:1]) + what[1:]
	if e.Name == "" {
		return what
	}
	return what + ": " + e.Name
}

// headlineOfSocket says in a line what an event about this machine is.
func headlineOfSocket(e *presence.Event) string {
	program := cmp.Or(e.Program, "A program")
	switch e.Type {
	case presence.ListenerOpened:
		return program + " began to listen on " + e.PortName()
	case presence.ListenerClosed:
		return program + " no longer listens on " + e.PortName()
	}
	return "New program online: " + program
}

//go:embed templates
var builtin embed.FS

// The templates, by the names of their files.
const (
	titleFile = "title.txt"
	textFile  = "message.txt"
	htmlFile  = "message.html"
)

// templates renders messages.
type templates struct {
	title, text *text.Template
	html        *html.Template
}

// newTemplates reads the templates, those in dir in place of our own. It tries
// each with a message of every kind, so that a fault shows at the start.
func newTemplates(dir string) (*templates, error) {
	var t templates
	names := []string{titleFile, textFile, htmlFile}
	if dir != "" && !slices.ContainsFunc(names, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return !errors.Is(err, fs.ErrNotExist)
	}) {
		return nil, fmt.Errorf("%q: there is no %s in it", dir, strings.Join(names, ", no "))
	}
	for _, name := range names {
		source, err := readTemplate(dir, name)
		if err != nil {
			return nil, err
		}
		switch name {
		case titleFile:
			t.title, err = text.New(name).Funcs(functions).Parse(source)
		case textFile:
			t.text, err = text.New(name).Funcs(functions).Parse(source)
		default:
			t.html, err = html.New(name).Funcs(functions).Parse(source)
		}
		if err != nil {
			return nil, fmt.Errorf("the template %s: %w", filepath.Join(dir, name), err)
		}
	}
	one := sample()
	for _, m := range []Message{{Items: one[:1]}, {Items: append(one, one...), Digest: true, More: 3, Link: "http://127.0.0.1:8580/"}} {
		r, err := t.render(m)
		if err != nil {
			return nil, fmt.Errorf("a template in %s: %w", dir, err)
		}
		if r.title == "" || r.text == "" {
			return nil, fmt.Errorf("a template in %s: %s or %s makes nothing of a message", dir, titleFile, textFile)
		}
	}
	return &t, nil
}

var functions = map[string]any{
	"clock": func(t time.Time) string { return t.Format("Mon 2 Jan 15:04") },
	"join":  func(list []string) string { return strings.Join(list, ", ") },
}

func readTemplate(dir, name string) (string, error) {
	if dir != "" {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			return string(b), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("reading a template: %w", err)
		}
	}
	b, err := builtin.ReadFile("templates/" + name)
	return string(b), err
}

// sample is what templates are tried with.
func sample() []Item {
	e := presence.Event{
		Type: presence.NewDevice, Time: time.Unix(1_000_000_000, 0), ID: "02005e100001", Name: "Kettle", HostName: "kettle",
		Vendor: "Example", Why: "ARP request", Devices: []presence.Found{{ID: "02005e100001", Name: "Kettle"}},
	}
	opened := presence.Event{
		Type: presence.ListenerOpened, Time: e.Time, Why: "new", Socket: &presence.Socket{Program: "nginx", User: "www-data", Protocol: "tcp", Port: 8443},
	}
	return []Item{
		{Event: e, Headline: headline(&e), When: e.Time, Groups: []string{"Kitchen"}},
		{Event: opened, Headline: headline(&opened), When: e.Time},
	}
}

// rendered is a message as services take it.
type rendered struct {
	title, text, html string
	id                string // the same each time that it is sent, of letters and digits
}

func (t *templates) render(m Message) (r rendered, err error) {
	var b bytes.Buffer
	if err := t.title.Execute(&b, m); err != nil {
		return r, err
	}
	r.title = presence.CleanText(b.String(), maxTitle) // one line: it becomes a mail's subject
	b.Reset()
	if err := t.text.Execute(&b, m); err != nil {
		return r, err
	}
	r.text = strings.TrimSpace(b.String())
	b.Reset()
	if err := t.html.Execute(&b, m); err != nil {
		return r, err
	}
	r.html = b.String()
	return r, nil
}
