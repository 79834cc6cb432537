package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stint-sts/stint/secret"
)

const canary = "wJalrXUtnFEMI/K7MDENG"

type holder struct {
	Name   string
	Value  secret.String
	hidden secret.String
}

func TestString_NeverPrints(t *testing.T) {
	t.Parallel()
	h := holder{Name: "x", Value: secret.New(canary), hidden: secret.New(canary)}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "secret", h.Value, "holder", h, "pointer", &h)
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{
		fmt.Sprint(h), fmt.Sprintf("%v %+v %#v %s %q %x", h, h, h, h.Value, h.Value, h.Value), fmt.Sprintf("%#v", &h),
		string(asJSON), log.String(),
	} {
		if strings.Contains(printed, canary) || strings.Contains(printed, fmt.Sprintf("%x", canary)) {
			t.Errorf("the secret was printed: %s", printed)
		}
	}
	if h.hidden.Reveal() != canary {
		t.Error("Reveal does not return the secret")
	}
}

func TestString_Equal(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		a, b secret.String
		want bool
	}{
		{"same value in two places", secret.New("abc"), secret.New("abc"), true},
		{"last byte differs", secret.New("abc"), secret.New("abd"), false},
		{"prefix", secret.New("abc"), secret.New("ab"), false},
		{"both empty", secret.New(""), secret.String{}, true},
	} {
		if got := row.a.Equal(row.b); got != row.want {
			t.Errorf("%s: Equal = %v, want %v", row.name, got, row.want)
		}
	}
}
