// Package notify sends messages to people: mail, push, chat, webhooks.
//
// What happened is read from the event log, behind a cursor per service, so that
// a service that was away gets what it missed. Rules say what goes where. A
// message never holds presence up: each service has a goroutine of its own.
package notify
