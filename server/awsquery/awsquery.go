// Package awsquery is the AWS Query protocol: HTML forms in, XML or JSON out. STS (2011-06-15) and IAM (2010-05-08) share
// it; what an operation's parameters and results are called comes from their shapes.
//
// It owns bytes and nothing else: which operation an action names, who calls and what is allowed are decided by others.
// Decode checks types only; shape.Validate checks constraints.
//
// Sources: "AWS Query protocol" (Smithy 2.0, aws.protocols#awsQuery), the API references of STS and IAM ("Making query
// requests", "Common errors"), and what SDKs send and parse.
package awsquery

import (
	"strings"
)

// XML namespaces of answers.
const (
	NamespaceSTS   = "https://sts.amazonaws.com/doc/2011-06-15/"
	NamespaceIAM   = "https://iam.amazonaws.com/doc/2010-05-08/"
	NamespaceFault = "http://webservices.amazon.com/AWSFault/2005-15-09" // errors raised before an operation is known
)

// Format is the form of an answer.
type Format uint8

// The two forms of answers. The zero value is what every SDK reads.
const (
	XML Format = iota
	JSON
)

// FormatOf chooses the form of the answer by the request's Accept header: JSON only when application/json is what the
// header names first, with or without parameters. A missing header and */* mean XML.
func FormatOf(accept string) Format {
	first, _, _ := strings.Cut(accept, ",")
	if isMediaType(first, "application/json") {
		return JSON
	}
	return XML
}

// ContentType returns the value of the Content-Type header. It is exactly text/xml for XML: at least one widely copied
// verifier of presigned GetCallerIdentity requests compares the header for equality.
func ContentType(format Format) string {
	if format == JSON {
		return "application/json"
	}
	return "text/xml"
}

// isMediaType reports whether value names the media type want, with any parameters (RFC 9110 section 8.3.1).
func isMediaType(value, want string) bool {
	name, _, _ := strings.Cut(value, ";")
	return strings.EqualFold(strings.TrimSpace(name), want)
}
