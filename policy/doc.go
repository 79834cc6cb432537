// Package policy is the IAM policy language: parse, validate, compile, evaluate, explain.
//
// Parse reads one document strictly and compiles it into an immutable Document. Evaluate combines all documents that bear on
// a Request into a Decision with its Reason; Explain reports every check on the way. The package knows neither where documents
// are stored nor how a request context is filled, nor the size quotas of a kind (compare Document.Size with them).
//
// Sources: AWS IAM User Guide, "IAM JSON policy element reference", "Policy evaluation logic" and "Grammar of the IAM JSON
// policy language". Where the guide is silent, the reading that grants less is taken.
package policy
