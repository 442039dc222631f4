package devicelist

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"porchlight/presence"
)

// maxDepth is how deep elements may be in each other; nmap's are six deep.
const maxDepth = 32

// maxValue is after how many bytes no more is added to a field: it may come in
// any number of pieces.
const maxValue = 1 << 10

// xml reads NirSoft's and nmap's lists. Entities beyond the five of XML are an
// error, so nothing expands.
func (c *collector) xml(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // decoded already
	d.Strict = true
	c.list.Format = "NirSoft XML"
	var entry record
	var open string // the field that is being read
	for depth := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("its XML is cut off or damaged: %s", presence.CleanText(err.Error(), 200)) //nolint:errorlint // a stranger's text is in it
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return fmt.Errorf("its elements are more than %d deep in each other", maxDepth)
			}
			open = field(t.Name.Local)
			switch t.Name.Local {
			case "nmaprun":
				c.list.Format = "nmap XML"
			case "host", "item":
				entry = record{}
			case "address", "hostname":
				entry.nmap(t)
				open = ""
			}
		case xml.CharData:
			if entry != nil && wanted(open) && len(entry[open]) < maxValue {
				entry[open] += string(t)
			}
		case xml.EndElement:
			depth--
			open = ""
			if t.Name.Local == "host" || t.Name.Local == "item" {
				c.take(entry)
				entry = nil
			}
		}
	}
}

func wanted(name string) bool {
	return slices.Contains(macFields, name) || slices.Contains(nameFields, name)
}

// nmap takes an element of nmap: <address addr="…" addrtype="mac"/>, <hostname
// name="…"/>. A host name is a domain name; the device is its first label.
func (r record) nmap(e xml.StartElement) {
	if r == nil {
		return
	}
	attrs := map[string]string{}
	for _, a := range e.Attr {
		attrs[a.Name.Local] = a.Value
	}
	switch {
	case e.Name.Local == "address" && attrs["addrtype"] == "mac":
		r["mac"] = attrs["addr"]
	case e.Name.Local == "hostname" && r["name"] == "":
		r["name"] = presence.CleanHostName(attrs["name"])
	}
}
