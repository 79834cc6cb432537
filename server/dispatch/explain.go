package dispatch

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/policy"
)

// Explanation is why a past call went as it did, for operators: every check with what was expected and what was there. It
// quotes policies and request context.
type Explanation struct {
	RequestID   string              `json:"request_id"`
	Time        string              `json:"time"`
	Operation   string              `json:"operation"`
	Caller      string              `json:"caller,omitempty"`        // empty: nobody was authenticated
	AccessKeyID string              `json:"access_key_id,omitempty"` // as the request claimed
	SourceIP    string              `json:"source_ip,omitempty"`
	Code        string              `json:"code,omitempty"` // empty: success
	Message     string              `json:"message,omitempty"`
	Cause       string              `json:"cause,omitempty"` // what the caller did not see
	Decisions   []ExplainedDecision `json:"decisions,omitempty"`
	// Recorded is what the audit log kept of the explanation, when the call itself is not remembered any more.
	Recorded []string `json:"recorded,omitempty"`
}

// ExplainedDecision is one question of policy that the call raised.
type ExplainedDecision struct {
	Action    string           `json:"action"`
	Resource  string           `json:"resource"`
	Principal string           `json:"principal"`
	Outcome   string           `json:"outcome"` // Allow, ImplicitDeny, ExplicitDeny
	Reason    string           `json:"reason"`
	Note      string           `json:"note,omitempty"`
	Layers    []ExplainedLayer `json:"layers"`
}

// ExplainedLayer is one kind of policy.
type ExplainedLayer struct {
	Kind     string            `json:"kind"`
	Summary  string            `json:"summary"`
	Policies []ExplainedPolicy `json:"policies,omitempty"`
}

// ExplainedPolicy is one document of a layer.
type ExplainedPolicy struct {
	Name       string               `json:"name"`
	Statements []ExplainedStatement `json:"statements"`
}

// ExplainedStatement is one statement of a document.
type ExplainedStatement struct {
	Number  int              `json:"number"` // from 1
	Sid     string           `json:"sid,omitempty"`
	Effect  string           `json:"effect"`
	Applies bool             `json:"applies"`
	Checks  []ExplainedCheck `json:"checks"`
}

// ExplainedCheck is one test of a statement.
type ExplainedCheck struct {
	Element  string   `json:"element"` // "Action", "Condition StringEquals sts:ExternalId"
	Holds    bool     `json:"holds"`
	Expected []string `json:"expected"`
	Got      []string `json:"got"`
	Absent   bool     `json:"absent,omitempty"` // the request has no such condition key
	Note     string   `json:"note,omitempty"`
}

func explainDecision(d *authn.Decision) ExplainedDecision {
	t := policy.Explain(&d.Request, &d.Policies)
	e := ExplainedDecision{
		Action: d.Request.Action, Resource: d.Request.Resource, Principal: d.Request.Principal.ARN,
		Outcome: d.Outcome.Effect.String(), Reason: deciding(d), Note: t.Note,
	}
	for _, l := range t.Layers {
		e.Layers = append(e.Layers, explainLayer(&l, layerDocuments(&d.Policies, &l)))
	}
	return e
}

// deciding says what decided: which statement of which policy, or what was missing.
func deciding(d *authn.Decision) string {
	r := d.Outcome.Reason
	if r.Document < 0 || r.Kind == 0 {
		if s := strings.TrimSpace(d.Outcome.Suffix(d.Request.Action)); s != "" {
			return s
		}
		return "no policy was needed"
	}
	documents := layerDocuments(&d.Policies, &policy.LayerTrace{Kind: r.Kind, Level: r.Level})
	s := documentName(documents, r.Document)
	if strings.HasPrefix(s, "arn:") || strings.HasPrefix(s, "number ") { // other names say what they are
		s = r.Kind.String() + " policy " + s
	}
	s = fmt.Sprintf("%s, statement %d", s, r.Statement+1)
	if r.Sid != "" {
		s += " (" + r.Sid + ")"
	}
	return s
}

func layerDocuments(p *policy.Policies, l *policy.LayerTrace) []*policy.Document {
	switch l.Kind {
	case policy.Identity:
		return p.Identity
	case policy.Session:
		return p.Session
	case policy.Boundary:
		return []*policy.Document{p.Boundary}
	case policy.Trust, policy.Resource:
		return []*policy.Document{p.Resource}
	case policy.ServiceControl:
		return p.ServiceControl[l.Level]
	default:
		return nil
	}
}

func documentName(documents []*policy.Document, i int) string {
	if i < len(documents) && documents[i] != nil && documents[i].Name() != "" {
		return documents[i].Name()
	}
	return fmt.Sprintf("number %d", i+1)
}

func explainLayer(l *policy.LayerTrace, documents []*policy.Document) ExplainedLayer {
	e := ExplainedLayer{Kind: l.Kind.String()}
	switch {
	case !l.Counts:
		e.Summary = "has no say over this caller"
	case !l.Attached:
		e.Summary = "none attached"
	default:
		e.Summary = l.Effect.String()
		if l.Grant != "" && l.Effect == policy.Allow {
			e.Summary += ", " + l.Grant
		}
	}
	for i, d := range l.Documents {
		p := ExplainedPolicy{Name: documentName(documents, i)}
		for j, s := range d.Statements {
			p.Statements = append(p.Statements, explainStatement(j+1, &s))
		}
		e.Policies = append(e.Policies, p)
	}
	return e
}

func explainStatement(number int, s *policy.StatementTrace) ExplainedStatement {
	e := ExplainedStatement{Number: number, Sid: s.Sid, Effect: "Allow", Applies: s.Applies}
	if s.Effect == policy.ExplicitDeny {
		e.Effect = "Deny"
	}
	for _, c := range s.Checks {
		check := ExplainedCheck{Element: c.Element, Holds: c.Holds, Expected: c.Expected, Got: c.Got, Note: c.Note}
		if c.Key != "" {
			check.Element, check.Absent = "Condition "+c.Element+" "+c.Key, !c.Present
		}
		if c.Resolved != nil {
			check.Expected = c.Resolved
		}
		e.Checks = append(e.Checks, check)
	}
	return e
}

// WriteText prints the explanation for people.
func (e *Explanation) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "request   %s  %s  %s\n", e.RequestID, e.Operation, e.Time)
	caller := e.Caller
	if caller == "" {
		caller = "nobody was authenticated"
	}
	fmt.Fprintf(&b, "caller    %s  (access key %s, from %s)\n", caller, e.AccessKeyID, e.SourceIP)
	answer := "success"
	if e.Code != "" {
		answer = e.Code + ": " + e.Message
	}
	fmt.Fprintf(&b, "answer    %s\n", answer)
	if e.Cause != "" {
		fmt.Fprintf(&b, "because   %s\n", e.Cause)
	}
	e.writeDecisions(&b)
	for _, line := range e.Recorded {
		b.WriteString(line + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (e *Explanation) writeDecisions(b *strings.Builder) {
	for i, d := range e.Decisions {
		fmt.Fprintf(b, "\n%d. %s on %s: %s\n   %s\n", i+1, d.Action, d.Resource, d.Outcome, d.Reason)
		if d.Note != "" {
			fmt.Fprintf(b, "   %s\n", d.Note)
		}
		for _, l := range d.Layers {
			l.writeText(b)
		}
	}
}

func (l *ExplainedLayer) writeText(b *strings.Builder) {
	fmt.Fprintf(b, "   %s: %s\n", l.Kind, l.Summary)
	for _, p := range l.Policies {
		fmt.Fprintf(b, "     %s\n", p.Name)
		for _, s := range p.Statements {
			verdict := "does not apply"
			if s.Applies {
				verdict = "applies"
			}
			fmt.Fprintf(b, "       statement %d %s %s: %s\n", s.Number, s.Sid, s.Effect, verdict)
			for _, c := range s.Checks {
				c.writeText(b)
			}
		}
	}
}

func (c *ExplainedCheck) writeText(b *strings.Builder) {
	mark, got := "no ", fmt.Sprintf("%q", c.Got)
	if c.Holds {
		mark = "yes"
	}
	if c.Absent {
		got = "nothing"
	}
	fmt.Fprintf(b, "         %s %s: expected %q, got %s", mark, c.Element, c.Expected, got)
	if c.Note != "" {
		b.WriteString(" (" + c.Note + ")")
	}
	b.WriteByte('\n')
}

// Recorded makes an explanation of what the audit log kept of a call: line is its event.
func Recorded(line []byte) (*Explanation, error) {
	var event struct {
		Time      string `json:"eventTime"`
		Source    string `json:"eventSource"`
		Name      string `json:"eventName"`
		SourceIP  string `json:"sourceIPAddress"`
		Code      string `json:"errorCode"`
		Message   string `json:"errorMessage"`
		RequestID string `json:"requestID"`
		Identity  struct {
			ARN         string `json:"arn"`
			AccessKeyID string `json:"accessKeyId"`
		} `json:"userIdentity"`
		Additional struct {
			Cause       string   `json:"cause"`
			AllowedBy   string   `json:"allowedBy"`
			Explanation []string `json:"explanation"`
		} `json:"additionalEventData"`
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return nil, fmt.Errorf("audit event: %w", err)
	}
	service, _, _ := strings.Cut(event.Source, ".")
	e := &Explanation{
		RequestID: event.RequestID, Time: event.Time, Operation: service + ":" + event.Name, SourceIP: event.SourceIP,
		Caller: event.Identity.ARN, AccessKeyID: event.Identity.AccessKeyID, Code: event.Code, Message: event.Message,
		Cause: event.Additional.Cause, Recorded: event.Additional.Explanation,
	}
	if event.Additional.AllowedBy != "" {
		e.Recorded = []string{"allowed by " + event.Additional.AllowedBy}
	}
	return e, nil
}
