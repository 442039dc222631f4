package connections

// recall gives the sockets without process the one that they had a look before. The
// sockets are listed first and their processes looked for then: of what is closed
// meanwhile nobody has it any more. It does so for one look only, and not where
// processes are hidden, so that a socket that really is nobody's is shown as that:
// already are the inodes of the look before, and those of this one are returned.
func (s *Snapshot) recall(before *Snapshot, already map[uint64]bool) map[uint64]bool {
	if before == nil || before.Boot != s.Boot || s.Partial || before.Partial {
		return nil
	}
	lost, now := map[uint64]*Connection{}, map[processKey]*Process{}
	for i := range s.Connections {
		switch c := &s.Connections[i]; {
		case c.Process != nil:
			now[c.Process.key()] = c.Process
		case c.Inode != 0 && !already[c.Inode]:
			lost[c.Inode] = c
		}
	}
	if len(lost) == 0 {
		return nil
	}
	recalled := map[uint64]bool{}
	for i := range before.Connections {
		old := &before.Connections[i]
		c := lost[old.Inode]
		if c == nil || old.Process == nil || c.tuple() != old.tuple() {
			continue
		}
		c.Process, c.Others = old.Process, old.Others
		if p := now[old.Process.key()]; p != nil { // as it is called now
			c.Process = p
		}
		recalled[c.Inode] = true
	}
	return recalled
}
