package iam

import "github.com/stint-sts/stint/seal"

// CheckSealed opens everything that is sealed in a record under the master key, and returns how many values that are. The error
// matches seal.ErrWrongKey or seal.ErrDamaged where that is the cause. The key ring is the signer's to open.
func CheckSealed(r Record, master *seal.Key) (values int, err error) {
	var sealed [][]byte
	var places []string
	note := func(value []byte, place string) {
		if len(value) > 0 {
			sealed, places = append(sealed, value), append(places, place)
		}
	}
	switch r.Kind {
	case KindAccessKey:
		var k *AccessKey
		if k, err = decode[AccessKey](r, nil); err == nil {
			note(k.SealedSecret, "access-key/"+k.ID)
		}
	case KindMFADevice:
		var d *MFADevice
		if d, err = decode[MFADevice](r, nil); err == nil {
			note(d.SealedSeed, d.sealContext())
		}
	case KindSAMLProvider:
		var p *SAMLProvider
		if p, err = decode[SAMLProvider](r, nil); err == nil {
			for _, k := range p.PrivateKeys {
				note(k.Sealed, k.sealContext(p.ARN()))
			}
		}
	case KindLoginProfile:
		var l *LoginProfile
		if l, err = decode[LoginProfile](r, nil); err == nil {
			for _, p := range append([]SealedPassword{l.SealedPassword}, l.Former...) {
				note(p.SealedHash, l.sealContext(p.Mark))
			}
		}
	}
	for i, value := range sealed {
		if _, err := master.Open(value, places[i]); err != nil {
			return i, err
		}
	}
	return len(sealed), err
}
