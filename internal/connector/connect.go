package connector

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// CheckBudget is how long a live validation may take altogether.
const CheckBudget = 10 * time.Second

// Draft is an integration as the customer entered it.
type Draft struct {
	Kind            Kind
	Name            string // empty takes the connector's name
	Credentials     Credentials
	SecretExpiresAt time.Time // zero when not given
	Settings        inventory.Settings
	IntervalHours   int  // 0 takes the default
	Paused          bool // to begin without a first run, until somebody resumes it
}

// Preview does everything Connect does except storing.
func (s *Service) Preview(ctx context.Context, t tenant.ID, d Draft) (Integration, []Check, error) {
	c, creds, err := s.read(d)
	if err != nil {
		return Integration{}, nil, err
	}
	return s.prepare(ctx, t, d, c, creds)
}

// Connect checks the draft against the live service and stores it only if every check passed. A refused draft returns
// the fault of the first failed check, with all checks as its Data, and is recorded.
func (s *Service) Connect(ctx context.Context, t tenant.ID, d Draft) (Integration, []Check, error) {
	c, creds, err := s.read(d)
	if err != nil {
		return Integration{}, nil, err
	}
	i, checks, err := s.prepare(ctx, t, d, c, creds)
	if err != nil && len(checks) > 0 {
		refused := Integration{Tenant: t, Kind: d.Kind, DirectoryID: creds.DirectoryID, ClientID: creds.ClientID, Method: method(creds)}
		if noted := s.store.NoteRefused(ctx, refused, fault.As(err).Code); noted != nil {
			return Integration{}, checks, noted
		}
	}
	if err != nil {
		return Integration{}, checks, err
	}
	i.PublicID = uuid.Must(uuid.NewV7())
	if i.SecretBox, err = s.seal(ctx, t, creds.Secret, i.binding()); err != nil {
		return Integration{}, checks, err
	}
	i, err = s.store.CreateIntegration(ctx, i)
	return i, checks, err
}

// read makes sure that a draft can work at all, and gives its credentials in canonical form.
func (s *Service) read(d Draft) (Connector, Credentials, error) {
	c, err := s.connector(d.Kind)
	if err != nil {
		return nil, Credentials{}, err
	}
	if err := validateChoice(d.Settings, d.IntervalHours); err != nil {
		return nil, Credentials{}, err
	}
	creds, err := shape(c, d.Credentials)
	if err == nil {
		err = checkSaid(creds.Method, d.SecretExpiresAt)
	}
	return c, creds, err
}

// prepare turns a draft into an integration that is ready to store but for its secret, or says what is wrong with it.
func (s *Service) prepare(ctx context.Context, t tenant.ID, d Draft, c Connector, creds Credentials) (Integration, []Check, error) {
	if taken, err := s.store.DirectoryConnected(ctx, t, d.Kind, creds.DirectoryID); err != nil {
		return Integration{}, nil, err
	} else if taken {
		return Integration{}, nil, fault.New(fault.CodeAlreadyConnected, "")
	}
	checks, err := s.try(ctx, t, creds.DirectoryID, c.Open(creds), d.Settings)
	if err != nil {
		return Integration{}, checks, err
	}
	now, state := s.now(), StateActive
	if d.Paused {
		state = StatePaused
	}
	return Integration{
		Tenant: t, Kind: d.Kind, Name: cmp.Or(d.Name, c.Describe().Name), DirectoryID: creds.DirectoryID, ClientID: creds.ClientID,
		Method: method(creds), SecretHint: hint(creds), SecretUpdatedAt: now, SecretExpiresAt: expiry(creds, d.SecretExpiresAt), Settings: d.Settings,
		IntervalHours: cmp.Or(d.IntervalHours, DefaultIntervalHours), State: state, CreatedAt: now, UpdatedAt: now,
	}, checks, nil
}

func method(c Credentials) Method { return cmp.Or(c.Method, MethodSecret) }

// expiry prefers what a secret says of itself to what somebody was told of it.
func expiry(c Credentials, told time.Time) time.Time {
	if c.ExpiresAt.IsZero() {
		return told
	}
	return c.ExpiresAt
}
