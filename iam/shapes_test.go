package iam_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/shape"
)

// operations yields the input and output type of every operation; the output is nil when it has none.
func operations(t *testing.T) map[string][2]reflect.Type {
	t.Helper()
	all := make(map[string][2]reflect.Type)
	service := reflect.TypeFor[*iam.Service]()
	for i := range service.NumMethod() {
		m := service.Method(i)
		if m.Type.NumIn() != 4 || m.Type.In(1) != reflect.TypeFor[context.Context]() || m.Type.In(2) != reflect.TypeFor[*authn.Caller]() {
			continue
		}
		types := [2]reflect.Type{m.Type.In(3).Elem()}
		if m.Type.NumOut() == 2 {
			types[1] = m.Type.Out(0).Elem()
		}
		all[m.Name] = types
	}
	if len(all) == 0 {
		t.Fatal("no operations")
	}
	return all
}

func TestOperations_HaveShapes(t *testing.T) {
	t.Parallel()
	for name, types := range operations(t) {
		if got := types[0].Name(); got != name+"Input" {
			t.Errorf("%s takes a %s", name, got)
		}
		for _, typ := range types {
			if typ != nil {
				shape.Of(typ) // panics on a tag that it does not know
			}
		}
	}
}

// Policy documents are percent-encoded in answers, everywhere; a new answer must not forget it.
func TestOperations_EncodeDocuments(t *testing.T) {
	t.Parallel()
	found := 0
	var check func(name string, s *shape.Shape)
	check = func(name string, s *shape.Shape) {
		for _, f := range s.Fields() {
			// SAML metadata are XML in XML, as on AWS.
			if strings.HasSuffix(f.Name, "Document") && f.Kind == shape.String && f.Name != "SAMLMetadataDocument" {
				found++
				if !f.URLEncoded {
					t.Errorf("%s.%s is not percent-encoded", name, f.Name)
				}
			}
			if f.Elem != nil {
				check(name+"."+f.Name, f.Elem)
			}
		}
	}
	for name, types := range operations(t) {
		if types[1] != nil {
			check(name, shape.Of(types[1]))
		}
	}
	if found == 0 {
		t.Fatal("no documents")
	}
}
