package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
)

// mostStrays bounds how many boxes that no key made are named.
const mostStrays = 20

// fitsStore tells whether the keys open what is stored: each check value whose key the keyring has, and no key may be missing
// that still seals a secret or an API key, or wraps a data key. Whatever names a key that the database never knew no key can open: it is
// told apart, because who could write one row would else keep the service from starting.
func fitsStore(ctx context.Context, s *postgres.Store, ring *seal.Ring, keys *envelope.Keys) ([]postgres.Stray, error) {
	if err := checkKeys(ctx, s, ring); err != nil {
		return nil, err
	}
	checks, err := s.KeyringChecks(ctx)
	if err != nil {
		return nil, err
	}
	f := fitting{keys: keys, ids: ring.IDs(), checks: slices.Collect(maps.Keys(checks))}
	if err := errors.Join(f.secrets(ctx, s), f.apiKeys(ctx, s), f.dataKeys(ctx, s)); err != nil || !f.strays {
		return nil, err
	}
	return s.Strays(ctx, append(f.ids, slices.DeleteFunc(f.checks, ofKeyService)...), f.keks, mostStrays)
}

// fitting holds the keys against what is stored.
type fitting struct {
	keys   *envelope.Keys
	ids    []string // of the keyring
	checks []string // names of all keys that the database ever knew
	keks   []string // names of those that wrapped a data key
	strays bool     // something names a key that the database never knew
}

// lacks tells whether a key by that name, of a key service or else of a keyring, was in use and is gone. Where the database knows no key
// yet, any may have been that can have such a name.
func (f *fitting) lacks(name string, ofService bool) bool {
	if ofKeyService(name) == ofService && (len(f.checks) == 0 || slices.Contains(f.checks, name)) {
		return true
	}
	f.strays = true
	return false
}

func (f *fitting) secrets(ctx context.Context, s *postgres.Store) error {
	inUse, err := s.SealingKeys(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(inUse)) {
		if !slices.Contains(f.ids, id) && f.lacks(id, false) {
			problems = append(problems, fmt.Errorf("%sKEYRING: the key %q is missing, and %d stored secrets are sealed with it", config.Prefix, id, inUse[id]))
		}
	}
	return errors.Join(problems...)
}

// apiKeys refuses a keyring without a key that API keys are sealed with: they would all be refused. One whose box was
// ruined is refused anyway, and no reason to refuse the others too.
func (f *fitting) apiKeys(ctx context.Context, s *postgres.Store) error {
	inUse, err := s.APIKeysBySeal(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(inUse)) {
		if id != "" && !slices.Contains(f.ids, id) && f.lacks(id, false) {
			problems = append(problems, fmt.Errorf("%sKEYRING: the key %q is missing, and %d API keys are sealed with it: bring it back, or revoke them if it is lost", config.Prefix, id, inUse[id]))
		}
	}
	return errors.Join(problems...)
}

// dataKeys refuses keys without one that wrapped a data key.
func (f *fitting) dataKeys(ctx context.Context, s *postgres.Store) error {
	inUse, err := s.DataKeysByKEK(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(inUse)) {
		id, ours := strings.CutPrefix(name, envelope.KeyringPrefix)
		if !ours {
			id, _, _ = strings.Cut(name, "#") // check values are stored without the version
		}
		if !f.keys.Opens(name) && !f.lacks(id, !ours) {
			continue
		}
		f.keks = append(f.keks, name)
		switch {
		case f.keys.Opens(name):
		case ours:
			problems = append(problems, fmt.Errorf("%sKEYRING: the key %q is missing, and %d data keys are wrapped by it", config.Prefix, id, inUse[name]))
		default:
			problems = append(problems, fmt.Errorf("%sKEK: %d data keys are wrapped by %q, which is neither this nor one of %sKEK_FORMER", config.Prefix, inUse[name], name, config.Prefix))
		}
	}
	return errors.Join(problems...)
}

// strange is the error that names boxes that no key made; nil if there are none.
func strange(strays []postgres.Stray) error {
	var problems []error
	for _, stray := range strays {
		problems = append(problems, fmt.Errorf("%s of %s names the key %q, which was never in use: it opens with none", stray.Object, stray.Tenant, stray.Key))
	}
	return errors.Join(problems...)
}
