// Package follow notices when files change that people and other programs keep:
// written in place, replaced by another, behind links that are swapped (as a
// container's mounted directory does it), gone and back. A file is read when it
// has been left alone for a moment, since it may be emptied first and written
// later. Where the system does not tell of changes, as with network file systems
// and single files that are mounted into a container, they are found by looking
// now and then.
package follow
