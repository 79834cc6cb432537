package awsquery_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/server/awsquery"
)

const formType = "application/x-www-form-urlencoded"

func TestParseForm(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name                           string
		method, contentType, query, in string
		action, version                string
		want                           error
	}{
		{name: "form in the body", method: "POST", contentType: formType, in: "Action=GetCallerIdentity&Version=2011-06-15",
			action: "GetCallerIdentity", version: "2011-06-15"},
		{name: "form type with charset and other case", method: "POST", contentType: "Application/X-WWW-form-urlencoded; charset=utf-8", in: "Action=A",
			action: "A"},
		{name: "form without a content type", method: "POST", in: "Action=A", action: "A"},
		{name: "query of a GET", method: "GET", query: "Version=1&Action=A", action: "A", version: "1"},
		{name: "query of a POST without a body, whatever its type", method: "POST", contentType: "text/plain", query: "Action=A", action: "A"},
		{name: "query and body are merged", method: "POST", contentType: formType, query: "Version=1", in: "Action=A", action: "A", version: "1"},
		{name: "nothing at all", method: "GET"},
		{name: "presigned parameters are left out, even twice", method: "GET", query: "Action=A&X-Amz-Date=1&X-Amz-Date=2", action: "A"},
		{name: "space as + and as %20", method: "GET", query: "Action=a+b%20c", action: "a b c"},
		{name: "escaped name", method: "GET", query: "A%63tion=A", action: "A"},
		{name: "empty pairs", method: "GET", query: "&&Action=A&", action: "A"},
		{name: "name without a value", method: "GET", query: "Action", action: ""},
		{name: "value with an equals sign", method: "GET", query: "Action=a=b", action: "a=b"},
		{name: "semicolon separates nothing", method: "GET", query: "Action=a;Version=2", action: "a;Version=2"},
		{name: "names are case-sensitive", method: "GET", query: "action=a&Action=A", action: "A"},
		{name: "parameter twice in the query", method: "GET", query: "Action=A&Action=A", want: awserr.MalformedInput},
		{name: "parameter in query and body", method: "POST", contentType: formType, query: "Action=A", in: "Action=A", want: awserr.MalformedInput},
		{name: "parameter twice under an escape", method: "GET", query: "Action=A&A%63tion=B", want: awserr.MalformedInput},
		{name: "broken escape in the query", method: "GET", query: "Action=%zz", want: awserr.MalformedQueryString},
		{name: "escape cut off in the body", method: "POST", contentType: formType, in: "Action=%4", want: awserr.MalformedInput},
		{name: "broken escape in a name", method: "GET", query: "Act%ion=A", want: awserr.MalformedQueryString},
		{name: "bytes that are not UTF-8", method: "GET", query: "Action=%ff", want: awserr.MalformedQueryString},
		{name: "raw bytes that are not UTF-8", method: "POST", in: "Action=\xff", want: awserr.MalformedInput},
		{name: "NUL", method: "GET", query: "Action=a%00b", want: awserr.MalformedQueryString},
		{name: "another method", method: "PUT", query: "Action=A", want: awserr.MalformedInput},
		{name: "body of a GET", method: "GET", contentType: formType, query: "Version=1", in: "Action=A", want: awserr.MalformedInput},
		{name: "JSON", method: "POST", contentType: "application/json", in: `{}`, want: awserr.MalformedInput},
		{name: "multipart", method: "POST", contentType: "multipart/form-data; boundary=x", in: "--x--", want: awserr.MalformedInput},
		{name: "name of 256 bytes", method: "GET", query: strings.Repeat("n", 256) + "=1&Action=A", action: "A"},
		{name: "name of 257 bytes", method: "GET", query: strings.Repeat("n", 257) + "=1&Action=A", want: awserr.MalformedQueryString},
		{name: "1999 parameters", method: "GET", query: many(1998) + "&Action=A", action: "A"},
		{name: "2001 parameters", method: "GET", query: many(2001), want: awserr.MalformedInput},
		{name: "separators only", method: "POST", in: strings.Repeat("&", 1<<19), want: awserr.MalformedInput},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			form, err := awsquery.ParseForm(row.method, row.contentType, row.query, []byte(row.in))
			if !errors.Is(err, row.want) {
				t.Fatalf("ParseForm = %v, want %v", err, row.want)
			}
			if err == nil && (form.Action() != row.action || form.Version() != row.version) {
				t.Errorf("Action %q, Version %q, want %q, %q", form.Action(), form.Version(), row.action, row.version)
			}
		})
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&p%d=", i)
	}
	return b.String()[1:]
}

// TestParseForm_ErrorsRepeatNoForeignText: only what reads like a parameter of AWS is named.
func TestParseForm_ErrorsRepeatNoForeignText(t *testing.T) {
	t.Parallel()
	_, err := awsquery.ParseForm("GET", "", "RoleArn=1&RoleArn=2", nil)
	if err == nil || !strings.Contains(err.Error(), ": RoleArn.") {
		t.Fatalf("a plain name is not named: %v", err)
	}
	_, err = awsquery.ParseForm("GET", "", "a%0Ab=canary&a%0Ab=canary", nil)
	if err == nil || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "canary") {
		t.Errorf("the error repeats what the caller sent: %v", err)
	}
}

func TestFormatOf(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		accept string
		want   awsquery.Format
	}{
		{"application/json", awsquery.JSON},
		{"Application/JSON; charset=utf-8", awsquery.JSON},
		{"application/json, text/plain, */*", awsquery.JSON},
		{"", awsquery.XML},
		{"*/*", awsquery.XML},
		{"text/xml", awsquery.XML},
		{"text/xml, application/json", awsquery.XML},
		{"application/jsonp", awsquery.XML},
	} {
		if got := awsquery.FormatOf(row.accept); got != row.want {
			t.Errorf("FormatOf(%q) = %v, want %v", row.accept, got, row.want)
		}
	}
	if got := awsquery.ContentType(awsquery.XML); got != "text/xml" {
		t.Errorf("content type of XML is %q", got)
	}
	if got := awsquery.ContentType(awsquery.JSON); got != "application/json" {
		t.Errorf("content type of JSON is %q", got)
	}
}
