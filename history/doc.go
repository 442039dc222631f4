// Package history remembers: the event log, the devices and what was learned of
// them, how far each consumer has got in the log, and a few small settings.
//
// It is one SQLite file, porchlight.db, with one writer, the Store. Readers in
// other processes use a Reader meanwhile.
//
// What is promised:
//   - An event is committed before Append returns, so that it is in the log
//     before anyone hears of it. A killed process loses no event.
//   - A power cut loses at most the last second or so: commits go to the
//     write-ahead log without waiting for the disk, and Run syncs that log
//     within a second.
//   - A sequence number is never given twice, not even after a power cut that
//     took back the last commits: a start that follows an unclean end jumps ahead.
//   - A disk that is slow, full, read-only or gone stops nobody. Append waits at
//     most 100 ms; events, devices and cursors stay in memory, within limits,
//     and are written when the disk takes them again. Fault says what is wrong.
//   - A damaged file is set aside, never deleted, and a fresh one is begun with
//     whatever could be read of the old.
package history
