package envelope

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"pgp.internal/defender/internal/seal"
)

// Limits of what is kept unwrapped in memory. With the key service away, the tenants whose data key was in use within
// KeepFor go on.
const (
	KeepAtMost = 10_000 // data keys
	KeepFor    = time.Hour
	// unwrapWithin bounds one unwrapping, for which others may wait too.
	unwrapWithin = 10 * time.Second
)

// Keys are the key-encryption keys of a process: one wraps, all unwrap. What they unwrapped is kept for a while, so that a
// service of keys is not asked at each use. Keys are safe for concurrent use; make them with NewKeys.
type Keys struct {
	all    []KEK
	kept   *lru.Cache[string, kept]
	flight singleflight.Group
	now    func() time.Time
}

type kept struct {
	key   seal.DataKey
	until time.Time
}

// NewKeys takes the key that wraps, and those that wrapped before.
func NewKeys(now func() time.Time, current KEK, former ...KEK) *Keys {
	cache, err := lru.New[string, kept](KeepAtMost)
	if err != nil {
		panic("envelope: " + err.Error()) // only for a size below 1, and the size is constant
	}
	return &Keys{all: append([]KEK{current}, former...), kept: cache, now: now}
}

// Current is the key that wraps.
func (k *Keys) Current() KEK { return k.all[0] }

// Opens tells whether one of the keys has that name.
func (k *Keys) Opens(name string) bool { return k.of(name) != nil }

func (k *Keys) of(name string) KEK {
	for _, kek := range k.all {
		if kek.Opens(name) {
			return kek
		}
	}
	return nil
}

// wrap fills in the wrapped form of a data key.
func (k *Keys) wrap(ctx context.Context, d DataKey, clear seal.Secret) (_ DataKey, err error) {
	d.KEK, d.Wrapped, err = k.Current().Wrap(ctx, clear, d.place())
	return d, err
}

func (k *Keys) unwrap(ctx context.Context, d DataKey) (seal.Secret, error) {
	kek := k.of(d.KEK)
	if kek == nil {
		return seal.Secret{}, fmt.Errorf("the data key was wrapped by %q: %w", d.KEK, seal.ErrUnknownKey)
	}
	return kek.Unwrap(ctx, d.KEK, d.Wrapped, d.place())
}

// open gives the data key for use, from memory if it was unwrapped lately. Those who wait for the same key ask once.
func (k *Keys) open(ctx context.Context, d DataKey) (seal.DataKey, error) {
	name := d.place() + "\x00" + d.KEK + "\x00" + string(d.Wrapped)
	if found, ok := k.kept.Get(name); ok && k.now().Before(found.until) {
		return found.key, nil
	}
	result := k.flight.DoChan(name, func() (any, error) {
		// Not the context of the first caller: if that goes away, the others still wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unwrapWithin)
		defer cancel()
		clear, err := k.unwrap(ctx, d)
		if err != nil {
			return nil, err
		}
		key, err := seal.NewDataKey(d.Number, clear)
		if err == nil {
			k.kept.Add(name, kept{key, k.now().Add(KeepFor)})
		}
		return key, err
	})
	select {
	case <-ctx.Done():
		return seal.DataKey{}, ctx.Err()
	case r := <-result:
		if r.Err != nil {
			return seal.DataKey{}, r.Err
		}
		return r.Val.(seal.DataKey), nil
	}
}
