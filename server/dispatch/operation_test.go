package dispatch_test

import (
	"reflect"
	"testing"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/server/dispatch"
	"github.com/stint-sts/stint/sts"
)

// Every method of the form of an operation has a row: none can be forgotten.
func TestTable_IsComplete(t *testing.T) {
	t.Parallel()
	table := dispatch.NewTable(&sts.Service{}, &iam.Service{})
	caller := reflect.TypeFor[*authn.Caller]()
	seen := 0
	for service, typ := range map[string]reflect.Type{"sts": reflect.TypeFor[*sts.Service](), "iam": reflect.TypeFor[*iam.Service]()} {
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			if m.Type.NumIn() != 4 || m.Type.In(2) != caller {
				continue
			}
			seen++
			o := table.Lookup(service, m.Name)
			if o == nil {
				t.Errorf("%s:%s has no row", service, m.Name)
				continue
			}
			if reflect.TypeOf(o.New()) != m.Type.In(3) {
				t.Errorf("%s:%s: the row's input is %T", service, m.Name, o.New())
			}
			if hasResult := m.Type.NumOut() == 2; hasResult != (o.Output != nil) {
				t.Errorf("%s:%s: result %v, output shape %v", service, m.Name, hasResult, o.Output != nil)
			}
		}
	}
	rows := 0
	for range table.All {
		rows++
	}
	if rows != seen || seen == 0 {
		t.Errorf("%d rows for %d methods", rows, seen)
	}
}
