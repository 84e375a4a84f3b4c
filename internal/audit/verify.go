package audit

import (
	"crypto/hmac"
	"fmt"
	"math"
	"slices"

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

// Verdict is what was found of a chain, as far as it was read.
type Verdict struct {
	Events       int64    // how many were read
	Unsealed     int64    // of these, carry no key: whoever can write the database could have made them
	UnsealedLate int64    // of these, come after a sealed one
	Unproven     int64    // are sealed with a key that is not at hand
	MissingKeys  []string // ids of these keys, each once
	OlderKey     int64    // are sealed with a key that a newer one had taken the place of in the chain
	OlderKeyFrom int64    // the first of them; 0 for none
}

// Verifier checks one chain, event by event in the order of their numbers.
type Verifier struct {
	chain   tenant.ID
	keys    map[string]Key
	at      Head
	first   []byte // hash of the first event
	sealed  bool   // an event so far was
	newest  int    // the place of the newest key so far
	verdict Verdict
}

// NewVerifier checks the chain of a tenant with all keys that are at hand, by their ids. Without any it tells accidents only.
func NewVerifier(chain tenant.ID, keys map[string]Key) *Verifier {
	return &Verifier{chain: chain, keys: keys, newest: math.MaxInt}
}

// Add checks the next event. Its error is a *BrokenError, after which the Verifier is of no use. An event whose key is not at hand
// is no error: it is taken as it stands, counted as unproven, and what follows is checked on.
func (v *Verifier) Add(s *Sealed) error {
	want := v.at.Sequence + 1
	switch {
	case s.Sequence > want:
		return v.broken(want, "missing")
	case s.Sequence < want:
		return v.broken(s.Sequence, "inserted: the number is taken")
	case s.Tenant != v.chain:
		return v.broken(want, "of another chain")
	case s.KeyID == "" && v.mustBeSealed(&s.Event):
		return v.broken(want, "not sealed, though who made it has the key: changed or inserted")
	}
	key, known := v.keys[s.KeyID]
	if s.KeyID == "" {
		key, known = Key{}, true
	}
	if known && !hmac.Equal(key.Hash(v.at.Hash, &s.Event), s.Hash) {
		return v.broken(want, "changed, inserted or moved: its hash does not follow from it and the one before")
	}
	v.count(s, key, known)
	v.at = Head{Sequence: s.Sequence, Hash: s.Hash}
	if s.Sequence == 1 {
		v.first = s.Hash
	}
	return nil
}

// mustBeSealed tells whether nobody without the key could have made the event: the service does not start without a keyring,
// so only operators' commands may lack it, and of these not the one that seals secrets with it.
func (v *Verifier) mustBeSealed(e *Event) bool {
	return (v.sealed || len(v.keys) > 0) && (e.Actor.Kind != CLI || e.Action == IntegrationResealed)
}

func (v *Verifier) count(s *Sealed, key Key, known bool) {
	v.verdict.Events = s.Sequence
	switch {
	case s.KeyID == "":
		v.verdict.Unsealed++
		if v.sealed {
			v.verdict.UnsealedLate++
		}
		return
	case !known:
		v.verdict.Unproven++
		if !slices.Contains(v.verdict.MissingKeys, s.KeyID) {
			v.verdict.MissingKeys = append(v.verdict.MissingKeys, s.KeyID)
		}
	case key.Place > v.newest:
		if v.verdict.OlderKey++; v.verdict.OlderKey == 1 {
			v.verdict.OlderKeyFrom = s.Sequence
		}
	default:
		v.newest = key.Place
	}
	v.sealed = true
}

// Start checks that the chain begins with the event of this hash, as is told elsewhere; nil is any, but there must be one.
func (v *Verifier) Start(hash []byte) error {
	switch {
	case v.first == nil:
		return v.broken(1, "missing: the chain is gone, though its beginning is told of in the platform's")
	case hash != nil && !hmac.Equal(hash, v.first):
		return v.broken(1, "not the one that the platform's chain tells of as the first")
	}
	return nil
}

// Missing is the error of a chain that lacks what it must hold after its last event, and why it must.
func (v *Verifier) Missing(why string) error {
	return v.broken(v.at.Sequence+1, "missing: "+why)
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

// Verdict tells what was found so far.
func (v *Verifier) Verdict() Verdict { return v.verdict }

func (v *Verifier) broken(sequence int64, reason string) error {
	return &BrokenError{Tenant: v.chain, Sequence: sequence, Reason: reason}
}
