package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/syncer"
)

// What the removal guard measures, each by itself.
const (
	guardAssets   = string(syncer.HeldAssets)
	guardFindings = string(syncer.HeldFindings)
)

// guardDocument is what an integration remembers for the removal guard, by measure.
type guardDocument struct {
	Held     map[string]guardEntry `json:"held,omitempty"`     // drops that wait for a second complete read
	Settings map[string]string     `json:"settings,omitempty"` // digest of the settings under which it was measured last without being held back
}

type guardEntry struct {
	Run      string          `json:"run"`
	Before   int64           `json:"before"`
	After    int64           `json:"after"`
	Leaving  int64           `json:"leaving"`
	Samples  []syncer.Sample `json:"samples,omitempty"` // of what would leave, at most heldSamples
	At       time.Time       `json:"at"`
	Approved time.Time       `json:"approved,omitzero"` // when somebody let it through
	Agreed   bool            `json:"agreed,omitempty"`  // it is held no more, and remembered while what it let go has yet to leave
}

// heldSamples bounds what is kept of a change that is held back.
const heldSamples = 50

// reading is what a complete read did to a measure.
type reading struct {
	before  int64 // in scope until now
	after   int64 // in scope from now on
	refused int64 // in scope until now, read again, and refused by a rule
	leaving int64 // would leave
	partly  bool  // some records could not be read: what is absent may be among them
	now     time.Time
	over    time.Duration                                                  // between the reading that was held back and one that agrees
	samples func(context.Context, *sqlx.Tx, bool) ([]syncer.Sample, error) // of what would leave, or of the absent alone
}

// drops tells whether a fall is large enough to be doubted: to nothing, or by more than half.
func drops(before, after int64) bool { return before > 0 && (after == 0 || after*2 < before) }

// ruling is what the guard says.
type ruling struct {
	hold     bool
	approved time.Time // of the reading that showed what somebody has let through; zero for none
	chosen   bool      // what arrived and is refused leaves even so: the customer's settings want it
}

// guard decides whether what left has to wait for a second complete read. One agrees if it comes late enough and does not show a
// further large drop, or after a person has approved of what the last one showed; a read without a drop makes the guard forget,
// but not one that could not read all.
// Once the customer has changed the settings, records that did arrive and are refused now are no loss: they leave, also while what is
// absent is held back, and count on neither side of it.
//
// What it remembers is written at the end of the transaction, so that nobody who changes the integration waits for it.
func (st *stage) guard(ctx context.Context, tx *sqlx.Tx, measure string, r reading) (ruling, error) {
	known, err := readGuard(ctx, tx, st.job.Tenant, st.integration.PublicID)
	if err != nil {
		return ruling{}, err
	}
	digest, err := settingsDigest(settingsColumn(st.integration.Settings))
	if err != nil {
		return ruling{}, err
	}
	measured := known.Settings[measure]
	ruled, chosen := ruling{chosen: measured != "" && measured != digest}, int64(0)
	if ruled.chosen {
		chosen = r.refused
	}
	after, leaving := r.after+chosen, r.leaving-chosen
	earlier, doubted := known.Held[measure]
	fell := drops(r.before, after)
	doubtful := fell && leaving > 0
	further := drops(earlier.After, after)
	approved := doubted && !earlier.Approved.IsZero() && !further
	agreed := approved || doubted && !further && (earlier.Agreed || earlier.Run != st.job.Subject.String() && r.now.Sub(earlier.At) >= r.over)
	ruled.hold = doubtful && !agreed
	earlier.Before, earlier.After = max(0, earlier.Before-chosen), max(0, earlier.After-chosen)
	next := guardDocument{Held: orEmpty(maps.Clone(known.Held)), Settings: orEmpty(maps.Clone(known.Settings))}
	delete(next.Held, measure)
	if measured == "" || !ruled.hold {
		next.Settings[measure] = digest
	}
	switch {
	case !doubtful && fell && r.partly && doubted: // it shows nothing
		next.Held[measure] = earlier
	case !doubtful:
	case agreed:
		earlier.Agreed = true
		next.Held[measure] = earlier
	case doubted && !further && earlier.Run != st.job.Subject.String(): // too soon to agree
		next.Held[measure] = earlier
	default:
		held := guardEntry{Run: st.job.Subject.String(), Before: r.before - chosen, After: r.after, Leaving: leaving, At: r.now}
		if held.Samples, err = r.samples(ctx, tx, ruled.chosen); err != nil {
			return ruling{}, err
		}
		next.Held[measure] = held
	}
	if doubtful || doubted || !maps.Equal(next.Settings, known.Settings) {
		st.remember = &next
	}
	if approved {
		ruled.approved = earlier.At
	}
	return ruled, nil
}

// writeGuard stores what guard wants to be remembered, if anything.
func (st *stage) writeGuard(ctx context.Context, tx *sqlx.Tx) error {
	if st.remember == nil {
		return nil
	}
	body, err := json.Marshal(st.remember)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `update integration set guard = $3 where tenant_id = $1 and id = $2`, st.job.Tenant, st.integration.ID, string(body))
	return err
}

func settingsDigest(c settingsColumn) (string, error) {
	value, err := c.Value()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(value.(string))) // Value gives JSON
	return hex.EncodeToString(sum[:8]), nil
}

func orEmpty[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return m
}
