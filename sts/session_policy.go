package sts

import (
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/policy"
)

const (
	// maxPlainPolicy bounds the inline session policy and the managed policies' ARNs together, in characters
	// (AWS STS API Reference, "AssumeRole", Policy).
	maxPlainPolicy = 2048
	// packedBudget is the allotted space for session policies and tags, in compressed bytes. AWS does not publish its own
	// (DESIGN.md section 11).
	packedBudget = 2048
)

// sessionPolicies checks the policies that limit a new session, and returns how much of the allotted space they and the tags
// consume, in percent; nil when neither was passed.
func (s *Service) sessionPolicies(ctx context.Context, account string, inline *string, managed []PolicyDescriptor, tags []Tag) (*int32, error) {
	if inline == nil && len(managed) == 0 && len(tags) == 0 {
		return nil, nil
	}
	plain := 0
	if inline != nil {
		plain = utf8.RuneCountInString(*inline)
	}
	for _, m := range managed {
		plain += len(m.ARN)
	}
	if plain > maxPlainPolicy {
		return nil, awserr.Newf(awserr.InvalidParameterValue, "Session policy should not exceed %d characters", maxPlainPolicy)
	}
	if inline != nil {
		if _, err := policy.Parse(policy.Session, *inline); err != nil {
			return nil, malformed(err)
		}
	}
	if err := s.managedPolicies(ctx, account, managed); err != nil {
		return nil, err
	}
	return packedSize(inline, managed, tags)
}

// managedPolicies refuses ARNs that name no managed policy of AWS or of the account.
func (s *Service) managedPolicies(ctx context.Context, account string, managed []PolicyDescriptor) error {
	for i, m := range managed {
		a, err := arn.Parse(m.ARN)
		if err != nil || !a.IsIAM("policy") {
			return awserr.Newf(awserr.ValidationError, "%s is invalid", m.ARN)
		}
		for _, earlier := range managed[:i] {
			if earlier == m {
				return awserr.New(awserr.InvalidParameterValue, "The policy ARNs of a session must be unique.")
			}
		}
		_, err = s.directory.ManagedPolicy(ctx, account, m.ARN)
		if errors.Is(err, authn.ErrUnknown) {
			return awserr.Newf(awserr.ValidationError, "Policy %s does not exist or is not attachable.", m.ARN)
		}
		if err != nil {
			return fmt.Errorf("managed policy %s: %w", m.ARN, err)
		}
	}
	return nil
}

// packedSize measures policies and tags in percent of the allotted space.
func packedSize(inline *string, managed []PolicyDescriptor, tags []Tag) (*int32, error) {
	var text strings.Builder
	if inline != nil {
		text.WriteString(*inline)
	}
	for _, m := range managed {
		text.WriteString(m.ARN + "\n")
	}
	policies := text.Len()
	for _, t := range tags {
		text.WriteString(t.Key + "\x00" + t.Value + "\n")
	}
	percent := int32((compressed(text.String())*100 + packedBudget - 1) / packedBudget)
	if percent <= 100 {
		return &percent, nil
	}
	if policies == 0 {
		return nil, awserr.Newf(awserr.PackedPolicyTooLarge, "Packed size of session tags consumes %d%% of allotted space.", percent)
	}
	return nil, awserr.Newf(awserr.PackedPolicyTooLarge, "Packed policy consumes %d%% of allotted space, please use smaller policy.", percent)
}

// compressed is the size of text after deflate (RFC 1951).
func compressed(text string) int {
	w := deflaters.Get().(*deflater)
	defer deflaters.Put(w)
	w.size = 0
	w.flate.Reset(w)
	_, _ = w.flate.Write([]byte(text)) // a counter cannot fail
	_ = w.flate.Close()
	return w.size
}

// deflater counts what its compressor writes. Compressors are large and therefore reused.
type deflater struct {
	flate *flate.Writer
	size  int
}

func (d *deflater) Write(p []byte) (int, error) {
	d.size += len(p)
	return len(p), nil
}

var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	d.flate, _ = flate.NewWriter(d, flate.BestSpeed) // the level is valid
	return d
}}

func policyARNs(managed []PolicyDescriptor) []string {
	if len(managed) == 0 {
		return nil
	}
	arns := make([]string, len(managed))
	for i, m := range managed {
		arns[i] = m.ARN
	}
	return arns
}
