package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Keys finds the key that a token names. It fails with an error for the log; see [Verifier.Verify].
type Keys interface {
	Key(ctx context.Context, kid, algorithm string) (crypto.PublicKey, error)
}

// How often a set of keys is read. Issuers announce a new key some time before they sign with it, so the first is soon enough; a
// key that nobody knows may be a new one all the same, or made up by whoever wants this service to keep asking.
const (
	refreshEvery = 15 * time.Minute
	unknownEvery = time.Minute // at most one reading for keys that are not known
	readWithin   = 5 * time.Second
)

// unavailableError says that no set of keys was ever read.
type unavailableError struct{ cause error }

func (e *unavailableError) Error() string {
	return fmt.Sprintf("the issuer's keys are not to be had: %v", e.cause)
}
func (e *unavailableError) Unwrap() error { return e.cause }

// KeySet remembers an issuer's keys. While its source is away the last ones count.
type KeySet struct {
	read func(context.Context) (jose.JSONWebKeySet, error)
	now  func() time.Time

	reading sync.Mutex // held by whoever reads

	mu     sync.Mutex // guards what follows
	keys   []jose.JSONWebKey
	known  bool      // keys were read once
	readAt time.Time // last attempt
	reads  int       // attempts
	failed error     // of the last attempt
}

func newKeySet(now func() time.Time, read func(context.Context) (jose.JSONWebKeySet, error)) *KeySet {
	return &KeySet{read: read, now: now}
}

// Key finds the public key with this id for signatures by this algorithm.
func (s *KeySet) Key(ctx context.Context, kid, algorithm string) (crypto.PublicKey, error) {
	key, found, due, reads := s.look(kid, algorithm)
	switch {
	case due && found: // nobody has to wait for what is only a precaution
		go s.refresh(context.WithoutCancel(ctx), reads)
	case due:
		s.refresh(ctx, reads)
		key, found, _, _ = s.look(kid, algorithm)
	}
	if found {
		return key, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return nil, &unavailableError{s.failed}
	}
	return nil, errors.New("the issuer has no such key")
}

// look also tells whether the keys should be read again, and how often they were.
func (s *KeySet) look(kid, algorithm string) (key crypto.PublicKey, found, due bool, reads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.KeyID == kid && (k.Algorithm == "" || k.Algorithm == algorithm) {
			key, found = k.Key, true
			break
		}
	}
	age := s.now().Sub(s.readAt)
	return key, found, age >= refreshEvery || !found && age >= unknownEvery, s.reads
}

// refresh reads the keys once, however many tokens wait for them: not if somebody has since the caller looked.
func (s *KeySet) refresh(ctx context.Context, reads int) {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	done := s.reads != reads
	s.mu.Unlock()
	if done {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readWithin) // others wait for it as well
	defer cancel()
	set, err := s.read(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt, s.failed, s.reads = s.now(), err, s.reads+1
	if err == nil {
		s.keys, s.known = usable(set.Keys), true
	}
}

// leastRSA is the least length of an RSA key in bits; see NIST SP 800-131A.
const leastRSA = 2048

// usable leaves out what is not for verifying signatures, and what is too weak for it.
func usable(keys []jose.JSONWebKey) (list []jose.JSONWebKey) {
	for _, k := range keys {
		if k.Use != "" && k.Use != "sig" || !k.Valid() {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() < leastRSA {
				continue
			}
		case *ecdsa.PublicKey, ed25519.PublicKey:
		default: // private and shared keys have no place in a public set
			continue
		}
		list = append(list, k)
	}
	return list
}
