// Package apitest holds stint's webhook and its manifests against the types of the Kubernetes API, and against an SDK in the pod that
// comes out. It is a module of its own, so that those types are no dependency of stint; "make unit" runs it.
package apitest
