package iam

import (
	"context"

	"github.com/stint-sts/stint/authn"
)

// TagMFADeviceInput is the input of TagMFADevice.
type TagMFADeviceInput struct {
	SerialNumber string `aws:"SerialNumber,required" len:"9,256" pattern:"mfaSerial"`
	Tags         []Tag  `aws:"Tags,required" len:"0,50"`
}

// TagMFADevice adds tags to a virtual device, or replaces those that have the same key.
func (s *Service) TagMFADevice(ctx context.Context, c *authn.Caller, in *TagMFADeviceInput) error {
	return s.update(ctx, func(tx Tx) error {
		d, err := s.device(tx, access{caller: c, action: "iam:TagMFADevice", tags: in.Tags}, in.SerialNumber)
		if err != nil {
			return err
		}
		if d.Tags, err = s.mergeTags(d.Tags, in.Tags); err != nil {
			return err
		}
		return put(tx, d)
	})
}

// UntagMFADeviceInput is the input of UntagMFADevice.
type UntagMFADeviceInput struct {
	SerialNumber string   `aws:"SerialNumber,required" len:"9,256" pattern:"mfaSerial"`
	TagKeys      []string `aws:"TagKeys,required" len:"0,50" itemlen:"1,128" itempattern:"tagKey"`
}

// UntagMFADevice removes tags from a virtual device. Keys that it does not have are passed over.
func (s *Service) UntagMFADevice(ctx context.Context, c *authn.Caller, in *UntagMFADeviceInput) error {
	return s.update(ctx, func(tx Tx) error {
		d, err := s.device(tx, access{caller: c, action: "iam:UntagMFADevice", tagKeys: in.TagKeys}, in.SerialNumber)
		if err != nil {
			return err
		}
		d.Tags = removeTags(d.Tags, in.TagKeys)
		return put(tx, d)
	})
}

// ListMFADeviceTagsInput is the input of ListMFADeviceTags.
type ListMFADeviceTagsInput struct {
	SerialNumber string `aws:"SerialNumber,required" len:"9,256" pattern:"mfaSerial"`
	PageInput    `aws:",inline"`
}

// ListMFADeviceTagsOutput is the output of ListMFADeviceTags.
type ListMFADeviceTagsOutput struct {
	Tags       []Tag `aws:"Tags,always"`
	PageOutput `aws:",inline"`
}

// ListMFADeviceTags shows a virtual device's tags in order of their keys.
func (s *Service) ListMFADeviceTags(ctx context.Context, c *authn.Caller, in *ListMFADeviceTagsInput) (*ListMFADeviceTagsOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListMFADeviceTagsOutput, error) {
		d, err := s.device(tx, access{caller: c, action: "iam:ListMFADeviceTags"}, in.SerialNumber)
		if err != nil {
			return nil, err
		}
		tags, next, err := pageTags(d.Tags, in.PageInput)
		return &ListMFADeviceTagsOutput{Tags: tags, PageOutput: next}, err
	})
}
