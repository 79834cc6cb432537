package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/iam/apply"
)

// maxApply bounds what one apply may send, in bytes: some hundred thousand objects.
const maxApply = 64 << 20

// AdminApply is a request to bring accounts to the state that documents say.
type AdminApply struct {
	Documents []apply.Document `json:"documents"`
	Options   apply.Options    `json:"options"`
}

// adminApply applies documents. It ends early when the client leaves, between two operations.
func (s *Server) adminApply(w http.ResponseWriter, r *http.Request) {
	var in AdminApply
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxApply))
	d.DisallowUnknownFields() // a newer command must not have half of its wishes fulfilled
	if err := d.Decode(&in); err != nil {
		s.adminAnswer(w, nil, awserr.Newf(awserr.ValidationError, "the request cannot be read: %v", err))
		return
	}
	// Thousands of operations take longer than the listener allows a call. In process there is no deadline to lift.
	deadlines := http.NewResponseController(w)
	_, _ = deadlines.SetReadDeadline(time.Time{}), deadlines.SetWriteDeadline(time.Time{})
	result, err := apply.Apply(r.Context(), s.iam, s.runAsRoot(), in.Documents, in.Options)
	s.adminAnswer(w, result, err)
}

// runAsRoot is how files are applied: by IAM's operations, as the root user of each account.
func (s *Server) runAsRoot() apply.Run {
	run := s.asOperator("stint-apply/" + s.version)
	return func(ctx context.Context, root *authn.Caller, operation string, in any) error {
		_, err := run(ctx, root, "iam", operation, in)
		return err
	}
}
