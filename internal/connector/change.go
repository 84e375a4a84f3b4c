package connector

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// Change is what may be altered later; nil fields stay.
type Change struct {
	Name            *string
	SecretExpiresAt *time.Time // of the client secret in use
	Settings        *inventory.Settings
	IntervalHours   *int
}

// Rotation is a new secret, and with it perhaps another application of the same directory.
type Rotation struct {
	ClientID        string // empty keeps the application
	Credentials     Credentials
	SecretExpiresAt time.Time
	Version         int64 // of the integration that is meant; 0: whatever is there
}

// Change applies a merge of name, settings, schedule and the secret's expiry. Turning an import on checks its permission first; turning off all that
// lacked one ends action_required. What changes nothing moves no version, and starts no run.
func (s *Service) Change(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, ch Change) (Integration, error) {
	current, err := s.store.Integration(ctx, t, id)
	if err != nil {
		return Integration{}, err
	}
	c, err := s.connector(current.Kind)
	if err != nil {
		return Integration{}, err
	}
	permissions := c.Describe().Permissions
	if ch.Settings != nil {
		if err := validateChoice(*ch.Settings, 0); err != nil {
			return Integration{}, err
		}
		if err := s.probeNewImports(ctx, current, *ch.Settings); err != nil {
			return Integration{}, err
		}
	}
	return s.store.UpdateIntegration(ctx, t, id, version, func(i *Integration) error {
		if ch.Name != nil {
			i.Name = *ch.Name
		}
		if ch.SecretExpiresAt != nil {
			if err := i.correctExpiry(*ch.SecretExpiresAt); err != nil {
				return err
			}
		}
		if ch.IntervalHours != nil && *ch.IntervalHours != i.IntervalHours {
			i.IntervalHours = *ch.IntervalHours
			i.planNext(s.now())
		}
		if ch.Settings != nil && !ch.Settings.Equal(i.Settings) {
			i.Settings = *ch.Settings
			i.runSoon(s.now())
			if i.lacksNothing(permissions) {
				i.recover(s.now())
			}
		}
		return nil
	})
}

func (s *Service) probeNewImports(ctx context.Context, current Integration, wanted inventory.Settings) error {
	newly := inventory.Settings{
		ImportAssets:          wanted.ImportAssets && !current.Settings.ImportAssets,
		ImportVulnerabilities: wanted.ImportVulnerabilities && !current.Settings.ImportVulnerabilities,
	}
	if !newly.ImportAssets && !newly.ImportVulnerabilities {
		return nil
	}
	source, err := s.Open(ctx, current)
	if err != nil {
		return err
	}
	_, err = s.try(ctx, current.Tenant, current.DirectoryID, source, newly)
	return errors.Join(err, s.heed(ctx, current, err))
}

// RotateSecret checks the new secret and swaps it in only if it works; the old one serves until then. What was staged before
// is out of date, and dropped. A secret that does not work is recorded.
func (s *Service) RotateSecret(ctx context.Context, t tenant.ID, id uuid.UUID, r Rotation) (Integration, []Check, error) {
	current, c, creds, err := s.readRotation(ctx, t, id, r)
	if err != nil {
		return Integration{}, nil, err
	}
	checks, err := s.try(ctx, t, current.DirectoryID, c.Open(creds), current.Settings)
	if err != nil && len(checks) > 0 {
		tried := current
		tried.ClientID, tried.Method = creds.ClientID, method(creds)
		if noted := s.store.NoteUnrotated(ctx, tried, fault.As(err).Code); noted != nil {
			return Integration{}, checks, noted
		}
	}
	if err != nil {
		return Integration{}, checks, err
	}
	updated, err := s.changeSecret(ctx, current, r.Version, creds.Secret, current.binding(), func(i *Integration, box seal.Box) error {
		if i.Gone() {
			return fault.New(fault.CodeConflict, "the integration was disconnected meanwhile")
		}
		i.ClientID, i.Method, i.SecretBox, i.SecretHint = creds.ClientID, method(creds), box, hint(creds)
		i.SecretUpdatedAt, i.SecretExpiresAt, i.SecretExpiredAt, i.Staged = s.now(), expiry(creds, r.SecretExpiresAt), time.Time{}, Staged{}
		i.recover(s.now())
		return nil
	})
	return updated, checks, err
}

// changeSecret seals a secret and changes the integration with the box, once more if the data key was replaced in between: nothing may be
// stored under a key that everything else has left. A version other than 0 must be the current one.
func (s *Service) changeSecret(ctx context.Context, current Integration, version int64, secret seal.Secret, binding string, change func(*Integration, seal.Box) error) (Integration, error) {
	for attempt := 1; ; attempt++ {
		box, err := s.seal(ctx, current.Tenant, secret, binding)
		if err != nil {
			return Integration{}, err
		}
		updated, err := s.store.UpdateIntegration(ctx, current.Tenant, current.PublicID, version, func(i *Integration) error { return change(i, box) })
		if !errors.Is(err, ErrKeyReplaced) || attempt == maxSealings {
			return updated, err
		}
	}
}

// maxSealings bounds how often a secret is sealed for one change.
const maxSealings = 3

// readRotation finds the integration a rotation is for, in the version that is meant, and gives the new credentials in canonical form.
func (s *Service) readRotation(ctx context.Context, t tenant.ID, id uuid.UUID, r Rotation) (Integration, Connector, Credentials, error) {
	current, err := s.store.Integration(ctx, t, id)
	if err != nil {
		return Integration{}, nil, Credentials{}, err
	}
	if r.Version != 0 && r.Version != current.Version {
		return Integration{}, nil, Credentials{}, fault.New(fault.CodePreconditionFailed, "")
	}
	if current.Gone() {
		return Integration{}, nil, Credentials{}, fault.New(fault.CodeConflict, "the integration is disconnected")
	}
	c, err := s.connector(current.Kind)
	if err != nil {
		return Integration{}, nil, Credentials{}, err
	}
	r.Credentials.DirectoryID = current.DirectoryID
	r.Credentials.ClientID = cmp.Or(r.ClientID, current.ClientID)
	creds, err := shape(c, r.Credentials)
	if err == nil {
		err = checkSaid(creds.Method, r.SecretExpiresAt)
	}
	return current, c, creds, err
}

// Validate checks the stored credentials, a staged one first: if that works it takes over, and what is told is about it; if
// not, the present ones are checked, both within one budget. What is found of the credentials in use becomes the integration's state: a working link leaves
// action_required and degraded at once, a refused one enters action_required.
func (s *Service) Validate(ctx context.Context, t tenant.ID, id uuid.UUID) ([]Check, error) {
	current, err := s.store.Integration(ctx, t, id)
	if err != nil {
		return nil, err
	}
	end, err := s.trials.begin(ctx, s.now(), t, current.DirectoryID)
	if err != nil {
		return nil, err
	}
	defer end()
	trial, cancel := context.WithTimeout(ctx, CheckBudget)
	defer cancel()
	if _, checks, taken, err := s.tryStaged(ctx, trial, current, recoverAt(s.now())); taken || err != nil {
		return checks, err
	}
	source, err := s.Open(ctx, current)
	if fault.Is(err, fault.CodeSecretUnreadable) {
		return nil, errors.Join(err, s.found(ctx, t, current, nil, err))
	}
	if err != nil {
		return nil, err
	}
	checks, refused := check(trial, source, current.Settings)
	if undecided(refused) {
		return nil, refused
	}
	return checks, s.found(ctx, t, current, checks, refused)
}

// found makes the outcome of a validation the integration's state, and records a failure.
func (s *Service) found(ctx context.Context, t tenant.ID, current Integration, checks []Check, refused error) error {
	if err := s.heed(ctx, current, refused); err != nil {
		return err
	}
	if refused != nil {
		if err := s.store.NoteInvalid(ctx, t, current.PublicID, fault.As(refused).Code); err != nil {
			return err
		}
	}
	_, err := s.store.UpdateIntegration(ctx, t, current.PublicID, 0, func(i *Integration) error {
		if !i.SecretUpdatedAt.Equal(current.SecretUpdatedAt) || !i.Settings.Equal(current.Settings) || i.Gone() {
			return nil // rotated, disconnected or set otherwise meanwhile: the finding is about what is gone
		}
		if refused == nil {
			i.recover(s.now())
		} else if f := fault.As(refused); f.Definition().Permanent && i.State != StatePaused {
			i.require(f)
		}
		i.learn(checks, refused, s.now())
		return nil
	})
	return err
}

// Pause stops scheduled runs; a run in progress finishes unless cancelRun is set. A version other than 0 must be the current one.
func (s *Service) Pause(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, cancelRun bool) (Integration, error) {
	i, err := s.store.UpdateIntegration(ctx, t, id, version, func(i *Integration) error {
		if i.Gone() {
			return fault.New(fault.CodeConflict, "the integration is disconnected")
		}
		i.State, i.StateReason, i.StateNotice, i.NextRunAt = StatePaused, "", fault.Notice{}, time.Time{}
		return nil
	})
	if err != nil || !cancelRun {
		return i, err
	}
	return i, s.store.CancelActiveRun(ctx, t, id)
}

// Resume takes scheduled runs up again, the first one soon, which counts as one that was asked for. A version other than 0 must be the
// current one.
func (s *Service) Resume(ctx context.Context, t tenant.ID, id uuid.UUID, version int64) (Integration, error) {
	current, err := s.store.Integration(ctx, t, id)
	if err != nil {
		return Integration{}, err
	}
	undo := func() {}
	if current.State == StatePaused {
		if undo, err = s.CountRun(&current); err != nil {
			return Integration{}, err
		}
	}
	resumed, err := s.store.UpdateIntegration(ctx, t, id, version, func(i *Integration) error {
		if i.Gone() {
			return fault.New(fault.CodeConflict, "the integration is disconnected")
		}
		if i.State == StatePaused {
			i.State, i.StateReason, i.StateNotice = StateActive, "", fault.Notice{}
			i.ask(s.now())
		}
		return nil
	})
	if err != nil {
		undo()
	}
	return resumed, err
}

// Disconnect destroys the secret at once. Imported data stay readable, or are deleted by a purge run whose id is returned.
func (s *Service) Disconnect(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, purge bool) (uuid.UUID, error) {
	return s.store.Disconnect(ctx, t, id, version, purge)
}
