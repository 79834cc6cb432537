package agent

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/stint-sts/stint/arn"
)

// Metadata is the part of the EC2 instance metadata service (Amazon EC2 User Guide, "Access instance metadata for an EC2 instance")
// that AWS SDKs need: tokens of version 2, the credentials of the role, and the region.
//
// A token is not a secret that a caller must know: whoever may connect gets one. It shows that the caller can send PUT and headers of
// its choice, which a program that is tricked into fetching a URL cannot.
type Metadata struct {
	Keeper *Keeper
	Role   arn.ARN
	Region string           // empty: nothing is said about the region
	V1     bool             // also answer requests without a token
	Wait   time.Duration    // how long a request waits for the first credentials
	Now    func() time.Time // the wall clock; default time.Now
}

const (
	metadataTTL      = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	metadataToken    = "X-Aws-Ec2-Metadata-Token"
	maxMetadataTTL   = 21_600 // seconds: EC2's limit
	credentialsPath  = "/latest/meta-data/iam/security-credentials"
	identityDocument = "/latest/dynamic/instance-identity/document" // where the SDK for Go looks for the region
)

// Handler serves the metadata service and /healthz.
func (m *Metadata) Handler() http.Handler {
	if m.Now == nil {
		m.Now = time.Now
	}
	tokens := newMetadataTokens(m.Now)
	data := http.NewServeMux()
	data.HandleFunc("GET "+credentialsPath, m.role)
	data.HandleFunc("GET "+credentialsPath+"/{$}", m.role)
	data.HandleFunc("GET "+credentialsPath+"/{role}", m.credentials)
	if m.Region != "" {
		data.HandleFunc("GET /latest/meta-data/placement/region", text(m.Region))
		data.HandleFunc("GET /latest/meta-data/placement/availability-zone", text(m.Region+"a")) // SDKs cut the letter off
		data.HandleFunc("GET "+identityDocument, m.identity)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", tokens.issue)
	mux.HandleFunc("GET /healthz", health(m.Keeper))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		switch given := r.Header[metadataToken]; {
		case len(given) == 0 && m.V1:
		case len(given) != 1 || !tokens.valid(given[0]):
			fail(w, http.StatusUnauthorized, "Unauthorized", "A valid token of PUT /latest/api/token is required.")
			return
		}
		data.ServeHTTP(w, r)
	})
	return mux
}

func (m *Metadata) role(w http.ResponseWriter, r *http.Request) { text(m.Role.Name())(w, r) }

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, s)
	}
}

func (m *Metadata) identity(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, map[string]string{"accountId": m.Role.Account, "region": m.Region, "availabilityZone": m.Region + "a", "version": "2017-09-30"})
}

func (m *Metadata) credentials(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("role") != m.Role.Name() {
		http.NotFound(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), m.Wait)
	defer cancel()
	creds, err := m.Keeper.Credentials(ctx)
	updated := wireTime(m.Now())
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		// As EC2 answers when the role does not let the instance in: with status 200, so that SDKs read why.
		answerJSON(w, map[string]string{"Code": refusal.Code, "Message": refusal.Message, "LastUpdated": updated})
		return
	}
	if err != nil {
		failCredentials(w, err)
		return
	}
	answerJSON(w, struct {
		Code, LastUpdated, Type, AccessKeyId, SecretAccessKey, Token, Expiration string
	}{
		"Success", updated, "AWS-HMAC", creds.AccessKeyID, creds.SecretAccessKey.Reveal(), creds.SessionToken.Reveal(), wireTime(creds.Expiration),
	})
}

// metadataTokens issues tokens that nothing is kept of: their end, and a MAC of it under a key of the process.
type metadataTokens struct {
	now func() time.Time
	key [32]byte
}

func newMetadataTokens(now func() time.Time) *metadataTokens {
	t := &metadataTokens{now: now}
	_, _ = rand.Read(t.key[:]) // never fails
	return t
}

func (t *metadataTokens) issue(w http.ResponseWriter, r *http.Request) {
	given := r.Header[metadataTTL]
	if len(given) != 1 {
		fail(w, http.StatusBadRequest, "BadRequest", "The header "+metadataTTL+" is required once.")
		return
	}
	seconds, err := strconv.ParseUint(given[0], 10, 16)
	if err != nil || seconds < 1 || seconds > maxMetadataTTL {
		fail(w, http.StatusBadRequest, "BadRequest", "The header "+metadataTTL+" must be 1 to 21600.")
		return
	}
	end := binary.BigEndian.AppendUint64(nil, uint64(t.now().Add(time.Duration(seconds)*time.Second).UnixMilli()))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set(metadataTTL, strconv.FormatUint(seconds, 10))
	_, _ = io.WriteString(w, base64.URLEncoding.EncodeToString(append(end, t.mac(end)...)))
}

func (t *metadataTokens) mac(end []byte) []byte {
	h := hmac.New(sha256.New, t.key[:])
	_, _ = h.Write(end) // never fails
	return h.Sum(nil)
}

func (t *metadataTokens) valid(token string) bool {
	const endSize = 8
	if len(token) != base64.URLEncoding.EncodedLen(endSize+sha256.Size) {
		return false
	}
	raw, err := base64.URLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != endSize+sha256.Size || !hmac.Equal(raw[endSize:], t.mac(raw[:endSize])) {
		return false
	}
	left := time.UnixMilli(int64(binary.BigEndian.Uint64(raw))).Sub(t.now())
	return left > 0 && left <= maxMetadataTTL*time.Second // a clock that was set back gives no token a longer life
}
