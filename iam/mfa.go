package iam

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stint-sts/stint/arn"
	"github.com/stint-sts/stint/authn"
	"github.com/stint-sts/stint/awserr"
	"github.com/stint-sts/stint/mfa"
	"github.com/stint-sts/stint/seal"
	"github.com/stint-sts/stint/secret"
	"github.com/stint-sts/stint/session"
)

const (
	// devicesPerUser bounds the devices of a user, and of root (AWS IAM User Guide, "IAM and AWS STS quotas"). It is fixed, as on AWS.
	devicesPerUser = 8
	// maxSerial is the largest serial number that the other operations take (IAM API model, serialNumberType).
	maxSerial = 256
	// issuer is what an authenticator shows beside the device's name.
	issuer = "stint"
)

// CreateVirtualMFADeviceInput is the input of CreateVirtualMFADevice.
type CreateVirtualMFADeviceInput struct {
	Path                 string `aws:"Path" len:"1,512" pattern:"path"` // default "/"
	VirtualMFADeviceName string `aws:"VirtualMFADeviceName,required" len:"1,226" pattern:"entityName"`
	Tags                 []Tag  `aws:"Tags" len:"0,50"`
}

// CreateVirtualMFADeviceOutput is the output of CreateVirtualMFADevice.
type CreateVirtualMFADeviceOutput struct {
	VirtualMFADevice VirtualMFADevice `aws:"VirtualMFADevice"`
}

// VirtualMFADevice is how answers show a virtual device. The seed and its QR code are shown once, to who made the device.
type VirtualMFADevice struct {
	SerialNumber     string    `aws:"SerialNumber"`
	Base32StringSeed []byte    `aws:"Base32StringSeed"` // 64 characters of base32
	QRCodePNG        []byte    `aws:"QRCodePNG"`
	User             *UserInfo `aws:"User"` // nil: unassigned
	EnableDate       time.Time `aws:"EnableDate"`
	Tags             []Tag     `aws:"Tags"`
}

// CreateVirtualMFADevice makes a device that is assigned to nobody yet, and shows its seed. With tags it needs iam:TagMFADevice as
// well.
func (s *Service) CreateVirtualMFADevice(
	ctx context.Context, c *authn.Caller, in *CreateVirtualMFADeviceInput,
) (*CreateVirtualMFADeviceOutput, error) {
	serial, err := in.serial(c.Account)
	if err != nil {
		return nil, err
	}
	if err := allowCreate(c, "iam:CreateVirtualMFADevice", "iam:TagMFADevice", serial, in.Tags, nil); err != nil {
		return nil, err
	}
	d, seed, err := s.newDevice(c.Account, serial)
	if err != nil {
		return nil, err
	}
	picture, err := mfa.QR(mfa.URI(issuer, in.VirtualMFADeviceName, c.Account, seed))
	if err != nil {
		return nil, err
	}
	return change(ctx, s, func(tx Tx) (*CreateVirtualMFADeviceOutput, error) {
		if err := s.admitDevice(tx, d); err != nil {
			return nil, err
		}
		var err error
		if d.Tags, err = s.mergeTags(nil, in.Tags); err != nil {
			return nil, err
		}
		stored := *d // Update may run this function again
		return &CreateVirtualMFADeviceOutput{VirtualMFADevice: VirtualMFADevice{
			SerialNumber: d.Serial, Base32StringSeed: []byte(seed.Reveal()), QRCodePNG: picture, Tags: d.Tags,
		}}, putSealed(tx, &stored, s.master)
	})
}

// serial is the serial number of the new device. A path may be longer and have other characters than a serial number that the other
// operations take: such a device could be made, but not used.
func (in *CreateVirtualMFADeviceInput) serial(account string) (string, error) {
	serial := arn.Entity(account, "mfa", pathOrRoot(in.Path), in.VirtualMFADeviceName)
	if len(serial) > maxSerial || strings.ContainsFunc(serial, notInSerial) {
		return "", awserr.Newf(awserr.ValidationError, "Path and name of an MFA device make its serial number, which has at most %d letters, "+
			"digits and characters of _+=/:,.@-", maxSerial)
	}
	return serial, nil
}

// notInSerial tells what IAM API model's serialNumberType does not hold.
func notInSerial(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("_+=/:,.@-", r)
}

// newDevice makes a device with a seed.
func (s *Service) newDevice(account, serial string) (*MFADevice, secret.String, error) {
	none := secret.String{}
	d := &MFADevice{Account: account, Serial: serial, CreateDate: s.today()}
	var mark [8]byte
	if _, err := io.ReadFull(s.rand, mark[:]); err != nil {
		return nil, none, fmt.Errorf("MFA device %s: %w", d.Serial, err)
	}
	d.Mark = hex.EncodeToString(mark[:])
	seed, err := mfa.NewSeed(s.rand)
	if err != nil {
		return nil, none, err
	}
	if d.SealedSeed, err = s.master.Seal([]byte(seed.Reveal()), d.sealContext()); err != nil {
		return nil, none, fmt.Errorf("MFA device %s: %w", d.Serial, err)
	}
	return d, seed, nil
}

func (d *MFADevice) sealContext() string { return "mfa-device/" + d.Serial }

// admitDevice checks that the account has room for the device and its serial number is free.
func (s *Service) admitDevice(tx Tx, d *MFADevice) error {
	switch _, err := get[MFADevice](tx, d.Account, "", d.Serial); {
	case err == nil:
		return awserr.New(awserr.EntityAlreadyExists, "MFADevice entity at the same path and name already exists.")
	case !errors.Is(err, ErrNotFound):
		return err
	}
	// As many as users (AWS IAM User Guide, "IAM and AWS STS quotas").
	return within[MFADevice](tx, Query{Account: d.Account}, "VirtualMFADevicesPerAccount", s.quotas.UsersPerAccount)
}

// EnableMFADeviceInput is the input of EnableMFADevice.
type EnableMFADeviceInput struct {
	UserName            string        `aws:"UserName,required" len:"1,128" pattern:"entityName"` // root names itself by its account id
	SerialNumber        string        `aws:"SerialNumber,required" len:"9,256" pattern:"mfaSerial"`
	AuthenticationCode1 secret.String `aws:"AuthenticationCode1,required" len:"6,6" pattern:"code"`
	AuthenticationCode2 secret.String `aws:"AuthenticationCode2,required" len:"6,6" pattern:"code"`
}

// EnableMFADevice assigns a device to a user, who proves by two consecutive codes that its seed has arrived.
func (s *Service) EnableMFADevice(ctx context.Context, c *authn.Caller, in *EnableMFADeviceInput) error {
	find := func(tx Tx) (*MFADevice, *owner, error) { return s.assignable(tx, c, in) }
	return s.proven(ctx, find,
		func(device *mfa.Device) error {
			device.Offset = 0
			return s.codes.Enable(ctx, device, in.AuthenticationCode1, in.AuthenticationCode2)
		},
		func(d *MFADevice, o *owner) { d.Owner, d.EnableDate, d.Offset = o.id, s.today(), 0 })
}

// assignable returns a device that may be assigned to the user whom in names.
func (s *Service) assignable(tx Tx, c *authn.Caller, in *EnableMFADeviceInput) (*MFADevice, *owner, error) {
	o, err := s.deviceOwner(tx, access{caller: c, action: "iam:EnableMFADevice"}, in.UserName)
	if err != nil {
		return nil, nil, err
	}
	d, err := get[MFADevice](tx, c.Account, "", in.SerialNumber)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil, missingDevice(in.SerialNumber)
	case err != nil:
		return nil, nil, err
	case d.Owner != "":
		return nil, nil, awserr.New(awserr.EntityAlreadyExists, "MFA Device is already in use.")
	}
	return d, o, within[MFADevice](tx, Query{Account: c.Account, Target: o.id}, "MFADevicesPerUser", devicesPerUser)
}

// ResyncMFADeviceInput is the input of ResyncMFADevice.
type ResyncMFADeviceInput struct {
	UserName            string        `aws:"UserName,required" len:"1,128" pattern:"entityName"` // root names itself by its account id
	SerialNumber        string        `aws:"SerialNumber,required" len:"9,256" pattern:"mfaSerial"`
	AuthenticationCode1 secret.String `aws:"AuthenticationCode1,required" len:"6,6" pattern:"code"`
	AuthenticationCode2 secret.String `aws:"AuthenticationCode2,required" len:"6,6" pattern:"code"`
}

// ResyncMFADevice learns from two consecutive codes how far a device's clock is off, up to ten minutes.
func (s *Service) ResyncMFADevice(ctx context.Context, c *authn.Caller, in *ResyncMFADeviceInput) error {
	find := func(tx Tx) (*MFADevice, *owner, error) {
		return s.ownDevice(tx, access{caller: c, action: "iam:ResyncMFADevice"}, in.UserName, in.SerialNumber)
	}
	var offset int
	return s.proven(ctx, find,
		func(device *mfa.Device) (err error) {
			offset, err = s.codes.Resync(ctx, device, in.AuthenticationCode1, in.AuthenticationCode2)
			return err
		},
		func(d *MFADevice, _ *owner) { d.Offset, d.OffsetSet = offset, s.today() })
}

// proven changes a device once codes have proved that the caller holds it. The codes are judged between two transactions, because a
// transaction may run twice and a code passes once; the second one finds the device as the first did, or changes nothing.
func (s *Service) proven(
	ctx context.Context, find func(Tx) (*MFADevice, *owner, error), prove func(*mfa.Device) error, change func(*MFADevice, *owner),
) error {
	var device *mfa.Device
	err := s.view(ctx, func(tx Tx) error {
		d, _, err := find(tx)
		if err != nil {
			return err
		}
		device, err = d.open(s.master)
		return err
	})
	if err != nil {
		return err
	}
	if err := prove(device); err != nil {
		return codeError(err)
	}
	return s.update(ctx, func(tx Tx) error {
		d, o, err := find(tx)
		if err != nil {
			return err
		}
		if d.codeID() != device.ID {
			return ErrConflict // deleted and made anew meanwhile
		}
		change(d, o)
		return put(tx, d)
	})
}

// codeError gives errors of judging codes their AWS code. A throttled attempt reads like a wrong code.
func codeError(err error) error {
	switch {
	case errors.Is(err, mfa.ErrInvalidCode):
		return awserr.Wrap(awserr.InvalidAuthenticationCode, "Authentication code for device is not valid.", err)
	case errors.Is(err, session.ErrUnavailable):
		return awserr.Wrap(awserr.ServiceUnavailable, "The request has failed due to a temporary failure of the server.", err)
	default:
		return err
	}
}

// DeactivateMFADeviceInput is the input of DeactivateMFADevice.
type DeactivateMFADeviceInput struct {
	UserName     string `aws:"UserName" len:"1,128" pattern:"entityName"` // default: the caller
	SerialNumber string `aws:"SerialNumber,required" len:"9,256" pattern:"mfaSerial"`
}

// DeactivateMFADevice takes a device away from its user. It may be assigned anew.
func (s *Service) DeactivateMFADevice(ctx context.Context, c *authn.Caller, in *DeactivateMFADeviceInput) error {
	return s.update(ctx, func(tx Tx) error {
		d, _, err := s.ownDevice(tx, access{caller: c, action: "iam:DeactivateMFADevice"}, in.UserName, in.SerialNumber)
		if err != nil {
			return err
		}
		if d.Offset != 0 {
			d.Offset, d.OffsetSet = 0, s.today()
		}
		d.Owner, d.EnableDate = "", time.Time{}
		return put(tx, d)
	})
}

// DeleteVirtualMFADeviceInput is the input of DeleteVirtualMFADevice.
type DeleteVirtualMFADeviceInput struct {
	SerialNumber string `aws:"SerialNumber,required" len:"9,256" pattern:"mfaSerial"`
}

// DeleteVirtualMFADevice removes a device that is assigned to nobody.
func (s *Service) DeleteVirtualMFADevice(ctx context.Context, c *authn.Caller, in *DeleteVirtualMFADeviceInput) error {
	return s.update(ctx, func(tx Tx) error {
		d, err := s.device(tx, access{caller: c, action: "iam:DeleteVirtualMFADevice"}, in.SerialNumber)
		if err != nil {
			return err
		}
		if d.Owner != "" {
			return awserr.New(awserr.DeleteConflict, "MFA VirtualDevice in use. Must deactivate first.")
		}
		return remove(tx, d)
	})
}

// device returns a device of the caller's account if the caller may do the action on it.
func (s *Service) device(tx Tx, a access, serial string) (*MFADevice, error) {
	missing := serial
	if devices := arn.Entity(a.caller.Account, "mfa", "/", ""); !strings.HasPrefix(serial, devices) {
		missing = devices + serial
	}
	d, err := get[MFADevice](tx, a.caller.Account, "", serial)
	return found(d, err, a, missing, func() []Tag { return d.Tags }, missingDeviceText(serial))
}

// deviceOwner is owner for operations on devices whose UserName clients cannot leave out: root names itself by its account id.
func (s *Service) deviceOwner(tx Tx, a access, name string) (*owner, error) {
	if a.caller.Kind == authn.Root && name == a.caller.Account {
		name = ""
	}
	return s.owner(tx, a, name)
}

// ownDevice returns a device of the named user, or without a name of the caller, if the caller may do the action on its owner.
func (s *Service) ownDevice(tx Tx, a access, userName, serial string) (*MFADevice, *owner, error) {
	o, err := s.deviceOwner(tx, a, userName)
	if err != nil {
		return nil, nil, err
	}
	d, err := get[MFADevice](tx, a.caller.Account, "", serial)
	if errors.Is(err, ErrNotFound) || err == nil && d.Owner != o.id {
		return nil, nil, missingDevice(serial)
	}
	return d, o, err
}

func missingDevice(serial string) error {
	return awserr.New(awserr.NoSuchEntity, missingDeviceText(serial))
}

func missingDeviceText(serial string) string {
	return "MFA Device with serial number " + serial + " does not exist."
}

// open returns the device as codes are judged with it.
func (d *MFADevice) open(master *seal.Key) (*mfa.Device, error) {
	seed, err := master.Open(d.SealedSeed, d.sealContext())
	if err != nil {
		return nil, fmt.Errorf("MFA device %s: %w", d.Serial, err)
	}
	return &mfa.Device{ID: d.codeID(), Seed: secret.New(string(seed)), Offset: d.Offset, Made: d.CreateDate, OffsetSet: d.OffsetSet}, nil
}

// codeID names the device's seed: whoever the device is assigned to, a code of it works once.
func (d *MFADevice) codeID() string { return d.Serial + "/" + d.Mark }

// MFADevice returns the device with that serial number as codes are judged with it, if it is assigned to the user with the unique id
// owner, or to root when owner is the account id. Otherwise, whether it exists or not, the error matches authn.ErrUnknown.
func (d *Directory) MFADevice(ctx context.Context, account, owner, serial string) (*mfa.Device, error) {
	var device *mfa.Device
	err := d.View(ctx, func(tx Tx) error {
		stored, err := get[MFADevice](tx, account, "", serial)
		if err != nil {
			return err
		}
		if owner == "" || stored.Owner != owner {
			return ErrNotFound
		}
		device, err = stored.open(d.master)
		return err
	})
	return device, err
}
