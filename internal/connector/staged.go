package connector

import (
	"context"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// StageSecret keeps another credential beside the present one, unchecked but for its form, in the place of one that was staged
// before. It takes over when Validate finds it working, or a run whose present credential is refused; because a run tries it uncounted,
// staging counts as a live check.
func (s *Service) StageSecret(ctx context.Context, t tenant.ID, id uuid.UUID, r Rotation) (Integration, error) {
	current, _, creds, err := s.readRotation(ctx, t, id, r)
	if err != nil {
		return Integration{}, err
	}
	end, err := s.trials.begin(ctx, s.now(), t, current.DirectoryID)
	if err != nil {
		return Integration{}, err
	}
	defer end()
	return s.changeSecret(ctx, current, r.Version, creds.Secret, current.stagedBinding(), func(i *Integration, box seal.Box) error {
		if i.Gone() {
			return fault.New(fault.CodeConflict, "the integration was disconnected meanwhile")
		}
		i.Staged = Staged{
			Method: method(creds), ClientID: creds.ClientID, Box: box, Hint: hint(creds), ExpiresAt: expiry(creds, r.SecretExpiresAt), At: s.now(),
		}
		return nil
	})
}

// DropStaged destroys what is staged; with nothing staged it is the fault not_found. A version other than 0 must be the current one.
func (s *Service) DropStaged(ctx context.Context, t tenant.ID, id uuid.UUID, version int64) error {
	_, err := s.store.UpdateIntegration(ctx, t, id, version, func(i *Integration) error {
		if len(i.Staged.Box) == 0 {
			return fault.New(fault.CodeNotFound, "nothing is staged")
		}
		i.Staged = Staged{}
		return nil
	})
	return err
}

// OpenForRun makes a source of the stored credentials. When they are refused what the settings import, be it the token or a
// permission, and a staged one works, that has taken their place first; the integration comes back as it is then. Without a
// staged one nothing is asked: the run meets a refusal itself.
func (s *Service) OpenForRun(ctx context.Context, i Integration) (Integration, Source, error) {
	source, refused := s.Open(ctx, i)
	if len(i.Staged.Box) == 0 {
		return i, source, refused
	}
	opened := refused
	if opened == nil {
		_, refused = check(ctx, source, i.Settings)
	}
	if refused == nil || !fault.As(refused).Definition().Permanent {
		return i, source, opened
	}
	updated, _, taken, err := s.tryStaged(ctx, ctx, i, func(*Integration) {})
	switch {
	case err != nil:
		return i, nil, err
	case !taken:
		return i, source, opened
	}
	source, err = s.Open(ctx, updated)
	return updated, source, err
}

// tryStaged checks the staged credential, if there is one, within trial, and puts it into the place of the present one if it
// works; then goes what else is to change. Whatever happened to either of the two meanwhile is left as it is.
func (s *Service) tryStaged(ctx, trial context.Context, current Integration, then func(*Integration)) (_ Integration, _ []Check, taken bool, _ error) {
	if len(current.Staged.Box) == 0 {
		return current, nil, false, nil
	}
	c, err := s.connector(current.Kind)
	if err != nil {
		return current, nil, false, err
	}
	staged := current.Staged
	secret, err := s.sealer.Open(ctx, current.Tenant, staged.Box, current.stagedBinding())
	if unreadable(err) {
		return current, nil, false, s.store.NoteStaged(ctx, current, s.now(), fault.New(fault.CodeSecretUnreadable, ""))
	}
	if err != nil {
		return current, nil, false, err
	}
	checks, refused := check(trial, c.Open(Credentials{DirectoryID: current.DirectoryID, ClientID: staged.ClientID, Method: staged.Method, Secret: secret}), current.Settings)
	if undecided(refused) {
		return current, nil, false, refused
	}
	if refused != nil {
		return current, checks, false, s.store.NoteStaged(ctx, current, s.now(), fault.As(refused))
	}
	updated, err := s.changeSecret(ctx, current, 0, secret, current.binding(), func(i *Integration, box seal.Box) error {
		if i.Gone() || !i.SecretUpdatedAt.Equal(current.SecretUpdatedAt) || !i.Staged.At.Equal(staged.At) {
			return nil
		}
		i.Method, i.ClientID, i.SecretBox, i.SecretHint = staged.Method, staged.ClientID, box, staged.Hint
		i.SecretUpdatedAt, i.SecretExpiresAt, i.SecretExpiredAt, i.Staged = s.now(), staged.ExpiresAt, time.Time{}, Staged{}
		then(i)
		taken = true
		return nil
	})
	return updated, checks, taken && err == nil, err
}

// recoverAt is [Integration.recover] at a time.
func recoverAt(now time.Time) func(*Integration) { return func(i *Integration) { i.recover(now) } }
