package connector

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// CheckBudget is how long a live validation may take altogether.
const CheckBudget = 15 * time.Second

// Sealer turns a secret into a box that opens only under the same binding; seal.Ring is one.
type Sealer interface {
	Seal(clear seal.Secret, binding string) (seal.Box, error)
	Open(box seal.Box, binding string) (seal.Secret, error)
}

// Store is what the service needs of the database.
type Store interface {
	// CreateIntegration stores a checked integration and queues its first run, both or neither. It returns the fault
	// already_connected when the directory has an integration in this tenant.
	CreateIntegration(ctx context.Context, i Integration) (Integration, error)
	Integration(ctx context.Context, t tenant.ID, id uuid.UUID) (Integration, error)
	ListIntegrations(ctx context.Context, t tenant.ID, page inventory.PageRequest) ([]Integration, inventory.Position, error)
	// UpdateIntegration applies change to the current row in one transaction. A version other than 0 must be the current
	// one, else the fault precondition_failed.
	UpdateIntegration(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, change func(*Integration) error) (Integration, error)
	DirectoryConnected(ctx context.Context, t tenant.ID, kind Kind, directory string) (bool, error)
	// CancelActiveRun asks the integration's active run, if any, to end.
	CancelActiveRun(ctx context.Context, t tenant.ID, id uuid.UUID) error
	// Disconnect destroys the secret, ends the active run, and with purge queues the deletion of everything imported. It
	// returns the public id of the purge run, or uuid.Nil.
	Disconnect(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, purge bool) (uuid.UUID, error)
	Entitlement(ctx context.Context, t tenant.ID) (tenant.Entitlement, error)
}

// Draft is an integration as the customer entered it.
type Draft struct {
	Kind            Kind
	Name            string // empty takes the connector's name
	Credentials     Credentials
	SecretExpiresAt time.Time // zero when not given
	Settings        inventory.Settings
	IntervalHours   int // 0 takes the default
}

// Change is what may be altered later; nil fields stay.
type Change struct {
	Name          *string
	Settings      *inventory.Settings
	IntervalHours *int
}

// Rotation is a new secret, and with it perhaps another application of the same directory.
type Rotation struct {
	ClientID        string // empty keeps the application
	Credentials     Credentials
	SecretExpiresAt time.Time
}

// Service connects, changes and disconnects integrations. It is the only place that seals and opens secrets.
type Service struct {
	store    Store
	sealer   Sealer
	registry Registry
	now      func() time.Time
}

// NewService wires a service.
func NewService(store Store, sealer Sealer, registry Registry, now func() time.Time) *Service {
	return &Service{store: store, sealer: sealer, registry: registry, now: now}
}

// Catalogue lists what can be connected, ordered by kind.
func (s *Service) Catalogue() []Description {
	var all []Description
	for _, c := range s.registry {
		all = append(all, c.Describe())
	}
	slices.SortFunc(all, func(a, b Description) int { return cmp.Compare(a.Kind, b.Kind) })
	return all
}

// Describe gives one entry of the catalogue.
func (s *Service) Describe(kind Kind) (Description, error) {
	c, err := s.connector(kind)
	if err != nil {
		return Description{}, err
	}
	return c.Describe(), nil
}

// Get reads an integration.
func (s *Service) Get(ctx context.Context, t tenant.ID, id uuid.UUID) (Integration, error) {
	return s.store.Integration(ctx, t, id)
}

// List pages through the tenant's integrations, oldest first.
func (s *Service) List(ctx context.Context, t tenant.ID, page inventory.PageRequest) ([]Integration, inventory.Position, error) {
	return s.store.ListIntegrations(ctx, t, page)
}

// Preview does everything Connect does except storing.
func (s *Service) Preview(ctx context.Context, t tenant.ID, d Draft) (Integration, []Check, error) {
	return s.prepare(ctx, t, d)
}

// Connect checks the draft against the live service and stores it only if every check passed. A refused draft returns
// the fault of the first failed check, with all checks as its Data.
func (s *Service) Connect(ctx context.Context, t tenant.ID, d Draft) (Integration, []Check, error) {
	i, checks, err := s.prepare(ctx, t, d)
	if err != nil {
		return Integration{}, checks, err
	}
	i.PublicID = uuid.Must(uuid.NewV7())
	canonical, _ := s.registry[d.Kind].Shape(d.Credentials)
	if i.SecretBox, err = s.sealer.Seal(canonical.Secret, i.binding()); err != nil {
		return Integration{}, checks, err
	}
	i, err = s.store.CreateIntegration(ctx, i)
	return i, checks, err
}

// prepare turns a draft into an integration that is ready to store, or says what is wrong with it.
func (s *Service) prepare(ctx context.Context, t tenant.ID, d Draft) (Integration, []Check, error) {
	c, err := s.connector(d.Kind)
	if err != nil {
		return Integration{}, nil, err
	}
	if err := validateChoice(d.Settings, d.IntervalHours); err != nil {
		return Integration{}, nil, err
	}
	creds, err := shape(c, d.Credentials)
	if err != nil {
		return Integration{}, nil, err
	}
	if taken, err := s.store.DirectoryConnected(ctx, t, d.Kind, creds.DirectoryID); err != nil {
		return Integration{}, nil, err
	} else if taken {
		return Integration{}, nil, fault.New(fault.CodeAlreadyConnected, "")
	}
	checks, err := check(ctx, c.Open(creds), d.Settings)
	if err != nil {
		return Integration{}, checks, err
	}
	now := s.now()
	return Integration{
		Tenant: t, Kind: d.Kind, Name: cmp.Or(d.Name, c.Describe().Name), DirectoryID: creds.DirectoryID, ClientID: creds.ClientID,
		SecretHint: hint(creds), SecretUpdatedAt: now, SecretExpiresAt: d.SecretExpiresAt, Settings: d.Settings,
		IntervalHours: cmp.Or(d.IntervalHours, DefaultIntervalHours), State: StateActive, CreatedAt: now, UpdatedAt: now,
	}, checks, nil
}

// Change applies a merge of name, settings and schedule. Turning an import on checks its permission first. What changes
// nothing moves no version, and starts no run.
func (s *Service) Change(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, ch Change) (Integration, error) {
	current, err := s.store.Integration(ctx, t, id)
	if err != nil {
		return Integration{}, err
	}
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
		if ch.IntervalHours != nil && *ch.IntervalHours != i.IntervalHours {
			i.IntervalHours = *ch.IntervalHours
			i.planNext(s.now())
		}
		if ch.Settings != nil && !ch.Settings.Equal(i.Settings) {
			i.Settings = *ch.Settings
			i.runSoon(s.now())
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
	source, err := s.Open(current)
	if err != nil {
		return err
	}
	_, err = check(ctx, source, newly)
	return err
}

// RotateSecret checks the new secret and swaps it in only if it works; the old one serves until then.
func (s *Service) RotateSecret(ctx context.Context, t tenant.ID, id uuid.UUID, r Rotation) (Integration, []Check, error) {
	current, err := s.store.Integration(ctx, t, id)
	if err != nil {
		return Integration{}, nil, err
	}
	if current.Gone() {
		return Integration{}, nil, fault.New(fault.CodeConflict, "the integration is disconnected")
	}
	c, err := s.connector(current.Kind)
	if err != nil {
		return Integration{}, nil, err
	}
	r.Credentials.DirectoryID = current.DirectoryID
	r.Credentials.ClientID = cmp.Or(r.ClientID, current.ClientID)
	creds, err := shape(c, r.Credentials)
	if err != nil {
		return Integration{}, nil, err
	}
	checks, err := check(ctx, c.Open(creds), current.Settings)
	if err != nil {
		return Integration{}, checks, err
	}
	box, err := s.sealer.Seal(creds.Secret, current.binding())
	if err != nil {
		return Integration{}, checks, err
	}
	updated, err := s.store.UpdateIntegration(ctx, t, id, 0, func(i *Integration) error {
		if i.Gone() {
			return fault.New(fault.CodeConflict, "the integration was disconnected meanwhile")
		}
		i.ClientID, i.SecretBox, i.SecretHint = creds.ClientID, box, hint(creds)
		i.SecretUpdatedAt, i.SecretExpiresAt = s.now(), r.SecretExpiresAt
		i.recover(s.now())
		return nil
	})
	return updated, checks, err
}

// Validate checks the stored credentials. What it finds becomes the integration's state: a working link leaves
// action_required and degraded at once, a refused one enters action_required.
func (s *Service) Validate(ctx context.Context, t tenant.ID, id uuid.UUID) ([]Check, error) {
	current, err := s.store.Integration(ctx, t, id)
	if err != nil {
		return nil, err
	}
	source, err := s.Open(current)
	if err != nil {
		return nil, err
	}
	checks, refused := check(ctx, source, current.Settings)
	_, err = s.store.UpdateIntegration(ctx, t, id, 0, func(i *Integration) error {
		if !i.SecretUpdatedAt.Equal(current.SecretUpdatedAt) || i.Gone() {
			return nil // rotated or disconnected meanwhile: the finding is about a secret that is gone
		}
		if refused == nil {
			i.recover(s.now())
		} else if f := fault.As(refused); f.Definition().Permanent && i.State != StatePaused {
			i.State, i.StateReason = StateActionRequired, f.Code
		}
		return nil
	})
	return checks, err
}

// Pause stops scheduled runs; a run in progress finishes unless cancelRun is set.
func (s *Service) Pause(ctx context.Context, t tenant.ID, id uuid.UUID, cancelRun bool) (Integration, error) {
	i, err := s.store.UpdateIntegration(ctx, t, id, 0, func(i *Integration) error {
		if i.Gone() {
			return fault.New(fault.CodeConflict, "the integration is disconnected")
		}
		i.State, i.StateReason, i.NextRunAt = StatePaused, "", time.Time{}
		return nil
	})
	if err != nil || !cancelRun {
		return i, err
	}
	return i, s.store.CancelActiveRun(ctx, t, id)
}

// Resume takes scheduled runs up again, the first one soon.
func (s *Service) Resume(ctx context.Context, t tenant.ID, id uuid.UUID) (Integration, error) {
	return s.store.UpdateIntegration(ctx, t, id, 0, func(i *Integration) error {
		if i.Gone() {
			return fault.New(fault.CodeConflict, "the integration is disconnected")
		}
		if i.State == StatePaused {
			i.State, i.StateReason = StateActive, ""
			i.NextRunAt = s.now()
		}
		return nil
	})
}

// Disconnect destroys the secret at once. Imported data stay readable, or are deleted by a purge run whose id is returned.
func (s *Service) Disconnect(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, purge bool) (uuid.UUID, error) {
	return s.store.Disconnect(ctx, t, id, version, purge)
}

// Open makes a source from a stored integration. The clear secret exists from here to the source's token requests.
func (s *Service) Open(i Integration) (Source, error) {
	c, err := s.connector(i.Kind)
	if err != nil {
		return nil, err
	}
	if len(i.SecretBox) == 0 {
		return nil, fault.New(fault.CodeConflict, "the integration is disconnected")
	}
	secret, err := s.sealer.Open(i.SecretBox, i.binding())
	if err != nil {
		return nil, fault.Wrap(err, fault.CodeSecretUnreadable, "")
	}
	return c.Open(Credentials{DirectoryID: i.DirectoryID, ClientID: i.ClientID, Secret: secret}), nil
}

// Entitlement reads what the tenant's subscription includes.
func (s *Service) Entitlement(ctx context.Context, t tenant.ID) (tenant.Entitlement, error) {
	return s.store.Entitlement(ctx, t)
}

func (s *Service) connector(kind Kind) (Connector, error) {
	c, ok := s.registry[kind]
	if !ok {
		return nil, fault.Newf(fault.CodeNotFound, "there is no integration type %q", string(kind))
	}
	return c, nil
}
