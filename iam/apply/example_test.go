package apply_test

import (
	"errors"
	"fmt"

	"github.com/stint-sts/stint/iam/apply"
)

func ExampleRead() {
	const text = `
account: "111122223333"
users:
  alice: {groups: auditors}
  bob: {password: x}
`
	noFiles := func(string) (string, string, error) { return "", "", errors.New("no such file") }
	documents, faults := apply.Read("directory.yaml", text, noFiles)
	faults = append(faults, apply.Check(documents)...)
	fmt.Println(faults)
	// Output:
	// directory.yaml:4: groups must be a list
	// directory.yaml:5: user bob: unknown key "password"; the keys are attached, boundary, groups, inline, path, tags
}
