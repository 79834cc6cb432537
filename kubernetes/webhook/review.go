package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
)

// The messages of admission.k8s.io/v1, as far as they matter here (Kubernetes documentation, "Dynamic Admission Control").

const (
	reviewVersion = "admission.k8s.io/v1"
	reviewKind    = "AdmissionReview"
)

type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID  string `json:"uid"`
	Kind struct {
		Group   string `json:"group"`
		Version string `json:"version"`
		Kind    string `json:"kind"`
	} `json:"kind"`
	SubResource string          `json:"subResource"`
	Operation   string          `json:"operation"`
	Namespace   string          `json:"namespace"`
	Object      json.RawMessage `json:"object"`
}

type response struct {
	UID              string            `json:"uid"`
	Allowed          bool              `json:"allowed"`
	Status           *status           `json:"status,omitempty"`
	Patch            []byte            `json:"patch,omitempty"`
	PatchType        string            `json:"patchType,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
	Warnings         []string          `json:"warnings,omitempty"`
}

func (r *response) result() string {
	switch {
	case !r.Allowed:
		return "denied"
	case r.Patch != nil:
		return "patched"
	default:
		return "unchanged"
	}
}

type status struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// maxReview bounds the body of a review. An API server takes objects of up to 3 MiB, and a review holds one, twice for an update.
const maxReview = 8 << 20

// failure is a review that has no answer. The API server then does what the webhook's failurePolicy says.
type failure struct {
	httpStatus int
	err        error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func malformed(format string, args ...any) error {
	return &failure{http.StatusBadRequest, fmt.Errorf(format, args...)}
}

// mutate answers a review. What cannot be decided is an HTTP error, so that the failurePolicy decides: a pod that would start without
// its credentials is never waved through.
func (s *Service) mutate(w http.ResponseWriter, r *http.Request) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		http.Error(w, "the content type of a review is application/json", http.StatusUnsupportedMediaType)
		return
	}
	select {
	case s.reviews <- struct{}{}:
		defer func() { <-s.reviews }()
	case <-r.Context().Done():
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, fmt.Sprintf("the review is larger than %d bytes", maxReview), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the review did not arrive", http.StatusBadRequest)
		return
	}
	answer, err := s.review(r.Context(), body)
	if err != nil {
		code := http.StatusInternalServerError
		var f *failure
		if errors.As(err, &f) {
			code = f.httpStatus
		}
		s.results.WithLabelValues("failed").Inc()
		s.log.Error("review not answered", "error", err, "status", code)
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // the API server that has gone away asks again
}

// review answers the bytes of an AdmissionReview.
func (s *Service) review(ctx context.Context, body []byte) ([]byte, error) {
	asked, err := parseReview(body)
	if err != nil {
		return nil, err
	}
	p, err := parsePod(asked.Object)
	if err != nil {
		return nil, err
	}
	answer, err := s.decide(ctx, asked, p)
	if err != nil {
		return nil, fmt.Errorf("pod %s/%s: %w", asked.Namespace, p.name(), err)
	}
	answer.UID = asked.UID
	s.results.WithLabelValues(answer.result()).Inc()
	return json.Marshal(review{APIVersion: reviewVersion, Kind: reviewKind, Response: answer})
}

func parseReview(body []byte) (*request, error) {
	var in review
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, malformed("review: %w", err)
	}
	switch r := in.Request; {
	case in.Kind != reviewKind:
		return nil, malformed("review: kind is %q, want %s", in.Kind, reviewKind)
	case in.APIVersion != reviewVersion:
		return nil, malformed("review: apiVersion is %q, want %s: set admissionReviewVersions to [v1]", in.APIVersion, reviewVersion)
	case r == nil || r.UID == "":
		return nil, malformed("review: no request with a uid")
	case r.Kind.Group != "" || r.Kind.Version != "v1" || r.Kind.Kind != "Pod" || r.SubResource != "" || r.Operation != "CREATE":
		return nil, malformed("review: %s of %s/%s %s %s: the rules of this webhook are for the creation of pods alone", r.Operation,
			r.Kind.Group, r.Kind.Version, r.Kind.Kind, r.SubResource)
	case r.Namespace == "":
		return nil, malformed("review: no namespace")
	default:
		return r, nil
	}
}

// decide answers for one pod.
func (s *Service) decide(ctx context.Context, asked *request, p *pod) (*response, error) {
	account := p.account()
	if account == "" {
		return &response{Allowed: true}, nil // a mirror pod: what the kubelet runs by itself has no ServiceAccount
	}
	annotations, err := s.accounts.annotations(ctx, asked.Namespace, account)
	if err != nil {
		return nil, &failure{http.StatusServiceUnavailable, err}
	}
	log := s.log.With("namespace", asked.Namespace, "pod", p.name(), "service_account", account)
	in, err := s.cfg.injection(annotations, p)
	switch {
	case err != nil:
		log.Warn("pod denied", "error", err)
		return &response{Status: &status{http.StatusUnprocessableEntity, fmt.Sprintf("ServiceAccount %s/%s: %v", asked.Namespace, account, err)}}, nil
	case in == nil:
		return &response{Allowed: true}, nil
	}
	answer := &response{Allowed: true, Warnings: in.warnings, AuditAnnotations: map[string]string{"role-arn": in.role}}
	operations := in.patch(p)
	if len(operations) > 0 {
		if answer.Patch, err = json.Marshal(operations); err != nil {
			return nil, fmt.Errorf("patch: %w", err)
		}
		answer.PatchType = "JSONPatch"
	}
	log.LogAttrs(ctx, slog.LevelInfo, "pod reviewed", slog.String("role", in.role), slog.Int("operations", len(operations)),
		slog.String("warnings", strings.Join(in.warnings, "; ")))
	return answer, nil
}
