package agent

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/secret"
)

// ContainerPath is where the container endpoint hands out credentials, as the EKS Pod Identity agent does.
const ContainerPath = "/v1/credentials"

// Container is the container credentials endpoint of Amazon ECS and EKS Pod Identity (AWS SDKs and Tools Reference Guide, "Container
// credential provider"): GET with an Authorization header that holds the token, and nothing else.
type Container struct {
	Keeper *Keeper
	Role   arn.ARN       // whose credentials they are
	Token  secret.String // from AuthorizationToken
	Wait   time.Duration // how long a request waits for the first credentials; SDKs give up after 1 to 2 s and ask again
}

// Handler serves ContainerPath and /healthz.
func (c *Container) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+ContainerPath, c.credentials)
	mux.HandleFunc("GET /healthz", health(c.Keeper))
	return mux
}

func (c *Container) credentials(w http.ResponseWriter, r *http.Request) {
	given := r.Header["Authorization"]
	if len(given) != 1 || c.Token.IsZero() || !c.Token.Equal(secret.New(given[0])) {
		fail(w, http.StatusUnauthorized, "Unauthorized", "The Authorization header must hold the token of the agent.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), c.Wait)
	defer cancel()
	creds, err := c.Keeper.Credentials(ctx)
	if err != nil {
		failCredentials(w, err)
		return
	}
	answerJSON(w, struct {
		RoleArn, AccountId, AccessKeyId, SecretAccessKey, Token, Expiration string
	}{
		c.Role.String(), c.Role.Account, creds.AccessKeyID, creds.SecretAccessKey.Reveal(), creds.SessionToken.Reveal(), wireTime(creds.Expiration),
	})
}

const (
	minAuthorization = 16       // characters of an authorization token that somebody chose
	maxAuthorization = 16 << 10 // characters; service account tokens have about 1,000
)

// AuthorizationToken reads the token of the container endpoint from a file, which it makes with mode 0600 and a random token when
// it is not there. A file that all users of the machine can read is refused, and a token that SDKs would not send.
func AuthorizationToken(file string) (secret.String, error) {
	text, err := readFile(file, maxAuthorization)
	if errors.Is(err, fs.ErrNotExist) {
		return makeAuthorizationToken(file)
	}
	if err != nil {
		return secret.String{}, fmt.Errorf("authorization token: %w", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return secret.String{}, fmt.Errorf("authorization token: %w", err)
	}
	token := string(text)
	switch {
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a file", file)
	case info.Mode().Perm()&0o007 != 0:
		err = fmt.Errorf("every user of this machine can use %s: chmod o= %s", file, file)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		err = fmt.Errorf("%s holds a space or a line break, which SDKs do not send: write it with printf %%s", file)
	case len(token) < minAuthorization:
		err = fmt.Errorf("%s must hold at least %d characters", file, minAuthorization)
	}
	if err != nil {
		return secret.String{}, fmt.Errorf("authorization token: %w", err)
	}
	return secret.New(token), nil
}

func makeAuthorizationToken(file string) (secret.String, error) {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	token := base64.RawURLEncoding.EncodeToString(random)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return secret.String{}, fmt.Errorf("authorization token: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return secret.String{}, fmt.Errorf("authorization token: %w", err)
	}
	_, err = f.WriteString(token) // without a line break: SDKs send the file as it is
	if err = errors.Join(err, f.Close()); err != nil {
		return secret.String{}, errors.Join(fmt.Errorf("authorization token: %w", err), os.Remove(file))
	}
	return secret.New(token), nil
}
