package iam

import (
	"strings"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/awserr"
)

// providerName is what follows the resource type in the ARN of an identity provider of the caller's account.
func (a access) providerName(resourceType, providerARN string) (string, error) {
	parsed, err := arn.Parse(providerARN)
	switch {
	case err != nil || !parsed.IsIAM(resourceType) || !arn.ValidAccount(parsed.Account):
		return "", awserr.New(awserr.ValidationError, "Invalid ARN:  Could not be parsed!") // two spaces, as AWS
	case parsed.Partition != arn.Partition:
		return "", awserr.New(awserr.ValidationError, "Invalid ARN partition")
	case parsed.Account != a.caller.Account:
		return "", a.foreign(providerARN)
	}
	return strings.TrimPrefix(parsed.Resource, resourceType+"/"), nil
}
