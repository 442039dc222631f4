package leases

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"porchlight/follow"
	"porchlight/presence"
)

// Limits of a file. A lease takes 60 to 300 bytes, a home has some dozens.
const (
	maxFile    = 16 << 20 // bytes
	maxLine    = 8 << 10  // bytes; a longer line is left out
	maxEntries = 16384    // names and addresses; more are left out
)

// Format is what a file was recognised as.
type Format string

// The formats. An empty file has none.
const (
	Dnsmasq Format = "dnsmasq" // Pi-hole's too
	Kea     Format = "kea"     // the CSV files of the memfile backend
	Dhcpd   Format = "dhcpd"   // ISC's and OpenBSD's
	Hosts   Format = "hosts"
)

// File is what stands in a file.
type File struct {
	Format  Format
	Told    []presence.Told // in order: of two about one device the later counts
	LeftOut int             // lines that make no sense, or for which there is no room
	Whole   bool            // it ends with the end of a line; one that is just being written may not
}

// Names returns how many of the entries have a name.
func (f File) Names() (n int) {
	for _, t := range f.Told {
		if t.Name != "" {
			n++
		}
	}
	return n
}

var errFormat = errors.New("this is no lease file of dnsmasq, Pi-hole, Kea or dhcpd")

// ReadLeases reads a lease file; its format is recognised from its content. Of
// Kea it also reads what the clean-up of the file has left beside it.
func ReadLeases(path string) (File, error) { return read(path, false) }

// ReadHosts reads a hosts file.
func ReadHosts(path string) (File, error) { return read(path, true) }

// parser reads one format. Parsers take lines of any content.
type parser interface {
	// line takes the next line, without its end, and reports whether it makes sense.
	line(text string) bool
	// told returns what stands in all lines so far.
	told() []presence.Told
}

func read(path string, hosts bool) (File, error) {
	r, files, err := reader{}, []string{path}, error(nil)
	if hosts {
		r.file.Format, r.parser = Hosts, newHosts()
	} else if r.file.Format, r.parser, err = recogniseFile(path); r.file.Format == Kea {
		files = keaFiles(path)
	}
	for _, file := range files {
		if err == nil {
			err = r.take(file)
		}
		if errors.Is(err, fs.ErrNotExist) && file != path {
			err = nil
		}
	}
	switch {
	case err == nil && r.parser == nil && r.file.LeftOut > 0:
		err = errFormat
	case err == nil && r.parser != nil:
		r.file.Told = r.parser.told()
	}
	if err != nil {
		return File{}, fmt.Errorf("reading %q: %w", path, err)
	}
	return r.file, nil
}

// reader takes one file, or several that belong together, line by line.
type reader struct {
	file   File
	parser parser // nil until the format is known
}

// take reads a file to its end.
func (r *reader) take(path string) error {
	r.file.Whole = false
	return eachLine(path, func(line string, whole bool, err error) (more bool) {
		whole = whole || r.file.Format == Hosts // people leave out the last line's end, programs do not
		r.file.Whole = whole
		switch {
		case err != nil:
			r.file.LeftOut++
		case blank(line):
		case !whole:
		case r.parser == nil || !r.parser.line(line):
			r.file.LeftOut++
		}
		return true
	})
}

// recogniseFile tells the format by the first line that has one.
func recogniseFile(path string) (format Format, p parser, err error) {
	err = eachLine(path, func(line string, _ bool, _ error) (more bool) {
		format, p = recognise(line)
		return p == nil
	})
	return format, p, err
}

// eachLine calls f with each line of a file, without its end, until it has
// enough. whole is whether the line has an end; err is errLineTooLong or nil.
func eachLine(path string, f func(line string, whole bool, err error) (more bool)) error {
	file, err := follow.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || info.Size() > maxFile {
		return cmp.Or(err, errTooLarge)
	}
	limited := &io.LimitedReader{R: file, N: maxFile + 1}
	lines := bufio.NewReaderSize(limited, maxLine)
	for {
		line, whole, err := nextLine(lines)
		switch {
		case limited.N <= 0: // it has grown since it was opened
			return errTooLarge
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, errLineTooLong):
			return err
		case !f(line, whole, err):
			return nil
		}
	}
}

// recognise tells the format by a line, if it can.
func recognise(line string) (Format, parser) {
	switch {
	case isKea(line):
		return Kea, newKea()
	case isDhcpd(line):
		return Dhcpd, newDhcpd()
	case isDnsmasq(line):
		return Dnsmasq, newDnsmasq()
	}
	return "", nil
}

var (
	errTooLarge    = fmt.Errorf("it is larger than %d MB", maxFile>>20)
	errLineTooLong = errors.New("line too long")
)

// nextLine returns the next line without its end; whole is whether it has one.
func nextLine(r *bufio.Reader) (line string, whole bool, err error) {
	b, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if err == nil || errors.Is(err, io.EOF) {
			return "", err == nil, errLineTooLong
		}
		return "", false, err
	}
	switch {
	case errors.Is(err, io.EOF) && len(b) > 0:
		return string(b), false, nil
	case err != nil:
		return "", false, err
	}
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return string(b), true, nil
}
