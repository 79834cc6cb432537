// Package policy is the IAM policy language: parse, validate, compile, evaluate, explain.
package policy
