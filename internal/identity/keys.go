package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	// staleAfter is when nobody gets by on what was read before without a try: nobody may have asked for days, and a key that the
	// issuer took away meanwhile must not count once more.
	staleAfter = 2 * refreshEvery
	// trustedFor is how long keys count after they were read last: an issuer that is away for so long may have had to take one back.
	trustedFor = 24 * time.Hour
	readWithin = 5 * time.Second
)

// unavailableError says that no set of keys was read, ever or for too long.
type unavailableError struct{ cause error }

func (e *unavailableError) Error() string {
	return fmt.Sprintf("the issuer's keys are not to be had: %v", e.cause)
}
func (e *unavailableError) Unwrap() error { return e.cause }

// KeySet remembers an issuer's keys. While its source is away the last ones count, for a day.
type KeySet struct {
	read func(context.Context) ([]jose.JSONWebKey, error)
	now  func() time.Time
	log  *slog.Logger

	reading sync.Mutex // held by whoever reads

	mu     sync.Mutex // guards what follows
	keys   []jose.JSONWebKey
	readAt time.Time // last attempt
	goodAt time.Time // last one that came to something; zero for none
	reads  int       // attempts
	failed error     // of the last attempt
}

func newKeySet(now func() time.Time, log *slog.Logger, read func(context.Context) ([]jose.JSONWebKey, error)) *KeySet {
	return &KeySet{read: read, now: now, log: log}
}

// Key finds the public key with this id for signatures by this algorithm.
func (s *KeySet) Key(ctx context.Context, kid, algorithm string) (crypto.PublicKey, error) {
	key, found, due, stale, reads := s.look(kid, algorithm)
	switch {
	case due && found && !stale: // nobody has to wait for what is only a precaution
		go s.refresh(context.WithoutCancel(ctx), reads)
	case due:
		s.refresh(ctx, reads)
		key, found, _, _, _ = s.look(kid, algorithm)
	}
	if found {
		return key, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.trusted() {
		return nil, &unavailableError{s.failed}
	}
	return nil, UnknownKey
}

// trusted tells whether what was read last counts still.
func (s *KeySet) trusted() bool { return !s.goodAt.IsZero() && s.now().Sub(s.goodAt) < trustedFor }

// look also tells whether the keys should be read again, whether that was long ago, and how often they were.
func (s *KeySet) look(kid, algorithm string) (key crypto.PublicKey, found, due, stale bool, reads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if s.trusted() && k.KeyID == kid && fits(k, algorithm) {
			key, found = k.Key, true
			break
		}
	}
	age := s.now().Sub(s.readAt)
	return key, found, age >= refreshEvery || !found && age >= unknownEvery, age >= staleAfter, s.reads
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
	if err != nil {
		s.log.WarnContext(ctx, "the keys of the tokens' issuer cannot be read", "error", err, "last_read", s.goodAt, "counting_for", trustedFor)
		return
	}
	s.keys, s.goodAt = set, s.readAt
}

// leastRSA is the least length of an RSA key in bits; see NIST SP 800-131A.
const leastRSA = 2048

// ReadKeys takes from a JSON Web Key Set (RFC 7517) the keys that signatures can be verified with. One of a kind that is not
// known here, or broken, does not turn off the others; one of nothing else is an error. An empty set is none: so an issuer takes all its
// keys back. Of two with one id neither can be meant.
func ReadKeys(text []byte) ([]jose.JSONWebKey, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("the document is no key set: %w", err)
	}
	if document.Keys == nil {
		return nil, errors.New("the document is no key set: it has no list of keys")
	}
	times := map[string]int{}
	var list []jose.JSONWebKey
	for _, raw := range document.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) == nil && usable(k) {
			list = append(list, k)
			times[k.KeyID]++
		}
	}
	list = slices.DeleteFunc(list, func(k jose.JSONWebKey) bool { return times[k.KeyID] > 1 })
	if len(list) == 0 && len(document.Keys) > 0 {
		return nil, errors.New("the document holds no public key that has an id and is for signatures")
	}
	return list, nil
}

// usable tells what is for verifying signatures, and strong enough for it. Private and shared keys have no place in a public set.
func usable(k jose.JSONWebKey) bool {
	if !plainKeyID(k.KeyID) || k.Use != "" && k.Use != "sig" || !k.Valid() {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= leastRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// fits tells whether a key is one of the algorithm: what it says itself, its kind, and its curve (RFC 7518, section 3.4).
func fits(k jose.JSONWebKey, algorithm string) bool {
	if k.Algorithm != "" && k.Algorithm != algorithm {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return algorithm == map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.Curve.Params().Name]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
