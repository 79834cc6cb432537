package iam

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/policy"
)

// A statement that is evaluated once is one unit of work. What a single action costs is bounded by refusing more, what a page
// costs by ending it early, which the API allows: "IAM might return fewer results, even when there are more".
const (
	maxActionWork = 25_000
	maxPageWork   = 500_000
	maxPageListed = 10_000 // statements and keys in the answer
)

// simulation is one call of a simulation: a caller, its policies and what is asked.
type simulation struct {
	now       time.Time
	sourceARN string // of the entity whose policies are simulated; empty: none
	principal policy.Principal
	policies  policy.Policies
	ownPolicy bool // policies.Resource was given, not assumed
	context   *policy.Context
	named     []string // the resources
	anywhere  bool     // no resource is named
	owner     string   // account of resources whose ARN does not tell

	work  int // of one action on one resource
	spans map[*policy.Document][]policy.Span
}

// bounded counts the work, and refuses a simulation of which a single action would be too much.
func (sim *simulation) bounded() error {
	sim.spans = make(map[*policy.Document][]policy.Span)
	lists := append(slices.Clone(sim.policies.ServiceControl), sim.policies.Identity,
		[]*policy.Document{sim.policies.Boundary, sim.policies.Resource})
	for _, documents := range lists {
		for _, d := range documents {
			if d != nil {
				sim.work += d.Len()
			}
		}
	}
	if sim.work*len(sim.named) > maxActionWork {
		return invalidInput("The simulation has too many resources and statements. Simulate fewer resources at a time.")
	}
	return nil
}

// page simulates the actions after the marker, as many as one answer takes.
func (sim *simulation) page(ctx context.Context, in *SimulationInput) (*SimulationOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	first := 0
	if after != "" {
		if first, err = strconv.Atoi(after); err != nil || first < 0 || first > len(in.ActionNames) {
			return nil, errInvalidMarker()
		}
	}
	out := new(SimulationOutput)
	work, listed := 0, 0
	for i := first; i < len(in.ActionNames); i++ {
		if i > first && (i-first == in.size() || work > maxPageWork || listed > maxPageListed) {
			out.PageOutput = PageOutput{IsTruncated: true, Marker: marker(strconv.Itoa(i))}
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		result := sim.action(in.ActionNames[i])
		work += sim.work * len(sim.named)
		listed += len(result.MatchedStatements) + len(result.MissingContextValues)
		for _, r := range result.ResourceSpecificResults {
			listed += 1 + len(r.MatchedStatements) + len(r.MissingContextValues)
		}
		out.EvaluationResults = append(out.EvaluationResults, result)
	}
	return out, nil
}

// verdict is what a simulation says of one action on one resource.
type verdict struct {
	*policy.Simulation
	crossAccount bool
}

// action simulates one action on every resource. The result as a whole is the most restrictive one.
func (sim *simulation) action(action string) EvaluationResult {
	verdicts := make([]verdict, len(sim.named))
	decision := policy.Allow
	for i, resource := range sim.named {
		verdicts[i] = sim.ask(action, resource)
		decision = stricter(decision, verdicts[i].Decision.Effect)
	}
	result := EvaluationResult{EvalActionName: action, EvalResourceName: "*", EvalDecision: decisionNames[decision]}
	if len(sim.named) == 1 {
		result.EvalResourceName = sim.named[0]
	}
	sim.summarize(&result, verdicts, decision)
	if sim.anywhere {
		return result
	}
	for i, v := range verdicts {
		result.ResourceSpecificResults = append(result.ResourceSpecificResults, EvaluationResourceResult{
			EvalResourceName: sim.named[i], EvalResourceDecision: decisionNames[v.Decision.Effect],
			MatchedStatements: sim.matched(v, nil), MissingContextValues: v.Missing,
			EvalDecisionDetails: sim.details(v), PermissionsBoundaryDecisionDetail: sim.boundaryDecision(v),
		})
	}
	return result
}

// summarize unites what the resources have to say.
func (sim *simulation) summarize(result *EvaluationResult, verdicts []verdict, decision policy.Effect) {
	if !sim.anywhere {
		result.EvalDecisionDetails = map[string]string{} // there, if only empty, when resources are named
	}
	missing := make(map[string]bool)
	matched := make(map[policy.Match]bool)
	details := make(map[string]policy.Effect)
	whole := policy.Simulation{Boundary: policy.Allow, ServiceControl: policy.Allow}
	for _, v := range verdicts {
		for _, key := range v.Missing {
			if folded := fold(key); !missing[folded] {
				missing[folded] = true
				result.MissingContextValues = append(result.MissingContextValues, key)
			}
		}
		if v.Decision.Effect == decision {
			result.MatchedStatements = append(result.MatchedStatements, sim.matched(v, matched)...)
		}
		for source, effect := range sim.sides(v) {
			if known, ok := details[source]; ok {
				effect = stricter(known, effect)
			}
			details[source] = effect
		}
		whole.Boundary = stricter(whole.Boundary, v.Boundary)
		whole.ServiceControl = stricter(whole.ServiceControl, v.ServiceControl)
	}
	if len(details) > 0 {
		result.EvalDecisionDetails = named(details)
	}
	result.PermissionsBoundaryDecisionDetail = sim.boundaryDecision(verdict{Simulation: &whole})
	if sim.policies.ServiceControl != nil {
		result.OrganizationsDecisionDetail = &OrganizationsDecision{whole.ServiceControl == policy.Allow}
	}
}

// ask simulates one action on one resource.
func (sim *simulation) ask(action, resource string) verdict {
	account := sim.owner
	if a, err := arn.Parse(resource); err == nil && arn.ValidAccount(a.Account) {
		account = a.Account
	}
	ctx := policy.NewContext(sim.context)
	if _, _, given := ctx.Lookup("aws:ResourceAccount"); !given {
		ctx.Set("aws:ResourceAccount", account)
	}
	r := policy.Request{Principal: &sim.principal, Action: action, Resource: resource, ResourceAccount: account, Context: ctx}
	return verdict{policy.Simulate(&r, &sim.policies), account != sim.principal.Account}
}

// matched shows the statements that decided, those that seen does not hold yet.
func (sim *simulation) matched(v verdict, seen map[policy.Match]bool) []MatchedStatement {
	var matched []MatchedStatement
	for _, m := range v.Matched {
		if m.Kind == policy.Resource && !sim.ownPolicy || seen[m] {
			continue
		}
		if seen != nil {
			seen[m] = true
		}
		d := sim.document(m)
		spans, ok := sim.spans[d]
		if !ok {
			spans = d.Spans()
			sim.spans[d] = spans
		}
		at := spans[m.Statement]
		matched = append(matched, MatchedStatement{
			SourcePolicyID: d.Name(), SourcePolicyType: sourceTypes[m.Kind],
			StartPosition: Position(at.Start), EndPosition: Position(at.End),
		})
	}
	return matched
}

func (sim *simulation) document(m policy.Match) *policy.Document {
	switch m.Kind {
	case policy.Boundary:
		return sim.policies.Boundary
	case policy.Resource:
		return sim.policies.Resource
	default:
		return sim.policies.Identity[m.Document]
	}
}

// sides are the decisions of each kind of policy, which are told apart across accounts only, where two accounts decide. When a
// service control policy stops the call there is nothing more to tell.
func (sim *simulation) sides(v verdict) map[string]policy.Effect {
	if !v.crossAccount || !sim.ownPolicy || v.ServiceControl != policy.Allow {
		return nil
	}
	sides := map[string]policy.Effect{sourceTypes[policy.Identity]: v.Identity, sourceTypes[policy.Resource]: v.Resource}
	if sim.policies.Boundary != nil {
		sides[sourceTypes[policy.Boundary]] = v.Boundary
	}
	return sides
}

func (sim *simulation) details(v verdict) map[string]string {
	if sides := sim.sides(v); sides != nil {
		return named(sides)
	}
	return nil
}

func (sim *simulation) boundaryDecision(v verdict) *BoundaryDecision {
	if sim.policies.Boundary == nil {
		return nil
	}
	return &BoundaryDecision{v.Boundary == policy.Allow}
}

func named(effects map[string]policy.Effect) map[string]string {
	names := make(map[string]string, len(effects))
	for source, effect := range effects {
		names[source] = decisionNames[effect]
	}
	return names
}

// stricter returns the effect that leaves less: an explicit deny, else an implicit one.
func stricter(a, b policy.Effect) policy.Effect {
	switch {
	case a == policy.ExplicitDeny || b == policy.ExplicitDeny:
		return policy.ExplicitDeny
	case a == policy.Allow:
		return b
	default:
		return a
	}
}

var decisionNames = [...]string{
	policy.Allow: "allowed", policy.ExplicitDeny: "explicitDeny", policy.ImplicitDeny: "implicitDeny",
}

// sourceTypes are what AWS answers as SourcePolicyType, which are not the values of its API model.
var sourceTypes = [...]string{
	policy.Identity: "IAM Policy", policy.Boundary: "Permissions Boundary Policy", policy.Resource: "Resource Policy",
}
