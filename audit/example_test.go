package audit_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/stint-sts/stint/audit"
)

func Example() {
	recorder, err := audit.New(audit.Config{Sinks: []audit.Sink{audit.Writer(os.Stdout)}})
	if err != nil {
		fmt.Println(err)
	}
	err = recorder.Record(context.Background(), &audit.Event{
		Time: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Source: "iam.amazonaws.com", Name: "DeleteUser",
		EventID: "e7d5a3a1-0c2f-4e0f-9d43-0b1b6fbb0c55", ErrorCode: "AccessDenied",
		RequestParameters: []audit.Attr{audit.String("userName", "alice\n")},
		Identity:          audit.Identity{Type: "Root", AccountID: "123456789012"},
	})
	fmt.Println(err, recorder.Stats().Written, recorder.Close())
	// Output:
	// {"eventVersion":"1.11","userIdentity":{"type":"Root","accountId":"123456789012"},"eventTime":"2026-11-28T12:00:00Z","eventSource":"iam.amazonaws.com","eventName":"DeleteUser","awsRegion":"","sourceIPAddress":"","userAgent":"","errorCode":"AccessDenied","requestParameters":{"userName":"alice\n"},"responseElements":null,"eventID":"e7d5a3a1-0c2f-4e0f-9d43-0b1b6fbb0c55","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management"}
	// <nil> 1 <nil>
}
