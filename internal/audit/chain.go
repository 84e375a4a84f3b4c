package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// canonicalForm is the first byte of the canonical bytes; it grows when the form changes.
const canonicalForm = 1

// Canonical gives the bytes that stand for an event: every field, each text with its length before it, so that no two
// different events have the same. Times count to the microsecond.
func (e *Event) Canonical() []byte {
	b := append([]byte{canonicalForm}, e.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(e.Tenant)) //nolint:gosec // all its bits are kept
	b = binary.BigEndian.AppendUint64(b, uint64(e.Sequence))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro()))
	for _, text := range []string{
		string(e.Actor.Kind), e.Actor.ID, e.Actor.Name, string(e.Action), e.Resource.Type, e.Resource.ID, string(e.Outcome), e.RequestID, e.Address,
	} {
		b = appendText(b, text)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Changes)))
	for _, c := range e.Changes {
		b = appendText(appendText(appendText(b, c.Field), c.Before), c.After)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// Key seals a chain: who can write the database but has no key cannot make a chain that holds. The zero Key has no secret;
// its hashes only tell accidents.
type Key struct {
	ID     string // of the keyring's key that it was derived from
	Place  int    // of that key in the keyring, 0 for the newest
	Secret []byte
}

// Hash chains an event to the hash of the one before, nil for the first: HMAC-SHA-256 (RFC 2104), or plain SHA-256 of the
// zero Key, over that hash and the event's canonical bytes.
func (k Key) Hash(previous []byte, e *Event) []byte {
	var h hash.Hash
	if len(k.Secret) > 0 {
		h = hmac.New(sha256.New, k.Secret)
	} else {
		h = sha256.New()
	}
	h.Write(appendText(nil, string(previous)))
	h.Write(e.Canonical())
	return h.Sum(nil)
}
