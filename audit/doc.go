// Package audit records who did what: CloudTrail-shaped events, one JSON object a line, in one or more sinks.
//
// It owns the shape of an event, its encoding, the guarantee that an answer waits for its event (group commit), and the
// sinks. What goes into an event is the caller's matter, with one exception: attributes have typed constructors that take
// no secret.String, so a secret cannot get in by accident. The shape follows "CloudTrail record contents" in the AWS
// CloudTrail User Guide, event version 1.11.
package audit
