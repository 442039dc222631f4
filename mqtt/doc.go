// Package mqtt keeps a broker in step with the household: a Session publishes
// states, attributes, discovery and events, and takes commands; a Broker is the
// one that runs inside the program when no other is configured.
//
// State topics are level-triggered. A Session holds the desired state of every
// device and publishes the whole of it on each connection with a fresh client,
// so no queue of old states can win over new ones. Events are the opposite:
// each is read from the event log and sent at least once, in order, and the
// log's cursor moves when the broker has acknowledged.
//
// What a broker forbids is found out at work: the first message to each kind of
// topic goes alone and must come back (see trial). Two programs with one prefix
// and node ask for each other on the instance topic (see rivals).
//
// One goroutine per connection, the writer, publishes. What people wait for
// goes first: states, then attributes, then events, and only then the bulk of
// a full publish, in windows that wait for acknowledgements.
package mqtt
