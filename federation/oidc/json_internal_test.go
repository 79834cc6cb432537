package oidc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// plain is a value as encoding/json would have it.
func plain(v *value) any {
	switch v.kind {
	case object:
		m := make(map[string]any)
		for i := range v.members {
			m[v.members[i].name] = plain(&v.members[i].value)
		}
		return m
	case array:
		list := make([]any, len(v.list))
		for i := range v.list {
			list[i] = plain(&v.list[i])
		}
		return list
	case text:
		return v.text
	case number:
		return json.Number(v.text)
	case boolean:
		return v.text == "true"
	default:
		return nil
	}
}

// FuzzParseObject: what our reader takes, encoding/json reads alike.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":[1,-2.5e+7,true,false,null,"\u00e4\ud83d\ude00\n\/"],"b":{"c":{}}}`, ` { "a" : 0 , "b" : [ ] } `, `{"a":1,"a":2}`,
		`{"a":01}`, `{"a":1.}`, `{"a":"\ud800"}`, `{"a":"\udc00\ud800"}`, "{\"a\":\"\x01\"}", `{"a":tru}`, `{"a"}`, `{,}`, `[1,]`, `{"a":"\x"}`,
		`{"a":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `}`, `{"a":"` + "\xff" + `"}`, `{"a":"\ud83dx"}`, `{"a":-}`, `{"a":1e}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseObject(s, 100)
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader([]byte(s)))
		d.UseNumber()
		var want map[string]any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", s, err)
		}
		if got := plain(&v); !reflect.DeepEqual(got, any(want)) {
			t.Fatalf("%q: %v, encoding/json %v", s, got, want)
		}
	})
}

// What is refused, beside what is not JSON at all.
func TestParseObject_Refuses(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 60 {
		many.WriteString(`"` + strings.Repeat("x", i) + `":0,`)
	}
	if _, err := parseObject("{"+many.String()+`"y":0}`, 100); err != nil {
		t.Fatalf("many members: %v", err)
	}
	for s, want := range map[string]error{
		`{"a":1,"a":1}`:                      errDuplicate,
		"{" + many.String() + `"xxx":0}`:     errDuplicate,
		`{"a":{"b":1,"\u0062":1}}`:           errDuplicate,
		`[]`:                                 errNoObject,
		`{} {}`:                              errSyntax,
		`{"a":[` + strings.Repeat("0,", 200): errTooMany,
		strings.Repeat(`{"a":`, 17) + "0" + strings.Repeat("}", 17): errTooDeep,
	} {
		if _, err := parseObject(s, 100); err != want {
			t.Errorf("%s: %v, want %v", s, err, want)
		}
	}
}
