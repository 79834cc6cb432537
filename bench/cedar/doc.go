// Package cedar measures stint's policy engine beside cedar-go, an engine for another policy language, on policies that say the
// same. It is a module of its own, so that cedar-go is no dependency of stint:
//
//	cd bench/cedar && go test -bench . -benchmem
//
// Only the ratio inside one run means something. The two do not do the same work: IAM compares texts, ignores the case of
// keys and actions, and reports which statement decided; Cedar compares typed entities and reports policies and errors.
package cedar
