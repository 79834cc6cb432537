package shape_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stint-sts/stint/shape"
)

// TestPatterns_AreThoseOfTheModels: the text of every pattern is, to the letter, one of the API models, so that messages
// read as AWS's do (testdata/constraints.json names its source).
func TestPatterns_AreThoseOfTheModels(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/constraints.json")
	if err != nil {
		t.Fatal(err)
	}
	var models struct {
		STS, IAM map[string]struct{ Pattern string }
	}
	if err := json.Unmarshal(raw, &models); err != nil {
		t.Fatal(err)
	}
	if len(models.STS) == 0 || len(models.IAM) == 0 {
		t.Fatal("the models hold no patterns")
	}
	known := make(map[string]bool)
	for _, model := range []map[string]struct{ Pattern string }{models.STS, models.IAM} {
		for _, constraint := range model {
			known[constraint.Pattern] = true
		}
	}
	ours := make(map[string]bool)
	for name, text := range shape.Patterns() {
		ours[text] = true
		if !known[text] {
			t.Errorf("pattern %s is in no model: %s", name, text)
		}
	}
	for _, name := range []string{"arnType", "externalIdType", "roleSessionNameType", "serialNumberType", "tagKeyType", "tagValueType", "tokenCodeType"} {
		if !ours[models.STS[name].Pattern] {
			t.Errorf("STS %s has no pattern here: %s", name, models.STS[name].Pattern)
		}
	}
	for _, name := range []string{
		"accessKeyIdType", "accountAliasType", "authenticationCodeType", "entityNameType", "markerType", "passwordType", "pathPrefixType", "pathType",
		"policyDocumentType", "policyNameType", "policyPathType", "policyVersionIdType", "privateKeyIdType", "roleDescriptionType", "SAMLProviderNameType",
		"serialNumberType", "tagKeyType", "tagValueType", "virtualMFADeviceName",
	} {
		if !ours[models.IAM[name].Pattern] {
			t.Errorf("IAM %s has no pattern here: %s", name, models.IAM[name].Pattern)
		}
	}
}
