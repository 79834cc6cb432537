package shape_test

import (
	"fmt"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/shape"
)

func ExampleShape_Validate() {
	type getSessionTokenInput struct {
		DurationSeconds *int32        `aws:"DurationSeconds" range:"900,129600"`
		TokenCode       secret.String `aws:"TokenCode" len:"6,6" pattern:"digits"`
	}
	in := getSessionTokenInput{DurationSeconds: new(int32(60)), TokenCode: secret.New("1234")}
	err := shape.For[getSessionTokenInput]().Validate(&in)
	fmt.Println(awserr.From(err).Message)
	// Output:
	// 2 validation errors detected: Value '60' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900; Value at 'tokenCode' failed to satisfy constraint: Member must have length greater than or equal to 6
}
