package server_test

import (
	"strings"
	"testing"
)

func TestLoad_PortalProviders(t *testing.T) {
	t.Parallel()
	const saml, oidc = "arn:aws:iam::111122223333:saml-provider/corp", "arn:aws:iam::111122223333:oidc-provider/login.example.com/realm"
	good := map[string]string{
		"STINT_PORTAL_SAML": saml, "STINT_PORTAL_OIDC": oidc + "=client", "STINT_PORTAL_OIDC_SCOPES": oidc + "=email+groups",
		"STINT_PORTAL_OIDC_SECRET_FILES": oidc + "=/etc/stint/secret", "STINT_PORTAL_LABELS": saml + "=Our staff, " + oidc + "=Guests",
	}
	c, err := load("", good, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Portal.SAML) != 1 || len(c.Portal.OIDC) != 1 || c.Portal.Labels[c.Portal.SAML[0]] != "Our staff" || !c.Portal.Enabled || !c.Portal.Users {
		t.Errorf("%+v", c.Portal)
	}
	for _, row := range []struct{ name, key, value, fault string }{
		{"provider that is none", "STINT_PORTAL_SAML", oidc, "is no ARN such as"},
		{"no ARN", "STINT_PORTAL_SAML", "corp", "is no ARN such as"},
		{"no client", "STINT_PORTAL_OIDC", oidc, "as ARN=CLIENT"},
		{"provider twice", "STINT_PORTAL_OIDC", oidc + "=a," + oidc + "=b", "must be given once"},
		{"secret of a provider that is not listed", "STINT_PORTAL_OIDC_SECRET_FILES", oidc + "x=/etc/stint/secret", "is not in portal.oidc"},
		{"scopes of a provider that is not listed", "STINT_PORTAL_OIDC_SCOPES", oidc + "x=email", "is not in portal.oidc"},
		{"label without a text", "STINT_PORTAL_LABELS", saml, "must be ARN=TEXT"},
		{"a sign-in that never ends", "STINT_PORTAL_LIFETIME", "1000h", "must be a duration"},
	} {
		bad := map[string]string{row.key: row.value}
		for key, value := range good {
			if key != row.key {
				bad[key] = value
			}
		}
		if _, err := load("", bad, nil); err == nil || !strings.Contains(err.Error(), row.fault) {
			t.Errorf("%s: %v, want %q", row.name, err, row.fault)
		}
	}
}
