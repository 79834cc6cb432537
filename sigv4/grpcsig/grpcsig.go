// Package grpcsig defines what a Signature Version 4 signature over a gRPC call covers, for both ends of the call.
//
// A call is signed like this HTTP request, with the service "sts" in its credential scope:
//
//	POST /stint.sts.v1.STS/AssumeRole      the full method name; no query string
//	host: 127.0.0.1:8471                   the :authority of the call
//	x-amz-content-sha256: …                SHA-256 of the message, in hexadecimal
//	x-amz-date: 20261128T150000Z
//	x-amz-security-token: …                with temporary credentials only
//
//	the request message, byte for byte as it is sent (without the five bytes of gRPC's framing, before any compression)
//
// The headers and the resulting Authorization travel as metadata of the call. So neither the method, nor the message, nor the
// server that a call is meant for can be exchanged, and what is signed for the Query API (path "/") is no signature here, nor
// the other way round. docs/grpc.md says the same to people, with test vectors.
package grpcsig

import (
	"crypto/sha256"
	"encoding/hex"
	"net/textproto"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/stint-sts/stint/sigv4"
)

// Request returns the request that the signature of a call is checked over. method is the full method name, message the bytes
// that were received, overTLS whether the client spoke TLS.
//
// Date is left out: its place in the Query API is for old clients, and gRPC has none. So are binary metadata, which have no form
// that a signature could cover.
func Request(method, authority string, md metadata.MD, overTLS bool, message []byte) *sigv4.Request {
	header := make(map[string][]string, len(md))
	for key, values := range md {
		if strings.HasPrefix(key, ":") || strings.HasSuffix(key, "-bin") || key == "date" || key == "host" {
			continue
		}
		header[canonical(key)] = values
	}
	return &sigv4.Request{Method: "POST", Path: method, Host: authority, TLS: overTLS, Header: header, Body: message}
}

// canonical is the MIME form of a metadata key, without an allocation for those that authenticate.
func canonical(key string) string {
	switch key {
	case "authorization":
		return "Authorization"
	case "x-amz-date":
		return "X-Amz-Date"
	case "x-amz-security-token":
		return "X-Amz-Security-Token"
	case "x-amz-content-sha256":
		return "X-Amz-Content-Sha256"
	}
	return textproto.CanonicalMIMEHeaderKey(key)
}

// Sign returns the metadata that authenticates a call at time t. message is what will be sent; authority must be the call's
// :authority.
func Sign(method, authority string, message []byte, c sigv4.Credentials, region string, t time.Time) (metadata.MD, error) {
	sum := sha256.Sum256(message)
	r := sigv4.Request{
		Method: "POST", Path: method, Host: authority, Body: message,
		Header: map[string][]string{"X-Amz-Content-Sha256": {hex.EncodeToString(sum[:])}},
	}
	if err := sigv4.Sign(&r, c, region, "sts", t); err != nil {
		return nil, err
	}
	md := make(metadata.MD, len(r.Header))
	for key, values := range r.Header {
		md[strings.ToLower(key)] = values
	}
	return md, nil
}
