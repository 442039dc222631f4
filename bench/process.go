package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used so far.
type usage struct {
	at       time.Time
	cpu      time.Duration // of user and system, all threads
	resident int           // kB now
	program  int           // kB of that which are the program file's own pages
	peak     int           // kB at most so far
}

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ, 100 on Linux.
const clockTick = time.Second / 100

// usageOf reads what a process has used (proc(5)).
func usageOf(pid int) (u usage, err error) {
	u.at = time.Now()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// The second field is the name in parentheses, which may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("reading /proc/%d/stat: too short", pid)
	}
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(f)
		if err != nil {
			return u, fmt.Errorf("reading /proc/%d/stat: %w", pid, err)
		}
		u.cpu += time.Duration(n) * clockTick
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "VmRSS:":
			u.resident, err = strconv.Atoi(f[1])
		case "RssFile:":
			u.program, err = strconv.Atoi(f[1])
		case "VmHWM:":
			u.peak, err = strconv.Atoi(f[1])
		}
		if err != nil {
			return u, fmt.Errorf("reading /proc/%d/status: %w", pid, err)
		}
	}
	return u, nil
}

// share returns the share of one core that was used between a and b, in percent.
func share(a, b usage) float64 {
	return 100 * float64(b.cpu-a.cpu) / float64(b.at.Sub(a.at))
}
