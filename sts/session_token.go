package sts

import (
	"context"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

// GetSessionTokenInput are the parameters of GetSessionToken.
type GetSessionTokenInput struct {
	DurationSeconds *int32        `aws:"DurationSeconds" range:"900,129600"`
	SerialNumber    string        `aws:"SerialNumber" len:"9,256" pattern:"serial"`
	TokenCode       secret.String `aws:"TokenCode" len:"6,6" pattern:"digits"`
	MinTokenSize    *int32        `aws:"MinimumSessionTokenSize" range:"0,4096"`
}

// GetSessionTokenOutput is the result of GetSessionToken.
type GetSessionTokenOutput struct {
	Credentials *Credentials `aws:"Credentials"`
	TokenSize   `aws:",inline"`
}

const (
	defaultUserDuration = 12 * time.Hour
	maxRootDuration     = time.Hour
)

// GetSessionToken returns temporary credentials of the calling user itself. It needs no permission, and no policy can
// forbid it. Root asks for at most an hour: more is cut, not refused (AWS STS API Reference, "GetSessionToken").
func (s *Service) GetSessionToken(ctx context.Context, c *authn.Caller, in *GetSessionTokenInput) (*GetSessionTokenOutput, error) {
	if c.Session != nil {
		return nil, awserr.New(awserr.AccessDenied, "Cannot call GetSessionToken with session credentials")
	}
	isProved, err := s.verifyMFA(ctx, c, in.SerialNumber, in.TokenCode)
	if err != nil {
		return nil, err
	}
	d := seconds(in.DurationSeconds, defaultUserDuration)
	if c.Kind == authn.Root {
		d = min(d, maxRootDuration)
	}
	var proved time.Time
	if isProved {
		proved = c.Request.Time.UTC().Truncate(time.Second)
	}
	creds, err := s.userSession(ctx, c, d, proved, tokenSize(in.MinTokenSize))
	if err != nil {
		return nil, err
	}
	return &GetSessionTokenOutput{Credentials: creds, TokenSize: sizeOf(creds)}, nil
}

// userSession makes a session of the user or root that calls. proved is when it proved a second factor; zero: it has not.
func (s *Service) userSession(ctx context.Context, c *authn.Caller, d time.Duration, proved time.Time, minSize int) (*Credentials, error) {
	return s.issue(ctx, c, &signer.Claims{
		Kind:         signer.UserSession,
		Account:      c.Account,
		ARN:          c.ARN,
		EntityARN:    c.Entity.ARN,
		EntityID:     c.Entity.ID,
		MFATime:      proved,
		MinTokenSize: minSize,
	}, d)
}
