package browsertest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const userPassword = "Correct horse battery 9"

// user makes a user with a password, and a role that trusts the user.
func (n *stint) user(name string, mustChange bool) (role string) {
	n.t.Helper()
	_, err := n.iam.CreateUser(n.t.Context(), &iam.CreateUserInput{UserName: &name})
	n.must(err)
	_, err = n.iam.CreateLoginProfile(n.t.Context(), &iam.CreateLoginProfileInput{
		UserName: &name, Password: aws.String(userPassword), PasswordResetRequired: mustChange,
	})
	n.must(err)
	return n.role("Deployer-"+name, `"Principal":{"AWS":"`+prefix+`user/`+name+`"},"Action":"sts:AssumeRole"`)
}

// device enables an MFA device for the user, and returns the code that comes after the two which that takes (RFC 6238, SHA-1, six digits).
func (n *stint) device(user string) (code string) {
	n.t.Helper()
	made, err := n.iam.CreateVirtualMFADevice(n.t.Context(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &user})
	n.must(err)
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(string(made.VirtualMFADevice.Base32StringSeed), "="))
	n.must(err)
	step := time.Now().Unix() / 30
	at := func(step int64) string {
		mac := hmac.New(sha1.New, seed)
		_ = binary.Write(mac, binary.BigEndian, step)
		sum := mac.Sum(nil)
		return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&0xf:])&0x7fffffff%1_000_000)
	}
	_, err = n.iam.EnableMFADevice(n.t.Context(), &iam.EnableMFADeviceInput{
		UserName: &user, SerialNumber: made.VirtualMFADevice.SerialNumber, AuthenticationCode1: aws.String(at(step - 1)), AuthenticationCode2: aws.String(at(step)),
	})
	n.must(err)
	return at(step + 1)
}

// An IAM user signs in with password and code, and takes credentials, without a mouse.
func TestUser_ByKeyboardWithCode(t *testing.T) {
	t.Parallel()
	n := serve(t, nil, nil)
	n.user("alice", false)
	b := openTab(t, n)
	b.open(n.url + "/portal")
	b.at("Sign in")
	b.press(kb.Tab + kb.Tab + kb.Tab + kb.Enter) // past "Skip to the content" and the name of the site
	b.until("the form", func(s shown) bool { return s.Done && strings.HasSuffix(s.URL, "/portal/user") })
	b.inspect("user")
	b.press("example-dev" + kb.Tab + "alice" + kb.Tab + "wrong" + kb.Enter)
	b.until("the refusal", func(s shown) bool { return s.Done && ask[bool](b, `!!document.querySelector("[role=alert]")`) })
	b.inspect("user-refused")
	b.walk()
	b.run(chromedp.Focus(chromedp.CSS("#password")))
	b.press(userPassword + kb.Tab + n.device("alice") + kb.Enter)
	b.at("Choose a role")
	b.inspect("roles-user")
	for range 20 {
		b.press(kb.Tab)
		if ask[string](b, `document.activeElement.name ?? ""`) == "role" {
			break
		}
	}
	b.press(kb.Enter)
	b.at("Deployer-alice")
	b.works(n.terminal(), "arn:aws:sts::"+account+":assumed-role/Deployer-alice/alice")
}

// A user who must change the password does that first. Over HTTPS, with the cookies that only HTTPS has.
func TestUser_MustChangePasswordOverTLS(t *testing.T) {
	t.Parallel()
	certificate := newCertificate(t)
	n := serve(t, map[string]string{"STINT_TLS_CERT": certificate.file, "STINT_TLS_KEY": certificate.file}, certificate.client)
	role := n.user("bob", true)
	b := openTab(t, n, chromedp.Flag("ignore-certificate-errors-spki-list", certificate.pin))
	signIn := func(password string) {
		b.open(n.url + "/portal/user?account=example-dev")
		b.at("Sign in")
		b.fill("#user", "bob")
		b.fill("#password", password)
		b.follow("button.primary")
	}
	signIn(userPassword)
	b.at("Choose a new password")
	b.inspect("password")
	b.walk()
	b.checkCookies(true)
	const next = "Another horse, battery 9"
	b.fill("#old", userPassword)
	b.fill("#new", next)
	b.fill("#again", "something else")
	b.follow("button.primary")
	b.at("Choose a new password")
	b.inspect("password-refused")
	b.fill("#old", userPassword)
	b.fill("#new", next)
	b.fill("#again", next)
	b.follow("button.primary")
	b.at("Sign in")
	b.inspect("password-changed")
	signIn(next)
	b.choose(role)
	w := n.terminal("AWS_CA_BUNDLE=" + certificate.file)
	b.works(w, "arn:aws:sts::"+account+":assumed-role/Deployer-bob/bob")
	b.endsSession(w)

	ctx, cancel := contextOf(b)
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, chromedp.Navigate(n.url+"/portal"))
	if err != nil {
		t.Fatal(err)
	}
	if hsts := header(answer, "Strict-Transport-Security"); !strings.HasPrefix(hsts, "max-age=") {
		t.Errorf("strict transport security: %q", hsts)
	}
}

func header(r *network.Response, name string) string {
	for key, value := range r.Headers {
		if strings.EqualFold(key, name) {
			return fmt.Sprint(value)
		}
	}
	return ""
}

// certificate is for 127.0.0.1, and its own authority.
type certificate struct {
	file   string // with its key, in PEM
	pin    string // of its public key, as browsers pin them
	client *http.Client
}

func newCertificate(t *testing.T) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stint under test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	public := sha256.Sum256(parsed.RawSubjectPublicKeyInfo)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	c := &certificate{
		file: filepath.Join(t.TempDir(), "certificate.pem"), pin: base64.StdEncoding.EncodeToString(public[:]),
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(c.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}
