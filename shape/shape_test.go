package shape_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/shape"
)

type tag struct {
	Key   string  `aws:"Key,required" len:"1,128" pattern:"tagKey"`
	Value *string `aws:"Value,required" len:"0,256" pattern:"tag"`
}

type policyRef struct {
	ARN *string `aws:"arn" len:"20,2048" pattern:"arn"`
}

type assumeRole struct {
	RoleARN           *string       `aws:"RoleArn,required" len:"20,2048" pattern:"arn"`
	RoleSessionName   string        `aws:"RoleSessionName,required" len:"2,64" pattern:"name"`
	Policy            string        `aws:"Policy" len:"1," pattern:"policyDocument"`
	PolicyARNs        []policyRef   `aws:"PolicyArns"`
	DurationSeconds   *int32        `aws:"DurationSeconds" range:"900,43200"`
	Tags              []tag         `aws:"Tags" len:"0,50"`
	TransitiveTagKeys []string      `aws:"TransitiveTagKeys" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
	ExternalID        string        `aws:"ExternalId" len:"2,1224" pattern:"externalId"`
	SerialNumber      string        `aws:"SerialNumber" len:"9,256" pattern:"serial"`
	TokenCode         secret.String `aws:"TokenCode" len:"6,6" pattern:"digits"`
}

// TestOf_Fields pins how Go types and tags become members.
func TestOf_Fields(t *testing.T) {
	t.Parallel()
	type page struct {
		Marker string `aws:"Marker"`
	}
	type status string
	type everything struct {
		page          `aws:",inline"`
		SAMLAssertion secret.String     `aws:"SAMLAssertion"`
		Status        status            `aws:"Status" enum:"Active,Inactive"`
		Optional      *bool             `aws:"Optional,required"`
		Document      *string           `aws:"Document,urlencoded,always"`
		Count         *int64            `aws:"Count" range:"1,"`
		Created       time.Time         `aws:"Created"`
		Seed          []byte            `aws:"Seed"`
		Names         []status          `aws:"Names"`
		Refs          []policyRef       `aws:"Refs,always"`
		Boundary      *policyRef        `aws:"Boundary"`
		SummaryMap    map[string]int    `aws:"SummaryMap"`
		Details       map[string]string `aws:"Details"`
		notOnTheWire  int               `aws:"-"`
	}
	_ = everything{notOnTheWire: 1}
	type row struct {
		Name, Path, Members                            string
		Kind                                           shape.Kind
		Pointer, Required, Always, URLEncoded, HasElem bool
	}
	want := []row{
		{Name: "Marker", Path: "marker", Kind: shape.String},
		{Name: "SAMLAssertion", Path: "sAMLAssertion", Kind: shape.Secret},
		{Name: "Status", Path: "status", Kind: shape.String},
		{Name: "Optional", Path: "optional", Kind: shape.Bool, Pointer: true, Required: true},
		{Name: "Document", Path: "document", Kind: shape.String, Pointer: true, URLEncoded: true, Always: true},
		{Name: "Count", Path: "count", Kind: shape.Int, Pointer: true},
		{Name: "Created", Path: "created", Kind: shape.Time},
		{Name: "Seed", Path: "seed", Kind: shape.Blob},
		{Name: "Names", Path: "names", Members: "Names.member.", Kind: shape.StringList},
		{Name: "Refs", Path: "refs", Members: "Refs.member.", Kind: shape.StructList, Always: true, HasElem: true},
		{Name: "Boundary", Path: "boundary", Members: "Boundary.", Kind: shape.Struct, Pointer: true, HasElem: true},
		{Name: "SummaryMap", Path: "summaryMap", Kind: shape.IntMap},
		{Name: "Details", Path: "details", Kind: shape.TextMap},
	}
	s := shape.For[everything]()
	var got []row
	for _, f := range s.Fields() {
		got = append(got, row{f.Name, f.Path, f.Members, f.Kind, f.Pointer, f.Required, f.Always, f.URLEncoded, f.Elem != nil})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("fields\n got %+v\nwant %+v", got, want)
	}
	if shape.For[*everything]() != s || shape.Of(reflect.TypeFor[everything]()) != s {
		t.Error("a type has more than one shape")
	}
	v := everything{page: page{Marker: "m"}}
	if got := s.Fields()[0].Value(s.Struct(&v)).String(); got != "m" {
		t.Errorf("the inline member reads %q", got)
	}
}

type recursive struct {
	Inner []recursive `aws:"Inner"`
}

// TestOf_Misuse: a tag that does not mean what it says stops the program when its table is built, not when a request comes.
func TestOf_Misuse(t *testing.T) {
	t.Parallel()
	if got := len(shape.For[struct {
		A string `aws:"A,required" len:"1,2" pattern:"name" enum:"a,b"`
	}]().Fields()); got != 1 {
		t.Fatalf("the good twin has %d members", got)
	}
	for _, row := range []struct {
		name string
		typ  reflect.Type
		want string
	}{
		{"no struct", reflect.TypeFor[int](), "not a struct"},
		{"no tag", reflect.TypeFor[struct{ A string }](), "no aws tag"},
		{"unexported", reflect.TypeFor[struct {
			a string `aws:"A"`
		}](), "not exported"},
		{"no name", reflect.TypeFor[struct {
			A string `aws:""`
		}](), "wire name"},
		{"a name that is not one", reflect.TypeFor[struct {
			A string `aws:"A.b"`
		}](), "wire name"},
		{"unknown option", reflect.TypeFor[struct {
			A string `aws:"A,require"`
		}](), "unknown option"},
		{"two members of one name", reflect.TypeFor[struct {
			A string `aws:"A"`
			B string `aws:"A"`
		}](), "two members"},
		{"inline member that is not embedded", reflect.TypeFor[struct {
			A tag `aws:",inline"`
		}](), "not an embedded"},
		{"type without a wire form", reflect.TypeFor[struct {
			A float64 `aws:"A"`
		}](), "no wire form"},
		{"pointer to a list", reflect.TypeFor[struct {
			A *[]string `aws:"A"`
		}](), "no wire form"},
		{"list of secrets", reflect.TypeFor[struct {
			A []secret.String `aws:"A"`
		}](), "no wire form"},
		{"holds itself", reflect.TypeFor[recursive](), "holds itself"},
		{"required number that cannot be absent", reflect.TypeFor[struct {
			A int `aws:"A,required"`
		}](), "needs a pointer"},
		{"required text that may be empty", reflect.TypeFor[struct {
			A string `aws:"A,required" len:"0,5"`
		}](), "*string"},
		{"range of a number that cannot be absent", reflect.TypeFor[struct {
			A int `aws:"A" range:"1,2"`
		}](), "does not fit"},
		{"range of a text", reflect.TypeFor[struct {
			A string `aws:"A" range:"1,2"`
		}](), "does not fit"},
		{"length of a number", reflect.TypeFor[struct {
			A *int `aws:"A" len:"1,2"`
		}](), "does not fit"},
		{"item length of a text", reflect.TypeFor[struct {
			A string `aws:"A" itemlen:"1,2"`
		}](), "does not fit"},
		{"bounds with one side", reflect.TypeFor[struct {
			A string `aws:"A" len:"1"`
		}](), "want min,max"},
		{"bounds upside down", reflect.TypeFor[struct {
			A string `aws:"A" len:"2,1"`
		}](), "above max"},
		{"bounds that are no numbers", reflect.TypeFor[struct {
			A string `aws:"A" len:"a,b"`
		}](), "invalid syntax"},
		{"unknown pattern", reflect.TypeFor[struct {
			A string `aws:"A" pattern:"nome"`
		}](), "no such pattern"},
		{"enum with an empty value", reflect.TypeFor[struct {
			A string `aws:"A" enum:"a,,b"`
		}](), "empty value"},
		{"always on a number", reflect.TypeFor[struct {
			A int `aws:"A,always"`
		}](), "no empty form"},
		{"urlencoded on a number", reflect.TypeFor[struct {
			A int `aws:"A,urlencoded"`
		}](), "needs a text"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, row.want) {
					t.Errorf("Of panics with %q, want %q in it", got, row.want)
				}
			}()
			shape.Of(row.typ)
		})
	}
}

func TestStruct_RefusesForeignTypes(t *testing.T) {
	t.Parallel()
	s := shape.For[tag]()
	for _, v := range []any{&tag{}, tag{}, (*tag)(nil), nil} {
		s.Struct(v)
	}
	defer func() {
		if recover() == nil {
			t.Error("a foreign type passes")
		}
	}()
	s.Struct(&policyRef{})
}
