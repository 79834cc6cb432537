package managed_test

import (
	"fmt"

	"github.com/stint-sts/stint/iam/managed"
)

func ExampleLoad() {
	set, err := managed.Load("") // or the directory of your own policies
	if err != nil {
		fmt.Println(err)
		return
	}
	document, _ := set.Document("arn:aws:iam::aws:policy/AdministratorAccess")
	fmt.Println(document)
	// Output:
	// {
	//     "Version": "2012-10-17",
	//     "Statement": [
	//         {
	//             "Effect": "Allow",
	//             "Action": "*",
	//             "Resource": "*"
	//         }
	//     ]
	// }
}
