package audit

import (
	"crypto/hmac"
	"fmt"

	"pgp.internal/defender/internal/tenant"
)

// Sealed is an event with what proves it.
type Sealed struct {
	Event
	KeyID string // of the Key of its hash; empty for none
	Hash  []byte
}

// Head is how far a chain goes, kept beside it.
type Head struct {
	Sequence int64
	Hash     []byte
}

// BrokenError is the first event of a chain that is not what was written.
type BrokenError struct {
	Tenant   tenant.ID
	Sequence int64
	Reason   string
}

func (e *BrokenError) Error() string { return fmt.Sprintf("event %d: %s", e.Sequence, e.Reason) }

// Verifier checks one chain, event by event in the order of their numbers.
type Verifier struct {
	chain    tenant.ID
	keys     map[string]Key
	at       Head
	unsealed int64
	keyed    bool
}

// NewVerifier checks the chain of a tenant with all keys that are at hand, by their ids.
func NewVerifier(chain tenant.ID, keys map[string]Key) *Verifier {
	return &Verifier{chain: chain, keys: keys}
}

// Add checks the next event. Its error is a *BrokenError, after which the Verifier is of no use.
func (v *Verifier) Add(s *Sealed) error {
	want := v.at.Sequence + 1
	key, known := v.keys[s.KeyID]
	switch {
	case s.Sequence > want:
		return v.broken(want, "missing")
	case s.Sequence < want:
		return v.broken(s.Sequence, "inserted: the number is taken")
	case s.Tenant != v.chain:
		return v.broken(want, "of another chain")
	case s.KeyID == "":
		key, v.unsealed = Key{}, v.unsealed+1
	case !known:
		return v.broken(want, fmt.Sprintf("sealed with the key %q, which is not in the keyring", s.KeyID))
	}
	// An event of the service is sealed for good from the first sealed one on: only operators' commands may lack the key.
	if s.KeyID == "" && v.keyed && s.Actor.Kind != CLI {
		return v.broken(want, "not sealed, though events before it are: changed or inserted")
	}
	v.keyed = v.keyed || s.KeyID != ""
	if !hmac.Equal(key.Hash(v.at.Hash, &s.Event), s.Hash) {
		return v.broken(want, "changed, inserted or moved: its hash does not follow from it and the one before")
	}
	v.at = Head{Sequence: s.Sequence, Hash: s.Hash}
	return nil
}

// Unreadable is the error of an event that nobody could have written as it stands.
func (v *Verifier) Unreadable(sequence int64) error {
	return v.broken(sequence, "changed: what it tells of cannot be read any more")
}

// End checks that the chain goes as far as its head says, no less and no further.
func (v *Verifier) End(head Head) error {
	switch {
	case head.Sequence > v.at.Sequence:
		return v.broken(v.at.Sequence+1, fmt.Sprintf("missing: the chain is cut off, its head says %d", head.Sequence))
	case head.Sequence < v.at.Sequence:
		return v.broken(head.Sequence+1, "appended by hand: the head does not know it")
	case !hmac.Equal(head.Hash, v.at.Hash):
		return v.broken(head.Sequence, "not the one the head was written with")
	}
	return nil
}

// Counts tells how many events were checked, and how many of them carry no key, so that whoever can write the database could
// have made them.
func (v *Verifier) Counts() (events, unsealed int64) { return v.at.Sequence, v.unsealed }

func (v *Verifier) broken(sequence int64, reason string) error {
	return &BrokenError{Tenant: v.chain, Sequence: sequence, Reason: reason}
}
