package syncer

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"
)

// rowSum is a 128-bit sum of row hashes: equal sums mean equal sets of rows, in whatever order they came.
type rowSum struct{ high, low uint64 }

// add takes in the stable part of an accepted row: what identifies it and what a user can see of it. Times of sighting
// change daily and are left out.
func (s *rowSum) add(row *spooledRow) {
	var b [24]byte
	binary.LittleEndian.PutUint32(b[:], uint32(row.software))
	binary.LittleEndian.PutUint32(b[4:], uint32(row.vulnerability))
	b[8], b[9], b[10], b[11] = byte(row.severity), byte(row.source), byte(row.vector), rowSumVersion
	binary.LittleEndian.PutUint64(b[12:], uint64(row.location))
	binary.LittleEndian.PutUint32(b[20:], row.firstSeen)
	h := sha256.Sum256(b[:])
	var carry uint64
	s.low, carry = bits.Add64(s.low, binary.LittleEndian.Uint64(h[:]), 0)
	s.high, _ = bits.Add64(s.high, binary.LittleEndian.Uint64(h[8:]), carry)
}

// rowSumVersion changes when the meaning of the sum changes, so that every asset is compared once more.
const rowSumVersion = 2

func (s rowSum) bytes() (b [16]byte) {
	binary.LittleEndian.PutUint64(b[:], s.low)
	binary.LittleEndian.PutUint64(b[8:], s.high)
	return b
}

// unix32 is a time in seconds that fits the spool: absent or absurd times become 0.
func unix32(t time.Time) uint32 {
	if s := t.Unix(); s > 0 && s < 1<<32 {
		return uint32(s)
	}
	return 0
}
