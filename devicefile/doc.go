// Package devicefile reads the device file: YAML in which the user says what
// devices are called, which groups they are in, and what counts for them.
//
//	devices:
//	  - mac: 02:00:5e:10:00:01
//	    name: Anna's phone
//	    groups: [Parents]
//
// Parse is strict: one fault anywhere, told with its line and field, and
// nothing of the file counts. A Watcher reads the file again when it changes,
// and keeps what it read last while there is a fault or no file.
package devicefile
