// Package session is the state of live sessions.
package session
