package connections

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"porchlight/presence"
)

// maxCommand bounds a command line, in bytes.
const maxCommand = 1024

// nameless is what a process is called that gave itself no name, or one that
// cannot be shown: without any it would be one that may not be seen.
const nameless = "(no name)"

// parseStat reads name and start of a process (proc_pid_stat(5)). The name may
// have blanks and brackets in it.
func parseStat(b []byte) (name string, ticks uint64, err error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return "", 0, errors.New("no name in stat")
	}
	fields := bytes.Fields(b[end+1:])
	const start = 22 - 3 // the first field after the name is the third
	if len(fields) <= start {
		return "", 0, errors.New("stat is too short")
	}
	ticks, err = strconv.ParseUint(string(fields[start]), 10, 64)
	if err != nil || ticks > 1<<40 {
		return "", 0, fmt.Errorf("start time %.30q in stat", fields[start])
	}
	return cmp.Or(presence.CleanText(string(b[open+1:end]), 64), nameless), ticks, nil
}

// parseUID reads the effective user of a process (proc_pid_status(5)).
func parseUID(b []byte) (uid uint32, ok bool) {
	for line := range bytes.Lines(b) {
		rest, is := bytes.CutPrefix(line, []byte("Uid:"))
		if fields := bytes.Fields(rest); is && len(fields) > 1 {
			n, err := strconv.ParseUint(string(fields[1]), 10, 32)
			return uint32(n), err == nil
		}
	}
	return 0, false
}

// commandLine makes one line of the arguments (proc_pid_cmdline(5)).
func commandLine(b []byte) string {
	return presence.CleanText(string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})), maxCommand)
}

// containers are how engines name a control group, and what they are called.
var containers = []struct {
	engine string
	group  *regexp.Regexp
}{
	{"docker", regexp.MustCompile(`(?:/docker[/-]|/system\.slice/docker-)([0-9a-f]{64})`)},
	{"podman", regexp.MustCompile(`/libpod-(?:conmon-|payload-)?([0-9a-f]{64})`)},
	{"containerd", regexp.MustCompile(`(?:cri-containerd|nerdctl)[-:]([0-9a-f]{64})`)},
	{"cri-o", regexp.MustCompile(`/crio-([0-9a-f]{64})`)},
	{"kubernetes", regexp.MustCompile(`/kubepods[^\n]*/([0-9a-f]{64})`)},
	{"lxc", regexp.MustCompile(`/lxc(?:\.payload)?[./]([A-Za-z0-9._-]+)`)},
	{"machine", regexp.MustCompile(`/machine\.slice/(?:machine-|systemd-nspawn@)([A-Za-z0-9._\\-]+)\.(?:scope|service)`)},
}

// containerOf finds the container in a process's control groups
// (proc_pid_cgroup(5)): engine and name, or the first 12 digits of the id as
// the engines show them.
func containerOf(cgroup []byte) string {
	for _, c := range containers {
		m := c.group.FindSubmatch(cgroup)
		if m == nil {
			continue
		}
		id := m[1]
		if len(id) == 64 {
			id = id[:12]
		}
		return c.engine + ":" + presence.CleanText(string(id), 64)
	}
	return ""
}

// parseNet reads a table of sockets: tcp, tcp6, udp or udp6 under /proc/net
// (proc_pid_net(5)). Lines that cannot be read are left out and counted.
func parseNet(r io.Reader, protocol string) (all []Connection, bad int, err error) {
	lines := bufio.NewScanner(r)
	for first := true; lines.Scan(); first = false {
		if first {
			continue
		}
		c, ok := parseNetLine(strings.Fields(lines.Text()), protocol)
		if !ok {
			bad++
			continue
		}
		all = append(all, c)
	}
	return all, bad, lines.Err()
}

func parseNetLine(fields []string, protocol string) (c Connection, ok bool) {
	if len(fields) < 10 {
		return c, false
	}
	local, ok1 := parseEnd(fields[1])
	remote, ok2 := parseEnd(fields[2])
	state, err1 := strconv.ParseUint(fields[3], 16, 8)
	tx, rx, ok3 := strings.Cut(fields[4], ":")
	send, err2 := strconv.ParseUint(tx, 16, 32)
	receive, err3 := strconv.ParseUint(rx, 16, 32)
	uid, err4 := strconv.ParseUint(fields[7], 10, 32)
	inode, err5 := strconv.ParseUint(fields[9], 10, 64)
	if !ok1 || !ok2 || !ok3 || errors.Join(err1, err2, err3, err4, err5) != nil {
		return c, false
	}
	c = Connection{
		Protocol: protocol, State: stateOf(protocol, uint8(state)), Local: local, Remote: remote,
		UID: uint32(uid), Inode: inode, Counters: Counters{SendQueue: send, ReceiveQueue: receive},
	}
	c.ends()
	return c, true
}

// parseEnd reads an address and port: hexadecimal, the address as the words of
// this machine's byte order, which is little-endian wherever this is built for.
func parseEnd(s string) (netip.AddrPort, bool) {
	addr, port, _ := strings.Cut(s, ":")
	b, err1 := hex.DecodeString(addr)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err1 != nil || err2 != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, uint16(n)), true
}

// ends makes IPv4 of IPv4-mapped addresses, and nothing of a remote end that is
// none.
func (c *Connection) ends() {
	c.Local = netip.AddrPortFrom(c.Local.Addr().Unmap(), c.Local.Port())
	c.Remote = netip.AddrPortFrom(c.Remote.Addr().Unmap(), c.Remote.Port())
	if c.Remote.Port() == 0 && (!c.Remote.Addr().IsValid() || c.Remote.Addr().IsUnspecified()) {
		c.Remote = netip.AddrPort{}
	}
}
