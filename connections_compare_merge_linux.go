package main

import "strings"

// likeFlow is what flows that are one row have in common.
type likeFlow struct {
	flowLine
	why string
}

// like leaves out the port that a client was given, and numbers in what is said.
func (l *flowLine) like() likeFlow {
	key := likeFlow{flowLine{Protocol: l.Protocol, Local: l.Local, LocalPort: l.LocalPort, Remote: l.Remote, RemotePort: l.RemotePort, Program: l.Program, PID: l.PID, RemotePID: l.RemotePID, How: l.How}, strings.Map(letters, l.Why)}
	if l.Opened == "remote" || l.Opened == "" && l.LocalPort < l.RemotePort {
		key.RemotePort = 0
	} else {
		key.LocalPort = 0
	}
	return key
}

// likeScan leaves out both ports, of what a stranger tried.
func (l *flowLine) likeScan() (key likeFlow, is bool) {
	key = l.like()
	key.LocalPort, key.RemotePort = 0, 0
	return key, l.Opened == "remote" && l.How == "" && l.Meanwhile == 0
}

// fewPorts is how many flows of one stranger have a row for each port that was
// tried. A scan has thousands, and would hide all else.
const fewPorts = 8

// merge makes one line of those that differ only by the port that a client was
// given, of scans by any port, and by numbers in what is said of them.
func merge(all []flowLine) (few []flowLine) {
	tried := map[likeFlow]int{}
	for i := range all {
		if key, is := all[i].likeScan(); is {
			tried[key]++
		}
	}
	at := map[likeFlow]int{}
	for _, l := range all {
		key := l.like()
		if scan, is := l.likeScan(); is && tried[scan] > fewPorts {
			key = scan
		}
		i, is := at[key]
		if !is || l.flows == 0 {
			at[key] = len(few)
			few = append(few, l)
			continue
		}
		m := &few[i]
		m.LocalPort, m.RemotePort = key.LocalPort, key.RemotePort
		m.flows += l.flows
		m.Sent, m.Received = m.Sent+l.Sent, m.Received+l.Received
		if l.First.Before(m.First) {
			m.First = l.First
		}
		if l.Last.After(m.Last) {
			m.Last = l.Last
		}
	}
	return few
}
