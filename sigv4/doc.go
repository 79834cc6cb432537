// Package sigv4 verifies AWS Signature Version 4.
package sigv4
