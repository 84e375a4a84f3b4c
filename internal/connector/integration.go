package connector

import (
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// State is where an integration stands.
type State string

// Integration states. Degraded means the last runs failed for passing reasons; action_required means somebody has to
// change something before a run can succeed.
const (
	StateActive         State = "active"
	StatePaused         State = "paused"
	StateDegraded       State = "degraded"
	StateActionRequired State = "action_required"
	StateDisconnecting  State = "disconnecting"
	StateDisconnected   State = "disconnected"
)

// Integration is a tenant's configured link to one directory. It never carries the clear secret.
type Integration struct {
	ID              int64
	PublicID        uuid.UUID
	Tenant          tenant.ID
	Kind            Kind
	Name            string
	DirectoryID     string
	ClientID        string
	Method          Method
	SecretBox       seal.Box // sealed; bound to tenant and integration; of a federated sign-in nothing is in it
	SecretHint      string   // the end of the secret, or of the certificate's thumbprint; empty when federated
	SecretUpdatedAt time.Time
	SecretExpiresAt time.Time // as the certificate or somebody said; zero when not known
	SecretExpiredAt time.Time // when Microsoft first called it expired; zero while it does not
	Staged          Staged
	Settings        inventory.Settings
	IntervalHours   int // between scheduled runs
	State           State
	StateReason     string       // a code of package fault, when degraded or action_required
	StateNotice     fault.Notice // what the run or check that met it told of it; without a code in rows that did not keep it
	NextRunAt       time.Time    // zero when none is planned; see DueAt
	WaitUntil       time.Time    // until when Microsoft asked to wait: no planned run comes before; zero for none
	AskedAt         time.Time    // when somebody last did what a run is to come for at once, by the database's clock; zero when never
	LastRunID       uuid.UUID    // of the newest run, whatever its state; uuid.Nil when none
	LastRunState    string
	LastRunAt       time.Time
	LastSuccessAt   time.Time // zero when never
	OpenAssets      int       // active and inactive assets
	OpenFindings    int       // of these
	Held            []Held
	Version         int64 // moves with every change somebody made; what writes are checked against
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// DueAt is when the next run comes by itself, zero when none does: as planned, but for Microsoft's asking to wait.
func (i *Integration) DueAt() time.Time {
	if !i.NextRunAt.IsZero() && i.WaitUntil.After(i.NextRunAt) {
		return i.WaitUntil
	}
	return i.NextRunAt
}

// Staged is another credential of the same directory that waits to take the place of the present one. Without a Box there is
// none.
type Staged struct {
	Method    Method
	ClientID  string
	Box       seal.Box // sealed; bound to tenant, integration, and to being staged
	Hint      string
	ExpiresAt time.Time    // zero when not known
	At        time.Time    // when it was staged
	CheckedAt time.Time    // when it was last tried; zero when never
	Problem   fault.Notice // what that met; without a code when it met nothing
}

// DefaultIntervalHours is the schedule of a new integration: Defender devices report fully about once a day.
const DefaultIntervalHours = 24
