package iam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/authz"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/signer"
)

const (
	statusActive   = "Active"
	statusInactive = "Inactive"
)

func (k *AccessKey) status() string {
	if k.Active {
		return statusActive
	}
	return statusInactive
}

// CreateAccessKeyInput is the input of CreateAccessKey.
type CreateAccessKeyInput struct {
	UserName string `aws:"UserName" len:"1,128" pattern:"entityName"` // default: the caller
}

// CreateAccessKeyOutput is the output of CreateAccessKey.
type CreateAccessKeyOutput struct {
	AccessKey NewAccessKey `aws:"AccessKey"`
}

// NewAccessKey is an access key with its secret, which is shown this once. Root's keys have no user name.
type NewAccessKey struct {
	UserName        string        `aws:"UserName"`
	AccessKeyID     string        `aws:"AccessKeyId"`
	Status          string        `aws:"Status"`
	SecretAccessKey secret.String `aws:"SecretAccessKey"`
	CreateDate      time.Time     `aws:"CreateDate"`
}

// CreateAccessKey makes an access key for a user, or without a name for the caller. It is active at once.
func (s *Service) CreateAccessKey(ctx context.Context, c *authn.Caller, in *CreateAccessKeyInput) (*CreateAccessKeyOutput, error) {
	return change(ctx, s, func(tx Tx) (*CreateAccessKeyOutput, error) {
		o, err := s.owner(tx, access{caller: c, action: "iam:CreateAccessKey"}, in.UserName)
		if err != nil {
			return nil, err
		}
		keys := Query{Account: c.Account, Parent: o.id}
		if err := within[AccessKey](tx, keys, "AccessKeysPerUser", s.quotas.AccessKeysPerUser); err != nil {
			return nil, err
		}
		k, secretKey, err := s.newAccessKey(tx, c.Account, o.id)
		if err != nil {
			return nil, err
		}
		return &CreateAccessKeyOutput{AccessKey: NewAccessKey{
			UserName: o.name(), AccessKeyID: k.ID, Status: k.status(), SecretAccessKey: secretKey, CreateDate: k.CreateDate,
		}}, nil
	})
}

// newAccessKey makes and stores an active access key of a user or, with the account id as owner, of the account's root user.
func (s *Service) newAccessKey(tx Tx, account, owner string) (*AccessKey, secret.String, error) {
	id, err := s.freeKeyID(tx, account)
	if err != nil {
		return nil, secret.String{}, err
	}
	secretKey, err := signer.NewSecretKey(s.rand)
	if err != nil {
		return nil, secret.String{}, err
	}
	sealed, err := s.master.Seal([]byte(secretKey.Reveal()), "access-key/"+id)
	if err != nil {
		return nil, secret.String{}, fmt.Errorf("access key %s: %w", id, err)
	}
	k := &AccessKey{ID: id, Account: account, Owner: owner, Active: true, CreateDate: s.today(), SealedSecret: sealed}
	return k, secretKey, putSealed(tx, k, s.master)
}

// freeKeyID mints an access key id that no other key has: with 39 bits of chance two of a large account's may meet.
func (s *Service) freeKeyID(tx Tx, account string) (string, error) {
	const tries = 10
	for range tries {
		id, err := signer.NewAccessKeyID(s.rand, s.prefix, account)
		if err != nil {
			return "", err
		}
		switch _, err := byID[AccessKey](tx, id); {
		case errors.Is(err, ErrNotFound):
			return id, nil
		case err != nil:
			return "", err
		}
	}
	return "", fmt.Errorf("access key of account %s: %d ids in a row exist already", account, tries)
}

// ListAccessKeysInput is the input of ListAccessKeys.
type ListAccessKeysInput struct {
	UserName  string `aws:"UserName" len:"1,128" pattern:"entityName"` // default: the caller
	PageInput `aws:",inline"`
}

// ListAccessKeysOutput is the output of ListAccessKeys.
type ListAccessKeysOutput struct {
	AccessKeyMetadata []AccessKeyMetadata `aws:"AccessKeyMetadata,always"`
	PageOutput        `aws:",inline"`
}

// AccessKeyMetadata is an access key without its secret. Root's keys have no user name.
type AccessKeyMetadata struct {
	UserName    string    `aws:"UserName"`
	AccessKeyID string    `aws:"AccessKeyId"`
	Status      string    `aws:"Status"`
	CreateDate  time.Time `aws:"CreateDate"`
}

// ListAccessKeys shows the access keys of a user, or without a name of the caller.
func (s *Service) ListAccessKeys(ctx context.Context, c *authn.Caller, in *ListAccessKeysInput) (*ListAccessKeysOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListAccessKeysOutput, error) {
		o, err := s.owner(tx, access{caller: c, action: "iam:ListAccessKeys"}, in.UserName)
		if err != nil {
			return nil, err
		}
		keys, next, err := page(tx, Query{Account: c.Account, Parent: o.id}, in.PageInput, byName[*AccessKey])
		if err != nil {
			return nil, err
		}
		out := &ListAccessKeysOutput{PageOutput: next}
		for _, k := range keys {
			out.AccessKeyMetadata = append(out.AccessKeyMetadata, AccessKeyMetadata{
				UserName: o.name(), AccessKeyID: k.ID, Status: k.status(), CreateDate: k.CreateDate,
			})
		}
		return out, nil
	})
}

// UpdateAccessKeyInput is the input of UpdateAccessKey.
type UpdateAccessKeyInput struct {
	UserName    string `aws:"UserName" len:"1,128" pattern:"entityName"` // default: the caller
	AccessKeyID string `aws:"AccessKeyId,required" len:"16,128" pattern:"accessKeyId"`
	Status      string `aws:"Status,required" enum:"Active,Inactive"`
}

// UpdateAccessKey switches an access key on or off.
func (s *Service) UpdateAccessKey(ctx context.Context, c *authn.Caller, in *UpdateAccessKeyInput) error {
	return s.update(ctx, func(tx Tx) error {
		k, err := s.accessKey(tx, access{caller: c, action: "iam:UpdateAccessKey"}, in.UserName, in.AccessKeyID)
		if err != nil {
			return err
		}
		k.Active = in.Status == statusActive
		return put(tx, k)
	})
}

// DeleteAccessKeyInput is the input of DeleteAccessKey.
type DeleteAccessKeyInput struct {
	UserName    string `aws:"UserName" len:"1,128" pattern:"entityName"` // default: the caller
	AccessKeyID string `aws:"AccessKeyId,required" len:"16,128" pattern:"accessKeyId"`
}

// DeleteAccessKey removes an access key.
func (s *Service) DeleteAccessKey(ctx context.Context, c *authn.Caller, in *DeleteAccessKeyInput) error {
	return s.update(ctx, func(tx Tx) error {
		k, err := s.accessKey(tx, access{caller: c, action: "iam:DeleteAccessKey"}, in.UserName, in.AccessKeyID)
		if err != nil {
			return err
		}
		return remove(tx, k)
	})
}

// accessKey returns a key of the named user, or without a name of the caller, if the caller may do the action on its owner.
func (s *Service) accessKey(tx Tx, a access, userName, id string) (*AccessKey, error) {
	o, err := s.owner(tx, a, userName)
	if err != nil {
		return nil, err
	}
	k, err := get[AccessKey](tx, a.caller.Account, o.id, id)
	if errors.Is(err, ErrNotFound) {
		return nil, awserr.New(awserr.NoSuchEntity, "The Access Key with id "+id+" cannot be found.")
	}
	return k, err
}

// GetAccessKeyLastUsedInput is the input of GetAccessKeyLastUsed.
type GetAccessKeyLastUsedInput struct {
	AccessKeyID string `aws:"AccessKeyId,required" len:"16,128" pattern:"accessKeyId"`
}

// GetAccessKeyLastUsedOutput is the output of GetAccessKeyLastUsed.
type GetAccessKeyLastUsedOutput struct {
	UserName          string            `aws:"UserName"`
	AccessKeyLastUsed AccessKeyLastUsed `aws:"AccessKeyLastUsed"`
}

// AccessKeyLastUsed tells when and for what an access key was last used. A key that never was has no date, and "N/A" else.
type AccessKeyLastUsed struct {
	LastUsedDate time.Time `aws:"LastUsedDate"`
	ServiceName  string    `aws:"ServiceName"`
	Region       string    `aws:"Region"`
}

// GetAccessKeyLastUsed tells whose an access key of the account is and when it was last used. An unknown key, one of another
// account and one that the caller may not ask about read alike.
func (s *Service) GetAccessKeyLastUsed(
	ctx context.Context, c *authn.Caller, in *GetAccessKeyLastUsedInput,
) (*GetAccessKeyLastUsedOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetAccessKeyLastUsedOutput, error) {
		k, o, err := s.keyAndOwner(tx, access{caller: c, action: "iam:GetAccessKeyLastUsed"}, in.AccessKeyID)
		if err != nil {
			return nil, err
		}
		use, err := lastUsed(tx, Use{ID: k.ID, At: k.LastUsed, Service: k.LastUsedService, Region: k.LastUsedRegion})
		return &GetAccessKeyLastUsedOutput{UserName: o.name(), AccessKeyLastUsed: AccessKeyLastUsed{
			LastUsedDate: use.At, ServiceName: cmp.Or(use.Service, notUsed), Region: cmp.Or(use.Region, notUsed),
		}}, err
	})
}

const notUsed = "N/A"

func (s *Service) keyAndOwner(tx Tx, a access, id string) (*AccessKey, *owner, error) {
	denied := func(cause error) (*AccessKey, *owner, error) {
		return nil, nil, awserr.Wrap(awserr.AccessDenied, authz.Sentence(a.caller.ARN, a.action, "access key "+id), cause)
	}
	k, err := byID[AccessKey](tx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return denied(err)
	case err != nil:
		return nil, nil, err
	case k.Account != a.caller.Account:
		return denied(fmt.Errorf("access key of account %s", k.Account))
	}
	o := &owner{id: k.Owner}
	resource, tags := arn.Root(k.Account), []Tag(nil)
	if k.Owner != k.Account {
		if o.user, err = byID[User](tx, k.Owner); err != nil {
			return nil, nil, err
		}
		resource, tags = o.user.ARN(), o.user.Tags
	}
	if err := a.allow(resource, tags); err != nil {
		return denied(err)
	}
	return k, o, nil
}
