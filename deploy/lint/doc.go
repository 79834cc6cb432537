// Package lint holds what deploy/ has against the programs and types that will read it: BuildKit's parser and linter for the Dockerfile,
// Compose's loader, Helm's linter and engine, the types of the Kubernetes API, Prometheus's parser, and stint itself, whose metrics the
// dashboard and the alerts must name. It is a module of its own, so that none of these is a dependency of stint; scripts/deploy.sh runs it.
package lint
