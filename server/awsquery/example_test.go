package awsquery_test

import (
	"fmt"

	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/server/awsquery"
	"github.com/stint-sts/stint/shape"
)

func Example() {
	type getAccessKeyInfoInput struct {
		AccessKeyID string `aws:"AccessKeyId,required" len:"16,128" pattern:"word"`
	}
	type getAccessKeyInfoOutput struct {
		Account string `aws:"Account"`
	}
	var in getAccessKeyInfoInput
	inShape := shape.For[getAccessKeyInfoInput]()
	form, err := awsquery.ParseForm("POST", "application/x-www-form-urlencoded", "",
		[]byte("Action=GetAccessKeyInfo&Version=2011-06-15&AccessKeyId=ASIAVCODYLSAWEXAMPLE"))
	if err == nil {
		err = awsquery.Decode(form, inShape, &in)
	}
	if err == nil {
		err = inShape.Validate(&in)
	}
	if err != nil {
		fmt.Printf("%s\n", awsquery.AppendError(nil, awsquery.XML, awsquery.NamespaceSTS, awserr.From(err), "id"))
		return
	}
	out := getAccessKeyInfoOutput{Account: "123456789012"}
	fmt.Printf("%s\n", awsquery.AppendSuccess(nil, awsquery.XML, awsquery.NamespaceSTS, form.Action(), "id", shape.For[getAccessKeyInfoOutput](), out))
	// Output:
	// <GetAccessKeyInfoResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetAccessKeyInfoResult><Account>123456789012</Account></GetAccessKeyInfoResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GetAccessKeyInfoResponse>
}
