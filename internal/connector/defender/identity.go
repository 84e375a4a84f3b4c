package defender

import (
	"hash/maphash"
	"math/bits"

	"pgp.internal/defender/internal/inventory"
)

// identity digests which rows a page holds, and in which order, so that a page that is read again can be compared with
// what was read of it before. Rows in a row share most of their texts, so each text's hash is kept until it changes.
type identity struct {
	seed   maphash.Seed
	texts  [5]string
	hashes [5]uint64
	sum    uint64
}

func newIdentity() *identity {
	d := &identity{seed: maphash.MakeSeed()}
	for i := range d.hashes {
		d.hashes[i] = maphash.String(d.seed, "")
	}
	return d
}

// restart begins a page.
func (d *identity) restart() { d.sum = 0 }

func (d *identity) add(row *inventory.Row) {
	const odd = 0x9E3779B97F4A7C15 // multiplying by it loses nothing; rotating makes the order count
	sum := d.sum
	for i, text := range [...]*string{&row.MachineID, &row.CVE, &row.Vendor, &row.Product, &row.Version} {
		if *text != d.texts[i] {
			d.texts[i], d.hashes[i] = *text, maphash.String(d.seed, *text)
		}
		sum = bits.RotateLeft64((sum^d.hashes[i])*odd, 29)
	}
	d.sum = sum
}
