package mfa

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/url"

	"github.com/boombuler/barcode/qr"

	"github.com/stint-sts/stint/secret"
)

// seedBytes is the size of a seed: 64 characters of base32, as AWS's. RFC 4226 section 4 wants at least 16 and recommends 20.
const seedBytes = 40

var base32NoPadding = base32.StdEncoding.WithPadding(base32.NoPadding)

// decoySeed is what a code for an unknown device is compared with.
var decoySeed = secret.New(base32NoPadding.EncodeToString(make([]byte, seedBytes)))

// NewSeed draws the seed of a new device: 64 characters of base32 without padding.
func NewSeed(random io.Reader) (secret.String, error) {
	seed := make([]byte, seedBytes)
	if _, err := io.ReadFull(random, seed); err != nil {
		return secret.String{}, fmt.Errorf("seed of an MFA device: %w", err)
	}
	return secret.New(base32NoPadding.EncodeToString(seed)), nil
}

// URI is what a QR code says to an authenticator: a seed, the names that it is shown under, and who issues it
// (AWS IAM API, VirtualMFADevice: otpauth://totp/DEVICE@ACCOUNT?secret=SEED). Algorithm, digits and period are the defaults, and some
// authenticators refuse to be told.
func URI(issuer, device, account string, seed secret.String) secret.String {
	return secret.New("otpauth://totp/" + url.QueryEscape(device) + "@" + url.QueryEscape(account) +
		"?secret=" + seed.Reveal() + "&issuer=" + url.QueryEscape(issuer))
}

const (
	quietZone = 4 // modules around a QR code (ISO/IEC 18004 section 6.3.8)
	pixels    = 6 // of a module's side
)

// QR draws a text as a QR code, black on white, in PNG. The image is as secret as the text.
func QR(text secret.String) ([]byte, error) {
	code, err := qr.Encode(text.Reveal(), qr.M, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("QR code: a text of %d bytes does not fit", len(text.Reveal())) // the cause quotes the text
	}
	side := (code.Bounds().Dx() + 2*quietZone) * pixels
	picture := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			module := image.Pt(x/pixels-quietZone, y/pixels-quietZone)
			if module.In(code.Bounds()) && code.At(module.X, module.Y) == color.Black {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
