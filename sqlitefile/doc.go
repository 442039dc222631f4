// Package sqlitefile is what Porchlight's SQLite files have in common. Open is
// for those beside the history, which are apart from it so that neither waits for
// the other.
package sqlitefile
