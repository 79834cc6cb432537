package main_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stint-sts/stint/kubernetes/kubetest"
)

// What is wrong with a call of the webhook is told with what to do. That it works is tested in deploy/kubernetes/apitest.
func TestWebhook_Faults(t *testing.T) {
	t.Parallel()
	api := kubetest.New(t)
	nowhere := filepath.Join(t.TempDir(), "none.pem")
	cluster := []string{"--kube-api", api.URL, "--kube-ca", api.CAFile, "--kube-token", api.TokenFile}
	certificate := []string{"--tls-cert", nowhere, "--tls-key", nowhere}
	endpoint := []string{"--endpoint-url", "https://sts.example.com"}
	for _, row := range []struct {
		name string
		args []string
		code int
		text string
	}{
		{"no certificate", cluster, 2, "give --tls-cert and --tls-key"},
		{"unknown flag", []string{"--tls"}, 2, "flag provided but not defined"},
		{"not in a pod", certificate, 1, "this is no pod; give --kube-api, --kube-ca and --kube-token"},
		{"half of a cluster", slices.Concat([]string{"--kube-api", api.URL}, endpoint, certificate), 1, "kubernetes API: "},
		{"no endpoint", slices.Concat(certificate, cluster), 1, "give the URL of stint as pods reach it"},
		{"short tokens", slices.Concat(endpoint, []string{"--token-expiration", "1m"}, certificate, cluster), 1, "it is 10m0s to 24h0m0s"},
		{"certificate that is not there", slices.Concat(endpoint, certificate, cluster), 1, "none.pem"},
	} {
		_, stderr, code := run(t, "", append([]string{"webhook"}, row.args...)...)
		if code != row.code || !strings.Contains(stderr, row.text) {
			t.Errorf("%s: exit %d\n%s", row.name, code, stderr)
		}
	}
}
