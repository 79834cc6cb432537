package policy

// setOperator is the qualifier of a condition on a multivalued key.
type setOperator uint8

const (
	noSet setOperator = iota
	forAllValues
	forAnyValue
)

var setOperatorPrefixes = [...]string{noSet: "", forAllValues: "ForAllValues:", forAnyValue: "ForAnyValue:"}

// condition is one operator applied to one key. The conditions of a statement must all hold.
type condition struct {
	op        *operator
	set       setOperator
	ifExists  bool
	key       contextKey
	values    []string // as written
	variables bool     // values may hold variables
	matcher   matcher
}

// operatorName spells the operator as AWS does.
func (c *condition) operatorName() string {
	name := setOperatorPrefixes[c.set] + c.op.name
	if c.ifExists {
		name += "IfExists"
	}
	return name
}

// holds evaluates the condition. deny tells that the statement is a Deny: where a request value cannot be compared, an Allow
// must not apply and a Deny must.
func (c *condition) holds(ctx *Context, deny bool) bool {
	e := ctx.lookup(&c.key)
	if c.op.null {
		absent := "false"
		if e == nil {
			absent = "true"
		}
		return c.matcher.match(absent, ctx) == matches
	}
	var values []string
	if e != nil {
		values = e.values()
	}
	switch c.set {
	case forAllValues:
		if isNull(values) {
			return true
		}
		for _, v := range values {
			if !c.test(v, ctx, deny) {
				return false
			}
		}
		return true
	case forAnyValue:
		if len(values) == 0 {
			return c.ifExists
		}
		return c.anyOf(values, ctx, deny)
	}
	switch {
	case len(values) == 0:
		return c.ifExists || c.op.negated
	case len(values) == 1:
		return c.test(values[0], ctx, deny)
	default:
		// A multivalued key needs a set operator, and the guide does not say what happens without one. Deny leans to deny.
		return deny && c.anyOf(values, ctx, deny)
	}
}

// isNull reports a null data set, for which ForAllValues is true: no value, or nothing but an empty string (IAM User Guide,
// "Set operators for multivalued context keys").
func isNull(values []string) bool {
	return len(values) == 0 || len(values) == 1 && values[0] == ""
}

func (c *condition) anyOf(values []string, ctx *Context, deny bool) bool {
	for _, v := range values {
		if c.test(v, ctx, deny) {
			return true
		}
	}
	return false
}

// test tests one request value: a positive operator needs a policy value that matches, a negated one needs that none does.
func (c *condition) test(value string, ctx *Context, deny bool) bool {
	switch c.matcher.match(value, ctx) {
	case matches:
		return !c.op.negated
	case invalid:
		return c.op.negated && deny
	default:
		return c.op.negated
	}
}
