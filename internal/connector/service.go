package connector

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// Sealer turns a tenant's secret into a box that opens only for the same tenant under the same binding; envelope.Sealer is one.
// The error of Open has [seal.ErrUnreadable] or [seal.ErrUnknownKey] in its chain if the box does not open with the keys there
// are, and so has that of Seal if the tenant's data key does not. Whatever else comes back is passing.
type Sealer interface {
	Seal(ctx context.Context, t tenant.ID, clear seal.Secret, binding string) (seal.Box, error)
	Open(ctx context.Context, t tenant.ID, box seal.Box, binding string) (seal.Secret, error)
}

// ErrKeyReplaced refuses to store a secret under a data key that another one has replaced.
var ErrKeyReplaced = errors.New("connector: the data key that sealed the secret was replaced")

// Store is what the service needs of the database.
type Store interface {
	// CreateIntegration stores a checked integration, with the data that a disconnected one of its directory retained, and
	// queues its first run unless it is paused, all or nothing. It returns the fault already_connected when the directory has an integration in
	// this tenant.
	CreateIntegration(ctx context.Context, i Integration) (Integration, error)
	Integration(ctx context.Context, t tenant.ID, id uuid.UUID) (Integration, error)
	ListIntegrations(ctx context.Context, t tenant.ID, page inventory.PageRequest) ([]Integration, inventory.Position, error)
	// UpdateIntegration applies change to the current row in one transaction. A version other than 0 must be the current
	// one, else the fault precondition_failed.
	// A secret in it that was sealed with another data key than the tenant's newest is refused with [ErrKeyReplaced] in the chain.
	UpdateIntegration(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, change func(*Integration) error) (Integration, error)
	// NoteInvalid records that a validation failed that somebody asked for, and by which code; the integration stays as it is.
	NoteInvalid(ctx context.Context, t tenant.ID, id uuid.UUID, code string) error
	// NoteWait keeps until when Microsoft asked the application to wait, if the integration still has it and that is longer than what was asked
	// before. For everybody's If-Match the integration stays unchanged.
	NoteWait(ctx context.Context, t tenant.ID, id uuid.UUID, client string, until time.Time) error
	// NoteRefused records that a connection was refused by its checks, by which code; nothing of it is stored.
	NoteRefused(ctx context.Context, i Integration, code string) error
	// NoteUnrotated records that a new secret was refused by its checks, by which code; i is the integration, which stays as it is, with
	// application and method that were tried.
	NoteUnrotated(ctx context.Context, i Integration, code string) error
	// NoteStaged keeps when the staged credential of i was tried, and what is told of what that met, if it is still the one that is
	// staged. For everybody's If-Match the integration stays unchanged.
	NoteStaged(ctx context.Context, i Integration, at time.Time, met *fault.Error) error
	DirectoryConnected(ctx context.Context, t tenant.ID, kind Kind, directory string) (bool, error)
	// CancelActiveRun asks the integration's active run, if any, to end.
	CancelActiveRun(ctx context.Context, t tenant.ID, id uuid.UUID) error
	// Disconnect destroys the secret, ends the active run, and with purge queues the deletion of everything imported; without,
	// that comes when the data have aged out. It returns the public id of the purge run, or uuid.Nil. Of a disconnected
	// integration only a purge may be asked for, else it is the fault conflict; a purge under way is not begun again.
	Disconnect(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, purge bool) (uuid.UUID, error)
	Entitlement(ctx context.Context, t tenant.ID) (tenant.Entitlement, error)
}

// Service connects, changes and disconnects integrations. It is the only place that seals and opens secrets.
type Service struct {
	store    Store
	sealer   Sealer
	registry Registry
	now      func() time.Time
	trials   *Trials // nil: no bound
}

// NewService wires a service.
func NewService(store Store, sealer Sealer, registry Registry, now func() time.Time, options ...Option) *Service {
	s := &Service{store: store, sealer: sealer, registry: registry, now: now}
	for _, option := range options {
		option(s)
	}
	return s
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

// Open makes a source from a stored integration. The clear secret exists from here to the source's token requests.
func (s *Service) Open(ctx context.Context, i Integration) (Source, error) {
	c, err := s.connector(i.Kind)
	if err != nil {
		return nil, err
	}
	if len(i.SecretBox) == 0 {
		return nil, fault.New(fault.CodeConflict, "the integration is disconnected")
	}
	secret, err := s.sealer.Open(ctx, i.Tenant, i.SecretBox, i.binding())
	if unreadable(err) {
		return nil, fault.Wrap(err, fault.CodeSecretUnreadable, "")
	}
	if err != nil {
		return nil, err
	}
	return c.Open(Credentials{DirectoryID: i.DirectoryID, ClientID: i.ClientID, Method: i.Method, Secret: secret}), nil
}

// seal makes a box of a secret. That the tenant's data key does not open is told as what it is: no defect, and nothing that whoever enters a
// secret could mend.
func (s *Service) seal(ctx context.Context, t tenant.ID, secret seal.Secret, binding string) (seal.Box, error) {
	box, err := s.sealer.Seal(ctx, t, secret, binding)
	if unreadable(err) {
		f := fault.Wrap(err, fault.CodeSecretUnreadable, "The tenant's data key, which seals its secrets, does not open with the keys this service has. Nothing was stored.")
		f.Remedy = "The operator checks the keyring and the tenant's data key; what was asked for can be repeated then."
		return nil, f
	}
	return box, err
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
