package portal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/sts"
)

// ownSession is the value of the button for the session of an IAM user itself.
const ownSession = "own"

// credentialsPage shows credentials.
type credentialsPage struct {
	Name, Account, Alias string
	ARN                  string // of the session; empty: the user's own
	Expires              time.Time
	Lasts                string
	Shortened            bool // less than was asked for
	Texts                []text
	AccessKeyID          string
	Role, Duration       string // as they were chosen, to choose them again
}

// text is the credentials as something that is pasted.
type text struct {
	ID, Label string
	Hint      string
	Body      string
}

// credentials mints credentials of the role that was chosen, and shows them. Getting them again is getting new ones.
func (p *Portal) credentials(x *exchange) error {
	if done, err := x.required(); done || err != nil {
		return err
	}
	form := x.r.PostForm
	chosen, err := strconv.Atoi(form.Get("duration"))
	if err != nil || chosen < 900 || chosen > 36*3600 {
		return awserr.New(awserr.ValidationError, "a duration that is not offered")
	}
	page := &credentialsPage{Role: form.Get("role"), Duration: form.Get("duration")}
	out, err := p.mint(x, page, time.Duration(chosen)*time.Second)
	if err != nil {
		return err
	}
	if page.Alias, err = p.cfg.Directory.AccountAlias(x.r.Context(), page.Account); err != nil {
		return err
	}
	creds := out.Credentials
	page.Expires, page.AccessKeyID = creds.Expiration.UTC(), creds.AccessKeyID
	page.Lasts = inWords(creds.Expiration.Sub(x.Start.Truncate(time.Second)))
	if page.Texts, err = texts(creds, page.profile(), p.cfg.PublicURL()); err != nil {
		return err
	}
	x.render(http.StatusOK, "credentials", page.Name, page)
	return nil
}

// mint gets credentials for what the form names, and no longer than the role lasts.
func (p *Portal) mint(x *exchange, page *credentialsPage, d time.Duration) (*sts.SignedInOutput, error) {
	if page.Role == ownSession && x.signIn.User != nil {
		page.Name, page.Account = x.signIn.User.Name, x.signIn.User.Account
		return run[sts.SignedInUserInput, sts.SignedInOutput](x, p.cfg.Operations.GetSessionToken,
			&sts.SignedInUserInput{DurationSeconds: seconds(d), SignIn: x.signIn.SignIn})
	}
	arn, provider, _ := strings.Cut(page.Role, " ")
	offers, err := p.cfg.SignIns.Offers(x.r.Context(), x.request(), x.signIn.SignIn)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(offers.Roles, func(o sts.Offer) bool { return o.ARN == arn && o.Provider == provider })
	if i < 0 {
		return nil, awserr.New(awserr.AccessDenied, "a role that is not offered")
	}
	offer := offers.Roles[i]
	if offer.Longest < d {
		d, page.Shortened = offer.Longest, true
	}
	if d < 15*time.Minute { // the identity provider ends the sign-in before
		d = 15 * time.Minute
	}
	kind := authn.User
	for _, id := range x.signIn.Identities {
		if id.Provider == provider {
			kind = id.Kind
		}
	}
	page.Name, page.Account = offer.Name, offer.Account
	out, err := run[sts.SignedInRoleInput, sts.SignedInOutput](x, p.cfg.Operations.AssumeRoleOf(kind), &sts.SignedInRoleInput{
		RoleARN: offer.ARN, PrincipalARN: provider, DurationSeconds: seconds(d), SignIn: x.signIn.SignIn,
	})
	if err == nil {
		page.ARN = out.AssumedRoleUser.ARN
	}
	return out, err
}

func seconds(d time.Duration) *int32 {
	n := int32(d / time.Second)
	return &n
}

// profile is a name for the credentials in files.
func (c *credentialsPage) profile() string {
	account := c.Alias
	if account == "" {
		account = c.Account
	}
	return account + "-" + c.Name
}

// anyRegion is what requests are signed for: stint takes any, and the tools of AWS insist on one.
const anyRegion = "us-east-1"

// texts are the credentials in every form. What stands in quotes is ours and has none in it: that is checked, since a shell would run what
// follows one.
func texts(c *sts.Credentials, profile, endpoint string) ([]text, error) {
	id, key, token := c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal()
	for _, s := range []string{id, key, token, profile, endpoint} {
		if strings.ContainsAny(s, "'\"`$\\\r\n[]") {
			return nil, fmt.Errorf("credentials %s: a character that shells take for their own", id)
		}
	}
	variables := [][2]string{
		{"AWS_ACCESS_KEY_ID", id}, {"AWS_SECRET_ACCESS_KEY", key}, {"AWS_SESSION_TOKEN", token},
		{"AWS_ENDPOINT_URL_STS", endpoint}, {"AWS_ENDPOINT_URL_IAM", endpoint},
		{"AWS_REGION", anyRegion}, {"AWS_DEFAULT_REGION", anyRegion}, // the first is for SDKs, the second for the aws CLI
	}
	lines := func(format string) string {
		var b strings.Builder
		for _, v := range variables {
			fmt.Fprintf(&b, format+"\n", v[0], v[1])
		}
		return b.String()
	}
	process, err := json.MarshalIndent(struct {
		Version         int
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      time.Time
	}{1, id, key, token, c.Expiration.UTC()}, "", "  ")
	if err != nil {
		return nil, err
	}
	return []text{
		{"shell", "Bash, Zsh", "Paste it into a terminal. It holds in that terminal until you close it.", lines("export %s='%s'")},
		{"fish", "Fish", "Paste it into a terminal. It holds in that terminal until you close it.", lines("set -gx %s '%s'")},
		{"powershell", "PowerShell", "Paste it into a terminal. It holds in that terminal until you close it.", lines("$Env:%s = '%s'")},
		{"profile", "Profile", "Add it to ~/.aws/credentials, then use --profile " + profile + ".", fmt.Sprintf(
			"[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", profile, id, key, token)},
		{"config", "Endpoints", "Add it to ~/.aws/config once, so that the profile finds this service.", fmt.Sprintf(
			"[profile %s]\nregion = %s\nservices = stint\n\n[services stint]\nsts =\n  endpoint_url = %s\niam =\n  endpoint_url = %s\n",
			profile, anyRegion, endpoint, endpoint)},
		{"json", "JSON", "As credential_process prints it, for programs.", string(process) + "\n"},
	}, nil
}
