package capture

import (
	"bufio"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	magicGzip = "\x1f\x8b"         // RFC 1952, section 2.3.1
	magicZstd = "\x28\xb5\x2f\xfd" // RFC 8878, section 3.1.1

	// A frame without content, as pzstd writes one before each other, begins with one
	// of the 16 bytes from skipFrom on, and these (RFC 8878, section 3.1.2).
	magicSkip = "\x2a\x4d\x18"
	skipFrom  = 0x50
)

// maxWindow is how much memory a zstd file may claim to be unpacked, in bytes:
// what zstd -20 --ultra asks for. Those for more want --long=25 to be packed.
const maxWindow = 32 << 20

// unpack returns what reads the content of a file that may be compressed.
func (f *File) unpack(r *bufio.Reader) (io.Reader, error) {
	magic, _ := r.Peek(4) // a file that cannot be read fails at its first record
	switch {
	case len(magic) >= 2 && string(magic[:2]) == magicGzip:
		return gzip.NewReader(r)
	case isZstd(magic):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		f.unpacked = z.Close
		return z, nil
	}
	return r, nil
}

func isZstd(magic []byte) bool {
	return string(magic) == magicZstd || len(magic) == 4 && magic[0]&^15 == skipFrom && string(magic[1:]) == magicSkip
}
