package syncer

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// SumParts is how many sums are kept of an asset's rows. A row belongs to the part that the last bits of its
// vulnerability's number name, so that a changed row has only the findings of its part compared.
const SumParts = 8

// PartOf is the part that a vulnerability belongs to.
func PartOf(vulnerability int32) int { return int(uint32(vulnerability) % SumParts) }

// RowSum is what is stored of an asset's rows, part by part: equal sums mean equal sets of rows, in whatever order they
// came. The sums are of 64 bits, which no accident brings to agree.
type RowSum [SumParts]uint64

// add takes in the stable part of a row: what identifies it and what a user can see of it. Times of sighting
// change daily and are left out. Of a refused row nobody sees more than the reason.
func (s *RowSum) add(row *spooledRow) {
	var b [25]byte
	binary.LittleEndian.PutUint32(b[:], uint32(row.software))
	binary.LittleEndian.PutUint32(b[4:], uint32(row.vulnerability))
	b[11], b[24] = rowSumVersion, row.reason
	if row.reason == 0 {
		b[8], b[9], b[10] = byte(row.severity), byte(row.source), byte(row.vector)
		binary.LittleEndian.PutUint64(b[12:], uint64(row.location))
		binary.LittleEndian.PutUint32(b[20:], row.firstSeen)
	}
	h := sha256.Sum256(b[:])
	s[PartOf(row.vulnerability)] += binary.LittleEndian.Uint64(h[:])
}

// rowSumVersion changes when the meaning of the sum changes, so that every asset is compared once more.
const rowSumVersion = 4

// parts is a set of parts, a bit each.
type parts uint8

const allParts parts = 1<<SumParts - 1

func (p parts) has(part int) bool { return p>>part&1 == 1 }

// differing tells the parts in which the sums differ.
func (s *RowSum) differing(o *RowSum) (p parts) {
	for i := range s {
		if s[i] != o[i] {
			p |= 1 << i
		}
	}
	return p
}

// Bytes is the stored form.
func (s RowSum) Bytes() []byte {
	b := make([]byte, 0, 8*SumParts)
	for _, sum := range s {
		b = binary.LittleEndian.AppendUint64(b, sum)
	}
	return b
}

// ReadRowSum reads the stored form. Anything else, such as nothing, is the sum of no rows.
func ReadRowSum(b []byte) (s RowSum) {
	if len(b) != 8*SumParts {
		return s
	}
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return s
}

// unix32 is a time in seconds that fits the spool: absent or absurd times become 0.
func unix32(t time.Time) uint32 {
	if s := t.Unix(); s > 0 && s < 1<<32 {
		return uint32(s)
	}
	return 0
}
