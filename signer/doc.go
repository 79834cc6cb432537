// Package signer mints and verifies temporary credentials.
package signer
