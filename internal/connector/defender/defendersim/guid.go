package defendersim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// NewGUID returns a random GUID, as trace ids and directory ids are.
func NewGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return formatGUID(b)
}

// guidOf derives a GUID from texts, for object ids that must stay the same.
func guidOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p + "\x00"))
	}
	return formatGUID([16]byte(h.Sum(nil)))
}

func formatGUID(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
