// Package inbox keeps the messages that receivers (MLLP, webhook) take, from
// before they are acknowledged until they are stored, rejected or set aside.
//
// It interprets no message. It is called by the receivers and by cmd/handoff.
package inbox
