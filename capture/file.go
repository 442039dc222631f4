package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"porchlight/presence"
)

const (
	// maxRecord is the longest frame of a capture file: libpcap's own limit.
	maxRecord = 256 << 10
	// maxStep is how many bytes of a file one record may take, blocks to be
	// skipped included, so that a length made up by the file's author cannot
	// claim memory without end.
	maxStep = 8 << 20
	// maxInterfaces and maxNames bound what a pcapng file may declare.
	maxInterfaces = 1024
	maxNames      = 100_000

	maxInterfaceName = 32 // bytes
	readBuffer       = 64 << 10
)

// File reads a capture file record by record: pcap (microseconds and
// nanoseconds) and pcapng (draft-ietf-opsawg-pcapng), in either byte order,
// plain or compressed by gzip or zstd. It keeps one record in memory.
type File struct {
	name     string
	ethernet bool // nothing else is wanted
	closer   io.Closer
	unpacked func()   // ends the unpacking
	file     *counter // what was read of the file
	source   *meter   // what was read of its content
	reader   gopacket.ZeroCopyPacketDataSource
	ng       *pcapgo.NgReader // the reader, when the file is pcapng
	link     layers.LinkType  // when it is pcap

	records int   // read so far
	end     error // why there are no more

	// The last answer of interfaceName, as most files name one interface only.
	lastIndex         int
	lastRaw, lastName string
}

// Record is one captured frame.
type Record struct {
	At        time.Time // UTC, as precise as the file
	Interface string    // as the file names it; "if0" and so on when it does not
	Link      layers.LinkType
	Length    int    // bytes on the wire, of which Raw may be the first
	Raw       []byte // from the link's header on; valid until the next call of Next
}

// OpenFile opens the capture file at path, which must be of Ethernet; "-" is
// standard input. An error is one line that names the file and what is wrong
// with it.
func OpenFile(path string) (*File, error) { return openFile(path, true) }

// OpenAny is OpenFile for a capture file of any link types that Record.Frame
// reads. In a pcapng file there may be others too, of which Frame says so.
func OpenAny(path string) (*File, error) { return openFile(path, false) }

func openFile(path string, ethernet bool) (*File, error) {
	if path == "-" {
		return newFile("standard input", os.Stdin, io.NopCloser(nil), ethernet)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening capture: %w", err)
	}
	file, err := newFile(path, f, f, ethernet)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file, nil
}

func newFile(name string, r io.Reader, c io.Closer, ethernet bool) (*File, error) {
	f := &File{name: name, ethernet: ethernet, closer: c, unpacked: func() {}, file: &counter{r: r}}
	if err := f.readHeader(); err != nil {
		f.unpacked()
		return nil, fmt.Errorf("reading capture %q: %w", name, err)
	}
	return f, nil
}

// Close closes the file; standard input stays open.
func (f *File) Close() error {
	f.unpacked()
	return f.closer.Close()
}

// BytesRead returns how many bytes of the file were read so far, as it is stored.
func (f *File) BytesRead() int64 { return f.file.read }

// Next returns the next record, or io.EOF after the last. A file that ends
// within a record (its writer was stopped) gives an error that is
// io.ErrUnexpectedEOF; the records before it are good. After an error there is
// nothing more to read.
func (f *File) Next() (Record, error) {
	if f.end != nil {
		return Record{}, f.end
	}
	f.source.budget = maxStep
	raw, info, err := f.reader.ZeroCopyReadPacketData()
	if err == nil {
		err = f.check(raw, info)
	}
	if err != nil {
		f.end = f.explain(err, info)
		return Record{}, f.end
	}
	f.records++
	return Record{
		At: info.Timestamp, Interface: f.interfaceName(info.InterfaceIndex), Link: f.linkOf(info), Length: max(info.Length, len(raw)), Raw: raw,
	}, nil
}

// explain says where reading a record failed.
func (f *File) explain(err error, info gopacket.CaptureInfo) error {
	switch {
	case errors.Is(err, io.EOF) && info.CaptureLength == 0:
		return io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("reading capture %q: it ends at byte %d, within record %d: %w",
			f.name, f.source.read, f.records+1, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reading capture %q, record %d: %w", f.name, f.records+1, err)
}

// The first four bytes of each format; pcap's in both byte orders.
const (
	magicPcapng = "\x0a\x0d\x0d\x0a"
	magicMicro  = "\xa1\xb2\xc3\xd4"
	magicMicroR = "\xd4\xc3\xb2\xa1"
	magicNano   = "\xa1\xb2\x3c\x4d"
	magicNanoR  = "\x4d\x3c\xb2\xa1"
)

// readHeader finds out the format and reads up to the first record.
func (f *File) readHeader() error {
	content, err := f.unpack(bufio.NewReaderSize(f.file, readBuffer))
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	f.source = &meter{r: content, budget: maxStep} // what counts is the unpacked size
	buffered := bufio.NewReaderSize(f.source, readBuffer)
	magic, err := buffered.Peek(4)
	switch string(magic) {
	case magicPcapng:
		return f.openNg(buffered)
	case magicMicro, magicMicroR, magicNano, magicNanoR:
		return f.openPcap(buffered)
	case "":
		if err == nil || errors.Is(err, io.EOF) {
			return errors.New("the file is empty")
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("not a pcap or pcapng file: it begins with % x", magic)
}

func (f *File) openPcap(r io.Reader) error {
	p, err := pcapgo.NewReader(r)
	if err != nil {
		return fmt.Errorf("its pcap header: %w", err)
	}
	p.SetSnaplen(maxRecord) // some writers state less than they write
	f.reader, f.link = p, p.LinkType()
	return f.checkLinkType(f.link)
}

func (f *File) openNg(r io.Reader) error {
	ng, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return fmt.Errorf("its pcapng header: %w", err)
	}
	f.reader, f.ng = ng, ng
	return nil
}

// check refuses what nothing can be made of.
func (f *File) check(raw []byte, info gopacket.CaptureInfo) error {
	if len(raw) > maxRecord {
		return fmt.Errorf("a frame of %d bytes; at most %d are possible", len(raw), maxRecord)
	}
	if info.Timestamp.IsZero() {
		return errors.New("a frame without a time (a pcapng simple packet block); capture with times")
	}
	if y := info.Timestamp.Year(); y < 1970 || y > 2200 {
		return fmt.Errorf("a frame with an impossible time, in the year %d", y)
	}
	if f.ng == nil {
		return nil
	}
	if f.ng.NInterfaces() > maxInterfaces || f.ng.NNames() > maxNames {
		return errors.New("more interfaces or names than a capture can have")
	}
	if f.ethernet {
		return f.checkLinkType(f.linkOf(info))
	}
	return nil
}

// linkOf is the link type of a record.
func (f *File) linkOf(info gopacket.CaptureInfo) layers.LinkType {
	if f.ng == nil {
		return f.link
	}
	link, _ := info.AncillaryData[0].(layers.LinkType)
	return link
}

func (f *File) checkLinkType(t layers.LinkType) error {
	switch {
	case t == layers.LinkTypeEthernet, !f.ethernet && readable(t):
		return nil
	case !f.ethernet:
		return fmt.Errorf("link type %s (%d) cannot be read: capture on a network interface (tcpdump -i eth0, or any)", t, t)
	case t == layers.LinkTypeLinuxSLL, t == layers.LinkTypeLinuxSLL2:
		return fmt.Errorf("link type %s (%d), not Ethernet: capture on one interface (tcpdump -i eth0), not on \"any\"", t, t)
	}
	return fmt.Errorf("link type %s (%d), not Ethernet: only Ethernet captures can be read", t, t)
}

func (f *File) interfaceName(index int) string {
	var raw string
	if f.ng != nil {
		if iface, err := f.ng.Interface(index); err == nil {
			raw = iface.Name
		}
	}
	if f.lastName == "" || index != f.lastIndex || raw != f.lastRaw {
		f.lastIndex, f.lastRaw = index, raw
		f.lastName = presence.CleanText(raw, maxInterfaceName)
		if f.lastName == "" {
			f.lastName = "if" + strconv.Itoa(index)
		}
	}
	return f.lastName
}

var errBudget = fmt.Errorf("a record or block of more than %d MiB; the file is damaged", maxStep>>20)

// counter counts what is read.
type counter struct {
	r    io.Reader
	read int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += int64(n)
	return n, err
}

// meter counts what is read and stops it at the budget.
type meter struct {
	r      io.Reader
	read   int64
	budget int64
}

func (m *meter) Read(p []byte) (int, error) {
	if m.budget <= 0 {
		return 0, errBudget
	}
	n, err := m.r.Read(p[:min(int64(len(p)), m.budget)])
	m.read += int64(n)
	m.budget -= int64(n)
	return n, err
}
