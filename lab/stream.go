package lab

import (
	"context"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// tick is how often what is due is sent, 50 frames at a time at 50,000 a second.
	tick = time.Millisecond
	// maxArrears is how much of a pause is made up for.
	maxArrears = 100 * time.Millisecond
)

// paced calls send with the number of frames that are due, rate times a second,
// until ctx ends or quit is closed. It does so on a thread of its own with a high
// priority, so that the rate holds on a busy machine; enter, if not nil, is called
// on it first.
func paced(ctx context.Context, quit <-chan struct{}, rate int, enter func() error, send func(n int) error) (r FloodReport, err error) {
	done := make(chan struct{})
	ownThread(func() {
		defer close(done)
		if enter != nil {
			if err = enter(); err != nil {
				return
			}
		}
		if err = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15); err != nil {
			err = fmt.Errorf("raising the priority of the sender: %w", err)
			return
		}
		before := threadTime()
		err = r.pace(ctx, quit, rate, send)
		r.CPU = threadTime() - before
	})
	<-done
	return r, err
}

func (r *FloodReport) pace(ctx context.Context, quit <-chan struct{}, rate int, send func(n int) error) error {
	start := time.Now()
	due := 0.0
	for last := start; ctx.Err() == nil; {
		now := time.Now()
		due += float64(rate) * min(now.Sub(last), maxArrears).Seconds()
		last = now
		if err := send(int(due)); err != nil {
			return err
		}
		r.Sent += int(due)
		due -= float64(int(due))
		r.Elapsed = time.Since(start)
		select {
		case <-quit:
			return errClosed
		default:
		}
		// Not a time.Sleep, which other threads would have to end, and they
		// have no priority. An early end by a signal does no harm.
		pause := unix.NsecToTimespec(int64(tick))
		_ = unix.Nanosleep(&pause, nil)
	}
	return nil
}

// threadTime is the processor time that the calling thread has used.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// streamBatch is how many frames of a stream go into one system call.
const streamBatch = 64

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// Stream sends the frames, Ethernet headers included, from the host's interface, in
// turns and evenly spread, rate a second, and each exactly once. Programs on the
// host itself do not see them. It returns when ctx ends, without an error.
func (h *Host) Stream(ctx context.Context, rate int, frames [][]byte) (r FloodReport, err error) {
	index := 0
	err = h.ns.linked(h.iface, func(_ *netlink.Handle, link netlink.Link) error {
		index = link.Attrs().Index
		return nil
	})
	if err != nil {
		return r, err
	}
	s := &streamer{fd: -1, frames: frames}
	defer s.close()
	return paced(ctx, nil, rate, func() error {
		if err := h.ns.enter(); err != nil {
			return err
		}
		return s.open(index)
	}, s.send)
}

// streamer sends frames by the batch.
type streamer struct {
	fd     int
	frames [][]byte
	next   int

	msgs [streamBatch]mmsghdr
	iovs [streamBatch]unix.Iovec
}

// open opens a packet socket that hears nothing, and passes by the queueing
// discipline.
func (s *streamer) open(index int) (err error) {
	if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return fmt.Errorf("passing by the queue: %w", err)
	}
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
		return fmt.Errorf("binding to interface index %d: %w", index, err)
	}
	for i := range s.msgs {
		s.msgs[i].hdr.Iov = &s.iovs[i]
		s.msgs[i].hdr.SetIovlen(1)
	}
	return nil
}

func (s *streamer) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
}

// send sends n frames.
func (s *streamer) send(n int) error {
	for n > 0 {
		batch := min(n, streamBatch)
		for i := range batch {
			f := s.frames[(s.next+i)%len(s.frames)]
			s.iovs[i].Base = &f[0]
			s.iovs[i].SetLen(len(f))
		}
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msgs[0])), uintptr(batch), 0, 0, 0)
		runtime.KeepAlive(s)
		switch errno {
		case 0:
			n -= int(sent)
			s.next = (s.next + int(sent)) % len(s.frames)
		case unix.EINTR, unix.ENOBUFS, unix.EAGAIN: // none of them went
		default:
			return fmt.Errorf("sending a stream: %w", errno)
		}
	}
	return nil
}
