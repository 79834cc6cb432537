package managed_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stint-sts/stint/iam"
	"github.com/stint-sts/stint/iam/managed"
	"github.com/stint-sts/stint/policy"
)

const prefix = "arn:aws:iam::aws:policy/"

func load(t *testing.T, dir string) *managed.Set {
	t.Helper()
	s, err := managed.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBuiltIn_EveryDocumentParses(t *testing.T) {
	t.Parallel()
	s := load(t, "")
	if len(s.All()) == 0 {
		t.Fatal("no built-in policies")
	}
	for _, p := range s.All() {
		document, ok := s.Document(p.ARN())
		if !ok {
			t.Errorf("%s has no document", p.ARN())
			continue
		}
		for _, kind := range []policy.Kind{policy.Identity, policy.Boundary, policy.Session} {
			if _, err := policy.Parse(kind, document); err != nil {
				t.Errorf("%s as kind %d: %v", p.ARN(), kind, err)
			}
		}
		if p.Description == "" || p.CreateDate.IsZero() || p.Account != iam.AWSAccount || len(p.ID) != 21 {
			t.Errorf("%s is described badly: %+v", p.ARN(), p)
		}
		if got, ok := s.Get(p.ARN()); !ok || got != p {
			t.Errorf("Get(%s) is %v", p.ARN(), got)
		}
	}
}

func TestBuiltIn_ListIsInOrderOfNames(t *testing.T) {
	t.Parallel()
	var names, ids []string
	for _, p := range load(t, "").All() {
		names = append(names, strings.ToLower(p.Name))
		ids = append(ids, p.ID)
	}
	if !slices.IsSorted(names) || len(slices.Compact(names)) != len(names) {
		t.Errorf("names are not in order or not unique: %q", names)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != len(names) {
		t.Error("ids are not unique")
	}
}

func TestBuiltIn_Grants(t *testing.T) {
	t.Parallel()
	s := load(t, "")
	tests := []struct {
		policy   string
		yes, no  []string // actions
		resource string   // default *
	}{
		{policy: "AdministratorAccess", yes: []string{"iam:CreateUser", "s3:GetObject", "organizations:CreateAccount"}},
		{policy: "PowerUserAccess", yes: []string{"s3:PutObject", "lambda:InvokeFunction", "iam:ListRoles"},
			no: []string{"iam:CreateUser", "iam:PassRole", "organizations:CreateAccount", "account:CloseAccount"}},
		{policy: "ReadOnlyAccess", yes: []string{"iam:GetUser", "s3:GetObject", "dynamodb:Query", "sts:GetCallerIdentity", "logs:FilterLogEvents"},
			no: []string{"iam:CreateUser", "s3:PutObject", "secretsmanager:GetSecretValue", "lambda:InvokeFunction", "kms:Decrypt"}},
		{policy: "IAMFullAccess", yes: []string{"iam:CreateUser", "iam:PassRole"}, no: []string{"sts:AssumeRole", "s3:GetObject", "organizations:CreateAccount"}},
		{policy: "IAMReadOnlyAccess", yes: []string{"iam:GetUser", "iam:ListRoles", "iam:SimulateCustomPolicy"}, no: []string{"iam:CreateUser", "iam:TagUser"}},
		{policy: "IAMUserChangePassword", yes: []string{"iam:ChangePassword"}, no: []string{"iam:UpdateLoginProfile"},
			resource: "arn:aws:iam::111122223333:user/team/alice"},
		{policy: "IAMUserChangePassword", no: []string{"iam:ChangePassword"}, resource: "arn:aws:iam::111122223333:user/bob"},
		{policy: "SecurityAudit", yes: []string{"iam:GetAccountAuthorizationDetails", "s3:GetBucketPolicy", "ec2:DescribeInstances"},
			no: []string{"s3:GetObject", "iam:CreateUser", "dynamodb:Query", "sqs:ReceiveMessage"}},
		{policy: "job-function/ViewOnlyAccess", yes: []string{"s3:ListBucket", "iam:ListUsers"}, no: []string{"s3:GetObject", "iam:GetUserPolicy", "dynamodb:Scan"}},
		{policy: "AWSDenyAll", no: []string{"iam:GetUser", "s3:GetObject"}},
		{policy: "AmazonS3FullAccess", yes: []string{"s3:PutObject", "s3:DeleteBucket"}, no: []string{"iam:GetUser"}},
		{policy: "AmazonS3ReadOnlyAccess", yes: []string{"s3:GetObject", "s3:ListBucket"}, no: []string{"s3:PutObject", "s3:DeleteObject"}},
		{policy: "AmazonEC2ReadOnlyAccess", yes: []string{"ec2:DescribeInstances"}, no: []string{"ec2:RunInstances"}},
		{policy: "AmazonDynamoDBFullAccess", yes: []string{"dynamodb:DeleteTable"}, no: []string{"iam:PassRole", "s3:GetObject"}},
		{policy: "AmazonSQSFullAccess", yes: []string{"sqs:SendMessage"}, no: []string{"sns:Publish"}},
		{policy: "CloudWatchLogsFullAccess", yes: []string{"logs:DeleteLogGroup"}, no: []string{"cloudwatch:PutMetricData"}},
		{policy: "AWSLambdaExecute", yes: []string{"s3:PutObject"}, no: []string{"s3:DeleteObject", "logs:CreateLogGroup"}, resource: "arn:aws:s3:::bucket/key"},
		{policy: "service-role/AWSLambdaBasicExecutionRole", yes: []string{"logs:PutLogEvents"}, no: []string{"logs:DeleteLogGroup"}},
		{policy: "root-task/IAMAuditRootUserCredentials", yes: []string{"iam:ListAccessKeys"}, no: []string{"iam:DeleteAccessKey"},
			resource: "arn:aws:iam::111122223333:root"},
		{policy: "root-task/IAMAuditRootUserCredentials", no: []string{"iam:ListAccessKeys"}, resource: "arn:aws:iam::111122223333:user/alice"},
		{policy: "root-task/IAMCreateRootUserPassword", yes: []string{"iam:CreateLoginProfile"}, no: []string{"iam:CreateAccessKey"},
			resource: "arn:aws:iam::111122223333:root"},
		{policy: "root-task/IAMDeleteRootUserCredentials", yes: []string{"iam:DeleteAccessKey", "iam:DeactivateMFADevice"},
			no: []string{"iam:CreateAccessKey"}, resource: "arn:aws:iam::111122223333:root"},
		{policy: "root-task/S3UnlockBucketPolicy", yes: []string{"s3:DeleteBucketPolicy"}, no: []string{"s3:GetObject"}, resource: "arn:aws:s3:::bucket"},
		{policy: "root-task/SQSUnlockQueuePolicy", yes: []string{"sqs:SetQueueAttributes"}, no: []string{"sqs:ReceiveMessage"},
			resource: "arn:aws:sqs:eu-west-1:111122223333:queue"},
	}
	for _, tt := range tests {
		document, ok := s.Document(prefix + tt.policy)
		if !ok {
			t.Errorf("no policy %s", tt.policy)
			continue
		}
		for _, action := range tt.yes {
			if !grants(t, document, action, tt.resource) {
				t.Errorf("%s does not allow %s on %q", tt.policy, action, tt.resource)
			}
		}
		for _, action := range tt.no {
			if grants(t, document, action, tt.resource) {
				t.Errorf("%s allows %s on %q", tt.policy, action, tt.resource)
			}
		}
	}
}

func grants(t *testing.T, document, action, resource string) bool {
	t.Helper()
	d, err := policy.Parse(policy.Identity, document)
	if err != nil {
		t.Fatal(err)
	}
	if resource == "" {
		resource = "*"
	}
	const account = "111122223333"
	ctx := policy.NewContext(nil)
	ctx.Set("aws:username", "alice")
	return policy.Evaluate(&policy.Request{
		Principal: &policy.Principal{Type: policy.User, ARN: "arn:aws:iam::" + account + ":user/alice", Account: account, ID: "AIDAEXAMPLE"},
		Action:    action, Resource: resource, ResourceAccount: account, Context: ctx,
	}, &policy.Policies{Identity: []*policy.Document{d}}).Effect == policy.Allow
}

const reader = `{
  "name": "BucketReader",
  "path": "/storage/",
  "description": "Reads every bucket.",
  "version": "v3",
  "created": "2026-01-31T00:00:00Z",
  "updated": "2026-02-28T00:00:00+01:00",
  "document": {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]
  }
}`

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoad_AnOperatorsDirectory(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{
		"reader.json": reader,
		"small.json":  `{"name":"Small","document":{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}}`,
		"README.md":   "not a policy",
	})
	if err := os.Mkdir(filepath.Join(dir, "old.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := load(t, dir)
	if added := len(s.All()) - len(load(t, "").All()); added != 2 {
		t.Errorf("%d policies were added", added)
	}
	p, ok := s.Get(prefix + "storage/BucketReader")
	if !ok {
		t.Fatal("the policy is not there")
	}
	created := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	updated := time.Date(2026, 2, 27, 23, 0, 0, 0, time.UTC)
	if p.Name != "BucketReader" || p.Path != "/storage/" || p.Description != "Reads every bucket." || p.DefaultVersion != 3 ||
		!p.CreateDate.Equal(created) || !p.UpdateDate.Equal(updated) || !strings.HasPrefix(p.ID, "ANPA") {
		t.Errorf("policy %+v", p)
	}
	document, _ := s.Document(p.ARN())
	if !grants(t, document, "s3:GetObject", "") || grants(t, document, "s3:PutObject", "") {
		t.Errorf("document %s", document)
	}
	if p, ok := s.Get(prefix + "Small"); !ok || p.DefaultVersion != 1 || !p.CreateDate.IsZero() || p.Path != "/" {
		t.Errorf("defaults: %+v", p)
	}
	if _, ok := s.Document(prefix + "BucketReader"); ok {
		t.Error("the path does not matter")
	}
}

func TestLoad_Faults(t *testing.T) {
	t.Parallel()
	load(t, write(t, map[string]string{"a.json": reader})) // the twin of all that follows
	change := func(old, replacement string) string {
		if !strings.Contains(reader, old) {
			t.Fatalf("nothing to change: %s", old)
		}
		return strings.Replace(reader, old, replacement, 1)
	}
	tests := []struct{ name, text, want string }{
		{"no JSON", "name: x", "a.json: line 1: not JSON"},
		{"a list", "[]", "a.json: line 1: a policy file is one JSON object"},
		{"an empty file", "", "a.json: line 1: the file ends too early"},
		{"a file cut short", reader[:len(reader)-2], "a.json: line 11: the file ends too early"},
		{"text after the end", reader + "\n{}", "a.json: line 13: something follows the policy"},
		{"an unknown key", change(`"version"`, `"verison"`), `a.json: line 5: the key "verison" is unknown`},
		{"a key in another case", change(`"version"`, `"Version"`), `a.json: line 5: the key "Version" is unknown`},
		{"a key twice", change(`"path"`, `"name"`), `a.json: line 3: the key "name" is given twice`},
		{"no name", change(`"name": "BucketReader",`, ""), `a.json: line 1: the key "name" is missing`},
		{"no document", `{"name": "X"}`, `a.json: line 1: the key "document" is missing`},
		{"a name that is no string", change(`"BucketReader"`, `7`), "a.json: line 2: name must be a string"},
		{"a name with a slash", change(`"BucketReader"`, `"a/b"`), "a.json: line 2: name must be"},
		{"a path without an end", change(`"/storage/"`, `"/storage"`), "a.json: line 3: path must look like"},
		{"a description too long", change("Reads every bucket.", strings.Repeat("x", 1001)), "a.json: line 4: description is longer"},
		{"a version that is none", change(`"v3"`, `"3"`), "a.json: line 5: version must look like"},
		{"a date that is none", change(`"2026-01-31T00:00:00Z"`, `"yesterday"`), "a.json: line 6: a time must look like"},
		{"updated before created", change(`"2026-02-28`, `"2025-02-28`), "a.json: line 7: the policy was updated before"},
		{"a document that is no policy", change(`"Effect": "Allow"`, `"Effect": "Permit"`), "a.json: line 10: document: Statement[0].Effect"},
		{"a document with a principal", change(`"Effect"`, `"Principal": "*", "Effect"`), "a.json: line 10: document: "},
		{"the name of a built-in policy", change("BucketReader", "administratoraccess"),
			"a.json: the name administratoraccess is taken by built-in/AdministratorAccess.json"},
		{"a file too large", reader + strings.Repeat(" ", 512<<10), "a.json: larger than 524288 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := managed.Load(write(t, map[string]string{"a.json": tt.text}))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestLoad_AllFaultsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := managed.Load(write(t, map[string]string{"a.json": "{", "b.json": reader, "c.json": "[]"}))
	if err == nil || !strings.Contains(err.Error(), "a.json") || !strings.Contains(err.Error(), "c.json") || strings.Contains(err.Error(), "b.json") {
		t.Errorf("error %v", err)
	}
}

func TestLoad_TwoFilesWithOneName(t *testing.T) {
	t.Parallel()
	_, err := managed.Load(write(t, map[string]string{"a.json": reader, "b.json": strings.Replace(reader, "/storage/", "/", 1)}))
	if err == nil || !strings.Contains(err.Error(), "b.json: the name BucketReader is taken by") {
		t.Errorf("error %v", err)
	}
}

func TestLoad_AMissingDirectory(t *testing.T) {
	t.Parallel()
	if _, err := managed.Load(filepath.Join(t.TempDir(), "absent")); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("error %v", err)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := managed.Load(""); err != nil {
			b.Fatal(err)
		}
	}
}
