package policy

// Decision is the outcome of an evaluation with its reason. The zero value denies.
type Decision struct {
	Effect Effect
	Reason Reason
}

// Reason names the layer and, where one did, the statement that decided.
type Reason struct {
	// Kind is the layer that decided. It is 0 when none did: an action that policies cannot control, or the root user of the
	// account, who needs no policy.
	Kind      Kind
	Level     int    // of service control policies: which, from the organization's root; otherwise 0
	Document  int    // index in that layer's list, 0 where a layer has one document; -1 when nothing allowed it
	Statement int    // index in the document; -1 with Document
	Sid       string // of the statement, may be empty
}

// layerNames hold, by Kind, how AWS's sentence speaks of a layer that is silent and of one that denies.
var layerNames = [...]struct{ silent, denying string }{
	Identity:       {"identity-based policy", "an identity-based policy"},
	Boundary:       {"permissions boundary", "a permissions boundary"},
	Session:        {"session policy", "a session policy"},
	Trust:          {"role trust policy", "the role trust policy"},
	Resource:       {"resource-based policy", "a resource-based policy"},
	ServiceControl: {"service control policy", "a service control policy"},
}

// Suffix is AWS's explanation of a denial, to follow "… is not authorized to perform: ACTION on resource: ARN"; it begins
// with a space. It is empty for an allow and where no layer decided. (IAM User Guide, "Troubleshoot access denied error
// messages".) Whether a caller may see it is for the operation to decide: AWS shows it only inside the account.
func (d Decision) Suffix(action string) string {
	if d.Effect == Allow || d.Reason.Kind == 0 || int(d.Reason.Kind) >= len(layerNames) {
		return ""
	}
	layer := layerNames[d.Reason.Kind]
	if d.Effect == ExplicitDeny {
		return " with an explicit deny in " + layer.denying
	}
	return " because no " + layer.silent + " allows the " + action + " action"
}

var kindNames = [...]string{"none", "identity", "boundary", "session", "trust", "resource", "service control"}

// String returns the kind in lower case, such as "service control".
func (k Kind) String() string { return nameOf(kindNames[:], int(k)) }

var effectNames = [...]string{"ImplicitDeny", "ExplicitDeny", "Allow"}

// String returns the name of the constant.
func (e Effect) String() string { return nameOf(effectNames[:], int(e)) }

var principalTypeNames = [...]string{"anonymous", "root", "user", "role-session", "federated-user", "federated", "service"}

// String returns the type as test vectors and traces spell it, such as "role-session".
func (t PrincipalType) String() string { return nameOf(principalTypeNames[:], int(t)) }

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}
