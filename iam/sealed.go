package iam

import (
	"errors"
	"fmt"

	"github.com/stint-sts/stint/seal"
)

// sealer is an object with values that are sealed under the master key.
type sealer interface {
	object
	// sealedValues returns the values, to be replaced in place, and the place that each is sealed for.
	sealedValues() []sealedValue
}

type sealedValue struct {
	value *[]byte
	place string
}

func (k *AccessKey) sealedValues() []sealedValue {
	return []sealedValue{{&k.SealedSecret, "access-key/" + k.ID}}
}

func (d *MFADevice) sealedValues() []sealedValue {
	return []sealedValue{{&d.SealedSeed, d.sealContext()}}
}

func (p *SAMLProvider) sealedValues() []sealedValue {
	values := make([]sealedValue, len(p.PrivateKeys))
	for i := range p.PrivateKeys {
		values[i] = sealedValue{&p.PrivateKeys[i].Sealed, p.PrivateKeys[i].sealContext(p.ARN())}
	}
	return values
}

func (l *LoginProfile) sealedValues() []sealedValue {
	values := []sealedValue{{&l.SealedHash, l.sealContext(l.Mark)}}
	for i := range l.Former {
		values = append(values, sealedValue{&l.Former[i].SealedHash, l.sealContext(l.Former[i].Mark)})
	}
	return values
}

// SealedKinds returns the kinds of record that hold sealed values, but for the key ring, which is the signer's.
func SealedKinds() []Kind {
	return []Kind{KindAccessKey, KindMFADevice, KindSAMLProvider, KindLoginProfile}
}

// decodeSealer returns the object of a record of SealedKinds, and nil for any other.
func decodeSealer(r Record) (o sealer, err error) {
	switch r.Kind {
	case KindAccessKey:
		o, err = decode[AccessKey](r, nil)
	case KindMFADevice:
		o, err = decode[MFADevice](r, nil)
	case KindSAMLProvider:
		o, err = decode[SAMLProvider](r, nil)
	case KindLoginProfile:
		o, err = decode[LoginProfile](r, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seal.ErrDamaged, err)
	}
	return o, nil
}

// CheckSealed opens everything that is sealed in a record under the master key, and returns how many values that are. The error
// matches seal.ErrWrongKey or seal.ErrDamaged where that is the cause. The key ring is the signer's to open.
func CheckSealed(r Record, master *seal.Key) (values int, err error) {
	o, err := decodeSealer(r)
	if err != nil || o == nil {
		return 0, err
	}
	for _, v := range o.sealedValues() {
		if len(*v.value) == 0 {
			continue
		}
		if _, err := master.Open(*v.value, v.place); err != nil {
			return values, err
		}
		values++
	}
	return values, nil
}

// Reseal reads the record that has r's key, seals anew under the master key in force what a former one sealed, and stores it. It
// returns how many values that were; a record that is gone has none. The error matches seal.ErrWrongKey or seal.ErrDamaged where a value
// cannot be opened; the record then stays as it is.
func Reseal(tx Tx, r Record, master *seal.Key) (resealed int, err error) {
	stored, err := tx.Get(r.Kind, r.Account, r.Parent, r.Name)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	o, err := decodeSealer(stored)
	if err != nil || o == nil {
		return 0, err
	}
	if resealed, err = resealObject(tx, o, master); err != nil || resealed == 0 {
		return 0, err
	}
	return resealed, put(tx, o)
}

// putSealed is put for an object that got a value which is sealed under master: it is stored under the key in force. That is read in
// the transaction, so that once another key is in force, on whatever node, nothing is stored under the former one.
func putSealed(tx Tx, o sealer, master *seal.Key) error {
	if _, err := resealObject(tx, o, master); err != nil {
		return err
	}
	return put(tx, o)
}

func resealObject(tx Tx, o sealer, master *seal.Key) (resealed int, err error) {
	inForce, err := masterInForce(tx, master)
	if err != nil {
		return 0, err
	}
	for _, v := range o.sealedValues() {
		if len(*v.value) == 0 || inForce.Has(*v.value) {
			continue
		}
		if *v.value, err = inForce.Reseal(*v.value, v.place); err != nil {
			return 0, err
		}
		resealed++
	}
	return resealed, nil
}

// masterInForce returns the master key that seals: the one that the key ring is sealed under, which all nodes have.
func masterInForce(tx Tx, master *seal.Key) (*seal.Key, error) {
	ring, err := tx.Get(KindKeyRing, "", "", "ring")
	if errors.Is(err, ErrNotFound) {
		return master, nil
	}
	if err != nil {
		return nil, err
	}
	inForce, err := master.Sealer(ring.Body)
	if err != nil {
		return nil, fmt.Errorf("key ring: %w", err)
	}
	return inForce, nil
}
