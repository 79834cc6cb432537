// Package arn is the validated Amazon Resource Name: parsing, printing, and the names of STS and IAM principals.
//
// Source: AWS General Reference, "Amazon Resource Names (ARNs)"; AWS IAM User Guide, "IAM identifiers".
package arn

import (
	"errors"
	"strings"
)

// Partition is the partition of every ARN that stint makes.
const Partition = "aws"

// maxLen bounds an ARN (IAM API model, arnType).
const maxLen = 2048

// ErrInvalid tells that a text is not an ARN.
var ErrInvalid = errors.New("not an ARN")

// ARN is arn:Partition:Service:Region:Account:Resource. Resource keeps every further colon. The zero value is no ARN.
type ARN struct {
	Partition string
	Service   string
	Region    string // empty for STS and IAM
	Account   string // 12 digits, "aws" for AWS's own policies, or empty
	Resource  string // for example "role/path/name"
}

// Parse splits s at its first five colons. It returns ErrInvalid unless s starts with "arn:", has six parts, is at most
// 2,048 bytes long, and partition, service and resource are not empty.
func Parse(s string) (ARN, error) {
	if len(s) > maxLen || !strings.HasPrefix(s, "arn:") {
		return ARN{}, ErrInvalid
	}
	var parts [5]string
	rest := s[len("arn:"):]
	for i := range 4 {
		before, after, found := strings.Cut(rest, ":")
		if !found {
			return ARN{}, ErrInvalid
		}
		parts[i], rest = before, after
	}
	if parts[0] == "" || parts[1] == "" || rest == "" {
		return ARN{}, ErrInvalid
	}
	return ARN{Partition: parts[0], Service: parts[1], Region: parts[2], Account: parts[3], Resource: rest}, nil
}

// String prints the ARN; the zero ARN prints as "".
func (a ARN) String() string {
	if a == (ARN{}) {
		return ""
	}
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// Type returns the resource up to its first slash: "role", "user", "policy", "root".
func (a ARN) Type() string {
	t, _, _ := strings.Cut(a.Resource, "/")
	return t
}

// Name returns the resource after its last slash, or "" when it has none.
func (a ARN) Name() string {
	if i := strings.LastIndexByte(a.Resource, '/'); i >= 0 {
		return a.Resource[i+1:]
	}
	return ""
}

// IsIAM reports whether a names an IAM resource of the given type, such as "role".
func (a ARN) IsIAM(resourceType string) bool {
	return a.Service == "iam" && a.Region == "" && a.Type() == resourceType && a.Name() != ""
}

// Root is the account itself: arn:aws:iam::ACCOUNT:root.
func Root(account string) string { return "arn:" + Partition + ":iam::" + account + ":root" }

// Entity names an IAM entity: arn:aws:iam::ACCOUNT:TYPE/PATH/NAME. The path begins and ends with a slash.
func Entity(account, resourceType, path, name string) string {
	return "arn:" + Partition + ":iam::" + account + ":" + resourceType + path + name
}

// AssumedRole names a role session; the role's path does not appear in it.
func AssumedRole(account, roleName, sessionName string) string {
	return "arn:" + Partition + ":sts::" + account + ":assumed-role/" + roleName + "/" + sessionName
}

// FederatedUser names a session made by GetFederationToken.
func FederatedUser(account, name string) string {
	return "arn:" + Partition + ":sts::" + account + ":federated-user/" + name
}

// ValidAccount reports whether s is an account id: 12 decimal digits.
func ValidAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
