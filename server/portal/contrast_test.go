package portal_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// Text has a contrast of 4.5:1 and edges of controls 3:1, light and dark (WCAG 2.2, 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	t.Parallel()
	css, err := os.ReadFile("static/portal.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`(?s):root \{.*?\}`).FindAllString(string(css), -1)
	if len(schemes) != 2 {
		t.Fatalf("%d schemes of colours", len(schemes))
	}
	for i, scheme := range schemes {
		colours := make(map[string]float64)
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(scheme, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"text", "ground", 4.5}, {"text", "surface", 4.5}, {"text", "sunken", 4.5}, {"text", "tint", 4.5}, {"text", "bad-tint", 4.5}, {"text", "warn-tint", 4.5},
			{"muted", "ground", 4.5}, {"muted", "surface", 4.5}, {"muted", "sunken", 4.5}, {"muted", "tint", 4.5}, {"muted", "warn-tint", 4.5}, {"muted", "bad-tint", 4.5},
			{"accent-strong", "ground", 4.5}, {"accent-strong", "surface", 4.5}, {"accent-strong", "sunken", 4.5}, {"on-accent", "accent", 4.5}, {"on-accent", "accent-strong", 4.5},
			{"bad", "surface", 4.5}, {"bad", "bad-tint", 4.5}, {"warn", "warn-tint", 4.5},
			{"edge", "surface", 3}, {"edge", "ground", 3}, {"focus", "ground", 3}, {"focus", "surface", 3}, {"accent", "ground", 3},
		} {
			front, known := colours[pair.front]
			back, known2 := colours[pair.back]
			if got := (math.Max(front, back) + .05) / (math.Min(front, back) + .05); !known || !known2 || got < pair.least {
				t.Errorf("scheme %d: %s on %s has %.2f:1, want %.1f:1", i, pair.front, pair.back, got, pair.least)
			}
		}
	}
}

// luminance is the relative luminance of a colour (WCAG 2.2, "relative luminance").
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var sum float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(fmt.Errorf("colour %s: %w", hex, err))
		}
		c := float64(n) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
