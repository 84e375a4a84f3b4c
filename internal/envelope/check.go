package envelope

import (
	"context"
	"fmt"
	"strings"

	"pgp.internal/defender/internal/seal"
)

// What a check value holds, and where it belongs.
const checkText, checkPlace = "this key is the right one", "kek/check"

// CheckValue wraps a known text with the current key, for the store to keep under the name that comes with it, which is the
// key's without its version.
func (k *Keys) CheckValue(ctx context.Context) (name string, wrapped []byte, err error) {
	name, wrapped, err = k.Current().Wrap(ctx, seal.NewSecret(checkText), checkPlace)
	name, _, _ = strings.Cut(name, "#")
	return name, wrapped, err
}

// VerifyCheck fails if the key of that name does not unwrap what CheckValue made: the service must not start with such keys.
// A fault says that the key could not be asked.
func (k *Keys) VerifyCheck(ctx context.Context, name string, wrapped []byte) error {
	kek := k.of(name)
	if kek == nil {
		return fmt.Errorf("%q: %w", name, seal.ErrUnknownKey)
	}
	got, err := kek.Unwrap(ctx, name, wrapped, checkPlace)
	if err == nil && !got.Equal(seal.NewSecret(checkText)) {
		err = seal.ErrUnreadable
	}
	return err
}
