package iam

// GetAccessKey reads the record of an access key.
func GetAccessKey(tx Tx, account, owner, id string) (*AccessKey, error) {
	return get[AccessKey](tx, account, owner, id)
}

// PutMFADevice stores the record of a new MFA device.
func PutMFADevice(tx Tx, d MFADevice) error { return put(tx, &d) }
