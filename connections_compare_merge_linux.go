package main

import (
	"iter"
	"net/netip"
	"strings"
)

// likeFlow is what flows that are one row have in common.
type likeFlow struct {
	protocol, program, how, why string
	local, remote               netip.AddrPort
	pid, remotePID              int
}

// like leaves out the port that a client was given, and numbers in what is said.
func (l *flowLine) like() likeFlow {
	key := likeFlow{
		l.Protocol, l.Program, l.How, strings.Map(letters, l.Why),
		netip.AddrPortFrom(l.Local, l.LocalPort), netip.AddrPortFrom(l.Remote, l.RemotePort), l.PID, l.RemotePID,
	}
	if l.Opened == "remote" || l.Opened == "" && l.LocalPort < l.RemotePort {
		key.remote = netip.AddrPortFrom(l.Remote, 0)
	} else {
		key.local = netip.AddrPortFrom(l.Local, 0)
	}
	return key
}

// likeScan leaves out both ports, of what a stranger tried.
func (l *flowLine) likeScan() (key likeFlow, is bool) {
	if l.Opened != "remote" || l.How != "" || l.Meanwhile > 0 {
		return key, false
	}
	key = l.like()
	key.local = netip.AddrPortFrom(l.Local, 0)
	return key, true
}

// fewPorts is how many flows of one stranger have a row for each port that was
// tried. A scan has thousands, and would hide all else.
const fewPorts = 8

// merge makes one line of those that differ only by the port that a client was
// given, of scans by any port, and by numbers in what is said of them. It returns
// the first most of them, 0 or less for all, and how many there are.
func merge(all iter.Seq[flowLine], most int) (few []flowLine, rows int) {
	tried := map[likeFlow]int{}
	for l := range all {
		if key, is := l.likeScan(); is {
			tried[key]++
		}
	}
	at := map[likeFlow]int{}
	for l := range all {
		key := l.like()
		if scan, is := l.likeScan(); is && tried[scan] > fewPorts {
			key = scan
		}
		i, is := at[key]
		if !is || l.flows == 0 {
			at[key] = rows
			if rows++; most <= 0 || rows <= most {
				few = append(few, l)
			}
			continue
		}
		if i >= len(few) {
			continue
		}
		m := &few[i]
		m.LocalPort, m.RemotePort = key.local.Port(), key.remote.Port()
		m.flows += l.flows
		m.Sent, m.Received = m.Sent+l.Sent, m.Received+l.Received
		if l.First.Before(m.First) {
			m.First = l.First
		}
		if l.Last.After(m.Last) {
			m.Last = l.Last
		}
	}
	return few, rows
}
