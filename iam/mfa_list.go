package iam

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
)

// ListMFADevicesInput is the input of ListMFADevices.
type ListMFADevicesInput struct {
	UserName  string `aws:"UserName" len:"1,128" pattern:"entityName"` // default: the caller
	PageInput `aws:",inline"`
}

// ListMFADevicesOutput is the output of ListMFADevices.
type ListMFADevicesOutput struct {
	MFADevices []MFADeviceInfo `aws:"MFADevices,always"`
	PageOutput `aws:",inline"`
}

// MFADeviceInfo is how ListMFADevices shows a device. Root's devices have no user name.
type MFADeviceInfo struct {
	UserName     string    `aws:"UserName"`
	SerialNumber string    `aws:"SerialNumber"`
	EnableDate   time.Time `aws:"EnableDate"`
}

// ListMFADevices shows the MFA devices of a user, or without a name of the caller, in order of their serial numbers.
func (s *Service) ListMFADevices(ctx context.Context, c *authn.Caller, in *ListMFADevicesInput) (*ListMFADevicesOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListMFADevicesOutput, error) {
		o, err := s.deviceOwner(tx, access{caller: c, action: "iam:ListMFADevices"}, in.UserName)
		if err != nil {
			return nil, err
		}
		all, err := list[MFADevice](tx, Query{Account: c.Account, Target: o.id})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(all, func(a, b *MFADevice) int { return strings.Compare(a.Serial, b.Serial) })
		devices, next, err := pageOf(all, in.PageInput, byName[*MFADevice])
		out := &ListMFADevicesOutput{PageOutput: next}
		for _, d := range devices {
			out.MFADevices = append(out.MFADevices, MFADeviceInfo{UserName: o.name(), SerialNumber: d.Serial, EnableDate: d.EnableDate})
		}
		return out, err
	})
}

// GetMFADeviceInput is the input of GetMFADevice.
type GetMFADeviceInput struct {
	SerialNumber string `aws:"SerialNumber,required" len:"9,256" pattern:"mfaSerial"`
	UserName     string `aws:"UserName" len:"1,64" pattern:"entityName"` // default: the caller
}

// GetMFADeviceOutput is the output of GetMFADevice. Root's devices have no user name.
type GetMFADeviceOutput struct {
	UserName     string    `aws:"UserName"`
	SerialNumber string    `aws:"SerialNumber"`
	EnableDate   time.Time `aws:"EnableDate"`
}

// GetMFADevice shows a device of a user, or without a name of the caller.
func (s *Service) GetMFADevice(ctx context.Context, c *authn.Caller, in *GetMFADeviceInput) (*GetMFADeviceOutput, error) {
	return read(ctx, s, func(tx Tx) (*GetMFADeviceOutput, error) {
		d, o, err := s.ownDevice(tx, access{caller: c, action: "iam:GetMFADevice"}, in.UserName, in.SerialNumber)
		if err != nil {
			return nil, err
		}
		return &GetMFADeviceOutput{UserName: o.name(), SerialNumber: d.Serial, EnableDate: d.EnableDate}, nil
	})
}

// ListVirtualMFADevicesInput is the input of ListVirtualMFADevices.
type ListVirtualMFADevicesInput struct {
	AssignmentStatus string `aws:"AssignmentStatus" enum:"Assigned,Unassigned,Any"` // default Any
	PageInput        `aws:",inline"`
}

// ListVirtualMFADevicesOutput is the output of ListVirtualMFADevices.
type ListVirtualMFADevicesOutput struct {
	VirtualMFADevices []VirtualMFADevice `aws:"VirtualMFADevices,always"` // without seeds and tags
	PageOutput        `aws:",inline"`
}

// ListVirtualMFADevices shows the account's devices in order of their serial numbers.
func (s *Service) ListVirtualMFADevices(
	ctx context.Context, c *authn.Caller, in *ListVirtualMFADevicesInput,
) (*ListVirtualMFADevicesOutput, error) {
	return read(ctx, s, func(tx Tx) (*ListVirtualMFADevicesOutput, error) {
		if err := (access{caller: c, action: "iam:ListVirtualMFADevices"}).list("mfa", ""); err != nil {
			return nil, err
		}
		after, err := in.after()
		if err != nil {
			return nil, err
		}
		all := walk(tx, Query{Account: c.Account, After: after}, byName[*MFADevice])
		devices, next, err := pageFrom(assigned(all, in.AssignmentStatus), in.PageInput, byName[*MFADevice])
		if err != nil {
			return nil, err
		}
		out := &ListVirtualMFADevicesOutput{PageOutput: next}
		for _, d := range devices {
			user, err := ownerInfo(tx, d)
			if err != nil {
				return nil, err
			}
			out.VirtualMFADevices = append(out.VirtualMFADevices, VirtualMFADevice{SerialNumber: d.Serial, User: user, EnableDate: d.EnableDate})
		}
		return out, nil
	})
}

// assigned keeps the devices that have the status.
func assigned(all iter.Seq2[*MFADevice, error], status string) iter.Seq2[*MFADevice, error] {
	return func(yield func(*MFADevice, error) bool) {
		for d, err := range all {
			unwanted := err == nil && (status == "Assigned" && d.Owner == "" || status == "Unassigned" && d.Owner != "")
			if !unwanted && !yield(d, err) {
				return
			}
		}
	}
}

// ownerInfo shows whom a device is assigned to; nil: nobody.
func ownerInfo(tx Tx, d *MFADevice) (*UserInfo, error) {
	switch d.Owner {
	case "":
		return nil, nil
	case d.Account:
		a, err := get[Account](tx, "", "", d.Account)
		if err != nil {
			return nil, err
		}
		return &UserInfo{UserID: a.ID, ARN: arn.Root(a.ID), CreateDate: a.CreateDate}, nil
	}
	u, err := byID[User](tx, d.Owner)
	if err == nil {
		err = findSignIns(tx, u)
	}
	if err != nil {
		return nil, err
	}
	info := wireUser(u, true)
	return &info, nil
}
