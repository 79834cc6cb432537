package awsquery_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/server/awsquery"
	"github.com/stint-sts/stint/shape"
)

// answer is what the test server does with one call: decode it into in, then answer out or err.
type answer struct {
	namespace string
	in        any          // pointer; nil: the input is not looked at
	shape     *shape.Shape // of out
	out       any
	err       *awserr.Error
}

// serve starts an endpoint that speaks through this package and knows one operation.
func serve(t *testing.T, operation string, a answer) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		form, err := awsquery.ParseForm(r.Method, r.Header.Get("Content-Type"), r.URL.RawQuery, body)
		if err != nil {
			t.Errorf("ParseForm: %v", err)
			return
		}
		if form.Action() != operation {
			t.Errorf("Action is %q, want %q", form.Action(), operation)
		}
		if a.in != nil {
			if err := awsquery.Decode(form, shape.Of(reflect.TypeOf(a.in)), a.in); err != nil {
				t.Errorf("Decode: %v", err)
			}
		}
		format := awsquery.FormatOf(r.Header.Get("Accept"))
		w.Header().Set("Content-Type", awsquery.ContentType(format))
		w.Header().Set("x-amzn-RequestId", requestID)
		if a.err != nil {
			w.WriteHeader(a.err.Kind.HTTPStatus)
			_, _ = w.Write(awsquery.AppendError(nil, format, a.namespace, a.err, requestID))
			return
		}
		_, _ = w.Write(awsquery.AppendSuccess(nil, format, a.namespace, operation, requestID, a.shape, a.out))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

var anyKey = awscredentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "")

func stsClient(endpoint string) *sts.Client {
	return sts.New(sts.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: anyKey, RetryMaxAttempts: 1})
}

func iamClient(endpoint string) *iam.Client {
	return iam.New(iam.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: anyKey, RetryMaxAttempts: 1})
}

// TestSDK_AssumeRole: what the SDK sends is what we decode, and what we encode is what it reads.
func TestSDK_AssumeRole(t *testing.T) {
	t.Parallel()
	var in assumeRoleInput
	endpoint := serve(t, "AssumeRole", answer{awsquery.NamespaceSTS, &in, shape.For[assumeRoleOutput](), anAssumeRoleOutput(), nil})
	got, err := stsClient(endpoint).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/a"), RoleSessionName: aws.String("a b&c=d%2B+é"), DurationSeconds: aws.Int32(900),
		PolicyArns:        []ststypes.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}},
		Tags:              []ststypes.Tag{{Key: aws.String("Project"), Value: aws.String("")}, {Key: aws.String("k"), Value: aws.String("v")}},
		TransitiveTagKeys: []string{"Project"}, TokenCode: aws.String("123456"),
	})
	if err != nil {
		t.Fatal(err)
	}
	wantIn := assumeRoleInput{
		RoleARN: "arn:aws:iam::123456789012:role/a", RoleSessionName: "a b&c=d%2B+é", DurationSeconds: new(int32(900)),
		PolicyARNs: []policyRef{{"arn:aws:iam::aws:policy/ReadOnlyAccess"}}, Tags: []tag{{"Project", new("")}, {"k", new("v")}},
		TransitiveTagKeys: []string{"Project"}, TokenCode: secret.New("123456"),
	}
	if diff := cmp.Diff(wantIn, in, cmp.Comparer(secretEqual)); diff != "" {
		t.Errorf("decoded input (-want +got):\n%s", diff)
	}
	c := got.Credentials
	if *c.AccessKeyId != "ASIAVCODYLSAWEXAMPLE" || *c.SecretAccessKey != "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" || *c.SessionToken != "eyJhbGciOi.J9.sig" ||
		!c.Expiration.Equal(expiration.Truncate(time.Second)) {
		t.Errorf("credentials read %v %v", *c.AccessKeyId, c.Expiration)
	}
	//lint:ignore SA1019 older SDKs read it
	if *got.AssumedRoleUser.AssumedRoleId != "AROAVCODYLSAWEXAMPLEA:session" || *got.PackedPolicySize != 6 || *got.SourceIdentity != "Alice" {
		t.Errorf("the rest reads %+v", got)
	}
}

func TestSDK_ListUsers(t *testing.T) {
	t.Parallel()
	endpoint := serve(t, "ListUsers", answer{awsquery.NamespaceIAM, nil, shape.For[listUsersOutput](), &listUsersOutput{users, true, "next"}, nil})
	got, err := iamClient(endpoint).ListUsers(t.Context(), &iam.ListUsersInput{MaxItems: aws.Int32(2)})
	if err != nil {
		t.Fatal(err)
	}
	want := []iamtypes.Tag{{Key: aws.String("k"), Value: aws.String("")}, {Key: aws.String("l"), Value: aws.String("v")}}
	if len(got.Users) != 2 || !cmp.Equal(want, got.Users[0].Tags, cmp.AllowUnexported(iamtypes.Tag{})) || *got.Users[1].UserName != "bob" ||
		!got.IsTruncated || *got.Marker != "next" || !got.Users[1].CreateDate.Equal(expiration.Truncate(time.Second)) {
		t.Errorf("ListUsers reads %+v", got)
	}
}

func TestSDK_GetRole(t *testing.T) {
	t.Parallel()
	endpoint := serve(t, "GetRole", answer{awsquery.NamespaceIAM, nil, shape.For[getRoleOutput](), aGetRoleOutput(), nil})
	got, err := iamClient(endpoint).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("application")})
	if err != nil {
		t.Fatal(err)
	}
	document, err := url.PathUnescape(*got.Role.AssumeRolePolicyDocument)
	if err != nil || document != trustPolicy {
		t.Errorf("the trust policy reads %q, %v", document, err)
	}
	if want := "a < b && c > \"d\"\r\n\t'e' \ufffd\ufffd\U0001F600 ü"; *got.Role.Description != want {
		t.Errorf("the description reads %q, want %q", *got.Role.Description, want)
	}
	if got.Role.RoleLastUsed == nil || got.Role.RoleLastUsed.LastUsedDate != nil {
		t.Errorf("RoleLastUsed reads %+v, want an empty one", got.Role.RoleLastUsed)
	}
}

func TestSDK_MapsAndBlobs(t *testing.T) {
	t.Parallel()
	endpoint := serve(t, "GetAccountSummary", answer{awsquery.NamespaceIAM, nil, shape.For[accountSummaryOutput](),
		accountSummaryOutput{map[string]int{"Users": 31, "UsersQuota": 5000}}, nil})
	summary, err := iamClient(endpoint).GetAccountSummary(t.Context(), nil)
	if err != nil || summary.SummaryMap["Users"] != 31 || summary.SummaryMap["UsersQuota"] != 5000 {
		t.Errorf("GetAccountSummary reads %+v, %v", summary, err)
	}
	endpoint = serve(t, "CreateVirtualMFADevice", answer{awsquery.NamespaceIAM, nil, shape.For[virtualMFAOutput](), aVirtualMFAOutput(), nil})
	device, err := iamClient(endpoint).CreateVirtualMFADevice(t.Context(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String("alice")})
	if err != nil || string(device.VirtualMFADevice.Base32StringSeed) != "GEZDGNBVGY3TQOJQ" {
		t.Errorf("CreateVirtualMFADevice reads %+v, %v", device, err)
	}
}

func TestSDK_EmptyAndNoResult(t *testing.T) {
	t.Parallel()
	endpoint := serve(t, "UpdateRole", answer{awsquery.NamespaceIAM, nil, shape.For[emptyOutput](), nil, nil})
	if _, err := iamClient(endpoint).UpdateRole(t.Context(), &iam.UpdateRoleInput{RoleName: aws.String("a")}); err != nil {
		t.Errorf("UpdateRole: %v", err)
	}
	endpoint = serve(t, "DeleteUser", answer{awsquery.NamespaceIAM, nil, nil, nil, nil})
	if _, err := iamClient(endpoint).DeleteUser(t.Context(), &iam.DeleteUserInput{UserName: aws.String("a")}); err != nil {
		t.Errorf("DeleteUser: %v", err)
	}
}

// TestSDK_Errors walks the whole error table: the SDK reads code, message and fault of each.
func TestSDK_Errors(t *testing.T) {
	t.Parallel()
	kinds := awserr.All()
	if len(kinds) == 0 {
		t.Fatal("no kinds")
	}
	for _, kind := range kinds {
		endpoint := serve(t, "GetUser", answer{namespace: awsquery.NamespaceIAM, err: awserr.New(kind, "a <b> & \"c\"")})
		_, err := iamClient(endpoint).GetUser(t.Context(), nil)
		api, ok := errors.AsType[smithy.APIError](err)
		if !ok {
			t.Errorf("%s: the SDK reads %v", kind.Code, err)
			continue
		}
		if api.ErrorCode() != kind.Code || api.ErrorMessage() != "a <b> & \"c\"" {
			t.Errorf("%s: the SDK reads %q, %q", kind.Code, api.ErrorCode(), api.ErrorMessage())
		}
	}
	endpoint := serve(t, "GetUser", answer{namespace: awsquery.NamespaceIAM, err: awserr.New(awserr.NoSuchEntity, "gone")})
	_, err := iamClient(endpoint).GetUser(t.Context(), nil)
	if _, ok := errors.AsType[*iamtypes.NoSuchEntityException](err); !ok {
		t.Errorf("NoSuchEntity is not typed: %v", err)
	}
}

// TestSDK_Presigned: a GET whose signature travels in the query string, asked for in JSON.
func TestSDK_Presigned(t *testing.T) {
	t.Parallel()
	out := callerIdentityOutput{"AIDA1", "123456789012", "arn:aws:iam::123456789012:user/alice"}
	endpoint := serve(t, "GetCallerIdentity", answer{awsquery.NamespaceSTS, nil, shape.For[callerIdentityOutput](), out, nil})
	signed, err := sts.NewPresignClient(stsClient(endpoint)).PresignGetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"UserId":"AIDA1","Account":"123456789012",` +
		`"Arn":"arn:aws:iam::123456789012:user/alice"},"ResponseMetadata":{"RequestId":"` + requestID + `"}}}`
	if string(body) != want || response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %s", response.Header.Get("Content-Type"), body)
	}
}
