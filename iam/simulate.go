package iam

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
)

// ContextEntry gives a simulation the values of a condition key.
type ContextEntry struct {
	ContextKeyName   string   `aws:"ContextKeyName" len:"5,256"`
	ContextKeyValues []string `aws:"ContextKeyValues"`
	ContextKeyType   string   `aws:"ContextKeyType" enum:"string,stringList,numeric,numericList,boolean,booleanList,ip,ipList,binary,binaryList,date,dateList"`
}

// SimulationInput is what both simulations ask for.
type SimulationInput struct {
	ActionNames                        []string       `aws:"ActionNames,required" itemlen:"3,128"`
	PermissionsBoundaryPolicyInputList []string       `aws:"PermissionsBoundaryPolicyInputList" itemlen:"1,131072" itempattern:"policyDocument"`
	ResourceARNs                       []string       `aws:"ResourceArns" itemlen:"1,2048"`
	ResourcePolicy                     string         `aws:"ResourcePolicy" len:"1,131072" pattern:"policyDocument"`
	ResourceOwner                      string         `aws:"ResourceOwner" len:"1,2048"`
	CallerARN                          string         `aws:"CallerArn" len:"1,2048"`
	ContextEntries                     []ContextEntry `aws:"ContextEntries"`
	ResourceHandlingOption             string         `aws:"ResourceHandlingOption" len:"1,64"`
	PageInput                          `aws:",inline"`
}

// SimulateCustomPolicyInput is the input of SimulateCustomPolicy.
type SimulateCustomPolicyInput struct {
	PolicyInputList                    []string             `aws:"PolicyInputList,required" itemlen:"1,131072" itempattern:"policyDocument"`
	OrderedOrganizationPolicyInputList []OrganizationPolicy `aws:"OrderedOrganizationPolicyInputList" len:"0,7"`
	SimulationInput                    `aws:",inline"`
}

// OrganizationPolicy is the service control policies of one level of an organization.
type OrganizationPolicy struct {
	ServiceControlPolicyInputList []string `aws:"ServiceControlPolicyInputList" itemlen:"1,131072" itempattern:"policyDocument"`
}

// SimulatePrincipalPolicyInput is the input of SimulatePrincipalPolicy.
type SimulatePrincipalPolicyInput struct {
	PolicySourceARN     string             `aws:"PolicySourceArn,required" len:"20,2048"`
	PolicyInputList     []string           `aws:"PolicyInputList" itemlen:"1,131072" itempattern:"policyDocument"`
	PolicyExclusionList []PolicyIdentifier `aws:"PolicyExclusionList" len:"0,256"`
	SimulationInput     `aws:",inline"`
}

// SimulationOutput is the output of both simulations.
type SimulationOutput struct {
	EvaluationResults []EvaluationResult `aws:"EvaluationResults,always"`
	PageOutput        `aws:",inline"`
}

// The outputs, each under the name of its operation.
type (
	SimulateCustomPolicyOutput    SimulationOutput
	SimulatePrincipalPolicyOutput SimulationOutput
)

// EvaluationResult is what a simulation says of one action.
type EvaluationResult struct {
	EvalActionName                    string                     `aws:"EvalActionName"`
	EvalResourceName                  string                     `aws:"EvalResourceName"`
	EvalDecision                      string                     `aws:"EvalDecision"` // allowed, explicitDeny, implicitDeny
	MatchedStatements                 []MatchedStatement         `aws:"MatchedStatements,always"`
	MissingContextValues              []string                   `aws:"MissingContextValues,always"`
	OrganizationsDecisionDetail       *OrganizationsDecision     `aws:"OrganizationsDecisionDetail"`
	PermissionsBoundaryDecisionDetail *BoundaryDecision          `aws:"PermissionsBoundaryDecisionDetail"`
	EvalDecisionDetails               map[string]string          `aws:"EvalDecisionDetails"`
	ResourceSpecificResults           []EvaluationResourceResult `aws:"ResourceSpecificResults"`
}

// EvaluationResourceResult is what a simulation says of one action on one resource.
type EvaluationResourceResult struct {
	EvalResourceName                  string             `aws:"EvalResourceName"`
	EvalResourceDecision              string             `aws:"EvalResourceDecision"`
	MatchedStatements                 []MatchedStatement `aws:"MatchedStatements,always"`
	MissingContextValues              []string           `aws:"MissingContextValues,always"`
	EvalDecisionDetails               map[string]string  `aws:"EvalDecisionDetails"`
	PermissionsBoundaryDecisionDetail *BoundaryDecision  `aws:"PermissionsBoundaryDecisionDetail"`
}

// MatchedStatement is a statement that decided.
type MatchedStatement struct {
	SourcePolicyID   string   `aws:"SourcePolicyId"`
	SourcePolicyType string   `aws:"SourcePolicyType"`
	StartPosition    Position `aws:"StartPosition"`
	EndPosition      Position `aws:"EndPosition"`
}

// Position is a place in the text of a policy, from 1.
type Position struct {
	Line   int `aws:"Line"`
	Column int `aws:"Column"`
}

// OrganizationsDecision is the part of the service control policies.
type OrganizationsDecision struct {
	AllowedByOrganizations bool `aws:"AllowedByOrganizations"`
}

// BoundaryDecision is the part of the permissions boundary.
type BoundaryDecision struct {
	AllowedByPermissionsBoundary bool `aws:"AllowedByPermissionsBoundary"`
}

// SimulateCustomPolicy tells what policies that are given as text would allow. It reads nothing of the directory.
func (s *Service) SimulateCustomPolicy(
	ctx context.Context, c *authn.Caller, in *SimulateCustomPolicyInput,
) (*SimulateCustomPolicyOutput, error) {
	if err := (access{caller: c, action: "iam:SimulateCustomPolicy"}).allow("*", nil); err != nil {
		return nil, err
	}
	sim := &simulation{now: s.now(), principal: policy.Principal{Type: policy.User, Account: c.Account}}
	if in.CallerARN == "" && in.ResourcePolicy != "" {
		return nil, invalidInput("CallerArn is required with a ResourcePolicy.")
	}
	err := sim.identity(in.PolicyInputList)
	if err == nil {
		err = sim.organization(in.OrderedOrganizationPolicyInputList)
	}
	if err == nil {
		err = sim.prepare(&in.SimulationInput)
	}
	if err != nil {
		return nil, err
	}
	out, err := sim.page(ctx, &in.SimulationInput)
	return (*SimulateCustomPolicyOutput)(out), err
}

// SimulatePrincipalPolicy tells what the policies of a user, group or role would allow, with others that are given as text, or
// without some of its own.
func (s *Service) SimulatePrincipalPolicy(
	ctx context.Context, c *authn.Caller, in *SimulatePrincipalPolicyInput,
) (*SimulatePrincipalPolicyOutput, error) {
	source, err := s.policySource(ctx, access{caller: c, action: "iam:SimulatePrincipalPolicy"}, in.PolicySourceARN)
	if err != nil {
		return nil, err
	}
	if err := source.exclude(in.PolicyExclusionList); err != nil {
		return nil, err
	}
	sim := &simulation{now: s.now()}
	if err := sim.source(source); err != nil {
		return nil, err
	}
	if err := sim.identity(in.PolicyInputList); err != nil {
		return nil, err
	}
	if err := sim.prepare(&in.SimulationInput); err != nil {
		return nil, err
	}
	out, err := sim.page(ctx, &in.SimulationInput)
	return (*SimulatePrincipalPolicyOutput)(out), err
}

func invalidInput(message string) error { return awserr.New(awserr.InvalidInput, message) }

// simulationPolicy parses one of the policies of a simulation's input, and names it after its place there.
func simulationPolicy(kind policy.Kind, place, document string) (*policy.Document, error) {
	d, err := policy.Parse(kind, document)
	if err != nil {
		return nil, invalidPolicy(place, err)
	}
	return d.Named(place), nil
}

func invalidPolicy(place string, err error) error {
	if refused, ok := errors.AsType[*policy.Error](err); ok {
		return awserr.Wrap(awserr.InvalidInput, "Invalid policy document in "+place+": "+refused.Message, err)
	}
	return err
}

func simulationPolicies(kind policy.Kind, list string, documents []string) ([]*policy.Document, error) {
	parsed := make([]*policy.Document, len(documents))
	for i, text := range documents {
		var err error
		if parsed[i], err = simulationPolicy(kind, list+"."+strconv.Itoa(i+1), text); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}

func (sim *simulation) identity(documents []string) error {
	parsed, err := simulationPolicies(policy.Identity, "PolicyInputList", documents)
	sim.policies.Identity = append(sim.policies.Identity, parsed...)
	return err
}

func (sim *simulation) organization(levels []OrganizationPolicy) error {
	for i, level := range levels {
		list := "OrderedOrganizationPolicyInputList." + strconv.Itoa(i+1)
		parsed, err := simulationPolicies(policy.ServiceControl, list, level.ServiceControlPolicyInputList)
		if err != nil {
			return err
		}
		sim.policies.ServiceControl = append(sim.policies.ServiceControl, parsed)
	}
	return nil
}

// source takes the policies of an entity of the directory, and the entity as caller.
func (sim *simulation) source(source *policySource) error {
	var err error
	if sim.policies.Identity, err = source.identity(); err != nil {
		return err
	}
	if sim.policies.Boundary, err = source.boundary(); err != nil {
		return err
	}
	sim.sourceARN = source.arn
	if source.caller == nil { // a group
		sim.principal = policy.Principal{Type: policy.User, ARN: source.arn, Account: source.account}
		return nil
	}
	sim.principal, sim.context = authz.Simulated(source.caller)
	return nil
}

// prepare takes over what both simulations have in common.
func (sim *simulation) prepare(in *SimulationInput) error {
	for _, step := range []func(*SimulationInput) error{
		sim.actions, sim.boundary, sim.caller, sim.resourcePolicy, sim.resources, sim.entries, handlingOption,
	} {
		if err := step(in); err != nil {
			return err
		}
	}
	return sim.bounded()
}

func (sim *simulation) actions(in *SimulationInput) error {
	for _, action := range in.ActionNames {
		service, name, ok := strings.Cut(action, ":")
		if !ok || service == "" || name == "" || strings.ContainsAny(action, "*? ") {
			return invalidInput("Invalid action name: " + action)
		}
	}
	return nil
}

// boundary takes the one permissions boundary that may be given in place of the attached one.
func (sim *simulation) boundary(in *SimulationInput) error {
	if len(in.PermissionsBoundaryPolicyInputList) > 1 {
		return invalidInput("Only one permissions boundary policy can be simulated.")
	}
	parsed, err := simulationPolicies(policy.Boundary, "PermissionsBoundaryPolicyInputList", in.PermissionsBoundaryPolicyInputList)
	if len(parsed) == 1 && err == nil {
		sim.policies.Boundary = parsed[0]
	}
	return err
}

// caller is who the simulation pretends to call. Of another than the source nothing is looked up: who may simulate must not
// learn from the answer who exists and how it is tagged.
func (sim *simulation) caller(in *SimulationInput) error {
	if in.CallerARN == "" || in.CallerARN == sim.sourceARN {
		return nil
	}
	a, err := arn.Parse(in.CallerARN)
	if err != nil || a.Partition != arn.Partition || !arn.ValidAccount(a.Account) || a.Name() == "" {
		return invalidInput("Invalid CallerArn: " + in.CallerARN)
	}
	e := &authn.Entity{Account: a.Account, ARN: in.CallerARN, Name: a.Name()}
	switch {
	case a.IsIAM("user"):
		e.Type = authn.UserEntity
	case a.IsIAM("role"):
		e.Type = authn.RoleEntity
	case a.IsIAM("group"):
		sim.principal, sim.context = policy.Principal{Type: policy.User, ARN: in.CallerARN, Account: a.Account}, nil
		return nil
	default:
		return invalidInput("Invalid CallerArn: " + in.CallerARN)
	}
	sim.principal, sim.context = authz.Simulated(e)
	return nil
}

// resourcePolicy takes the policy that every simulated resource has. Without one the account of the caller is left to decide
// by its own policies: what is on a resource that is only named cannot be known.
func (sim *simulation) resourcePolicy(in *SimulationInput) error {
	const place = "ResourcePolicy"
	if in.ResourcePolicy == "" {
		d, err := policy.Parse(policy.Resource, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"`+
			sim.principal.Account+`"},"Action":"*","Resource":"*"}}`)
		sim.policies.Resource = d
		return err
	}
	sim.ownPolicy = true
	d, err := policy.Parse(policy.Resource, in.ResourcePolicy)
	if err != nil {
		trust, trustErr := policy.Parse(policy.Trust, in.ResourcePolicy)
		if trustErr != nil {
			return invalidPolicy(place, err)
		}
		d = trust
	}
	sim.policies.Resource = d.Named(place)
	return nil
}

// resources are what each action is simulated on.
func (sim *simulation) resources(in *SimulationInput) error {
	sim.owner = sim.principal.Account
	if in.ResourceOwner != "" {
		owner := in.ResourceOwner
		if a, err := arn.Parse(owner); err == nil {
			owner = a.Account
		}
		if !arn.ValidAccount(owner) {
			return invalidInput("Invalid ResourceOwner: " + in.ResourceOwner)
		}
		sim.owner = owner
	}
	for _, r := range in.ResourceARNs {
		if _, err := arn.Parse(r); r != "*" && err != nil {
			return invalidInput("Invalid resource ARN: " + r)
		}
	}
	sim.named = in.ResourceARNs
	if len(sim.named) == 0 || len(sim.named) == 1 && sim.named[0] == "*" {
		sim.named, sim.anywhere = []string{"*"}, true
	}
	return nil
}

// entries puts the given condition keys before those that the simulation knows by itself.
func (sim *simulation) entries(in *SimulationInput) error {
	ctx := policy.NewContext(sim.context)
	authz.Clock(ctx, sim.now)
	sim.context = policy.NewContext(ctx)
	for i, e := range in.ContextEntries {
		place := "ContextEntries." + strconv.Itoa(i+1)
		if e.ContextKeyName == "" || e.ContextKeyType == "" {
			return invalidInput(place + " needs a name and a type.")
		}
		single, list := strings.CutSuffix(e.ContextKeyType, "List")
		for _, v := range e.ContextKeyValues {
			if !policy.ValidValue(single, v) {
				return invalidInput("Invalid value of " + e.ContextKeyName + " in " + place + ": not of type " + single + ".")
			}
		}
		switch {
		case list || len(e.ContextKeyValues) > 1:
			sim.context.SetList(e.ContextKeyName, e.ContextKeyValues)
		case len(e.ContextKeyValues) == 1:
			sim.context.Set(e.ContextKeyName, e.ContextKeyValues[0])
		default:
			return invalidInput(place + " has no value.")
		}
	}
	return nil
}

// handlingOption checks the EC2 scenario, which bears on nothing else here.
func handlingOption(in *SimulationInput) error {
	switch in.ResourceHandlingOption {
	case "", "EC2-Classic-InstanceStore", "EC2-Classic-EBS", "EC2-VPC-InstanceStore", "EC2-VPC-InstanceStore-Subnet",
		"EC2-VPC-EBS", "EC2-VPC-EBS-Subnet":
		return nil
	}
	return invalidInput("Invalid ResourceHandlingOption: " + in.ResourceHandlingOption)
}
