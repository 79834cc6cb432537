package iam

import "context"

// GetAccessKey reads the record of an access key.
func GetAccessKey(tx Tx, account, owner, id string) (*AccessKey, error) {
	return get[AccessKey](tx, account, owner, id)
}

// PutMFADevice stores the record of a new MFA device.
func PutMFADevice(tx Tx, d MFADevice) error { return put(tx, &d) }

// RenameAccount gives an account another name.
func RenameAccount(tx Tx, id, name string) error {
	a, err := get[Account](tx, "", "", id)
	if err != nil {
		return err
	}
	a.Name = name
	return put(tx, a)
}

// StoredLoginProfile reads a user's login profile.
func StoredLoginProfile(tx Tx, account, userID string) (*LoginProfile, error) {
	return loginProfile(tx, &User{Account: account, ID: userID})
}

// PutLoginProfile stores a login profile.
func PutLoginProfile(tx Tx, l *LoginProfile) error { return put(tx, l) }

// Flush writes last uses down.
func (d *Directory) Flush(ctx context.Context) error { return d.flush(ctx) }
