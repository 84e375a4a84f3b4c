package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// What the removal guard measures, each by itself.
const (
	guardAssets   = string(syncer.HeldAssets)
	guardFindings = string(syncer.HeldFindings)
)

// guardDocument is what an integration remembers for the removal guard, by measure.
type guardDocument struct {
	Held  map[string]guardEntry `json:"held,omitempty"`  // drops that wait for a second complete read
	Rules map[string]string     `json:"rules,omitempty"` // digest of the settings under which the last reading went through
	Read  map[string]string     `json:"read,omitempty"`  // and of those of the last reading, which may have been held back; of findings, of the last one with nothing unread, be it of changes
}

// guardEntry is a drop with the figures of the run that met it, which later readings are compared with: a drop that creeps is a further
// one in the end.
type guardEntry struct {
	guardFigures
	Latest   *guardFigures `json:"latest,omitempty"`  // of the last reading that looked and held it back still
	Approved time.Time     `json:"approved,omitzero"` // when somebody let it through
	Agreed   bool          `json:"agreed,omitempty"`  // it is held no more, and remembered while what it let go has yet to leave
}

// guardFigures are what a run showed of a drop.
type guardFigures struct {
	Run     string          `json:"run"`
	Before  int64           `json:"before"`
	After   int64           `json:"after"`
	Leaving int64           `json:"leaving"`
	Samples []syncer.Sample `json:"samples,omitempty"` // of what would leave, at most heldSamples
	At      time.Time       `json:"at"`
}

// stands is what is held back now, and what an approval lets go.
func (e guardEntry) stands() guardFigures {
	if e.Latest != nil {
		return *e.Latest
	}
	return e.guardFigures
}

// told is what of a kind is held back now, if anything is.
func (d guardDocument) told(kind syncer.HeldKind) (guardEntry, bool) {
	e, ok := d.Held[string(kind)]
	return e, ok && !e.Agreed && e.stands().Leaving > 0
}

// heldSamples bounds what is kept of a change that is held back.
const heldSamples = 50

// reading is what a complete list did to the assets.
type reading struct {
	before  int64 // in scope until now
	after   int64 // in scope from now on
	fresh   int64 // in scope from now on, and not until now
	refused int64 // in scope until now, read again, and refused by a rule
	leaving int64 // would leave
	partly  bool  // some records could not be read: what is absent may be among them
	now     time.Time
	over    time.Duration                                                  // between the reading that was held back and one that agrees
	samples func(context.Context, *sqlx.Tx, bool) ([]syncer.Sample, error) // of what would leave, or of the absent alone
}

// weigh tells what a reading shows of the source, and whether that is a drop. Settings that were changed decide on what is read, and on
// nothing that is not: what is refused since was no part of what could be lost, and what is fresh makes up for no loss.
func (r reading) weigh(changed bool) (reading, bool) {
	if !changed {
		return r, drops(r.before, r.after)
	}
	r.before, r.after, r.leaving = r.before-r.refused, r.after-r.fresh, r.leaving-r.refused
	return r, drops(r.before, r.after)
}

// drops tells whether a fall is large enough to be doubted: to nothing, or by more than half.
func drops(before, after int64) bool { return before > 0 && (after == 0 || after*2 < before) }

// ruling is what the guard says.
type ruling struct {
	hold     bool
	approved time.Time // of the list that showed what somebody has let through; zero for none
	chosen   bool      // what arrived and is refused leaves even so: the customer's settings want it
}

// guard decides whether assets that left have to wait for a second complete list. One agrees if it comes late enough and does not show a
// further large drop, or after a person has approved of what the last one showed; a list without a drop makes the guard forget,
// but not one that could not be read whole. Findings are told apart one by one; see guardRows.
// Once the customer has changed the settings, records that did arrive and are refused now leave, also while what is absent is held
// back. That stays the drop that the run met, while most of what counted then is absent.
//
// What it remembers is written at the end of the transaction, so that nobody who changes the integration waits for it.
func (st *stage) guard(ctx context.Context, tx *sqlx.Tx, r reading) (ruling, error) {
	known, err := readGuard(ctx, tx, st.job.Tenant, st.integration.PublicID)
	if err != nil {
		return ruling{}, err
	}
	digest, err := rulesDigest(guardAssets, st.integration.Settings)
	if err != nil {
		return ruling{}, err
	}
	ruled := ruling{chosen: anew(known.Rules, guardAssets, digest) || anew(known.Read, guardAssets, digest)} // also when they were taken back during a hold
	r, fell := r.weigh(ruled.chosen)
	v := verdict{reading: r}
	v.earlier, v.known = known.Held[guardAssets]
	v.lasts = drops(v.earlier.Before, v.earlier.Before-r.leaving) // most of what counted when it was met is absent still, whatever has come since
	v.doubtful = r.leaving > 0 && (fell || v.lasts)
	v.agreed = v.known && !r.partly && v.earlier.agrees(r, st.job.Subject.String())
	ruled.hold = v.doubtful && !v.agreed
	if v.agreed && !v.earlier.Approved.IsZero() {
		ruled.approved = v.earlier.stands().At // no whole list is looked at between an approval and the run that goes through with it
	}
	held, keep, err := st.remembered(ctx, tx, v, ruled)
	if err != nil {
		return ruling{}, err
	}
	next := known.after(digest, held, keep)
	if v.doubtful || v.known || !maps.Equal(next.Rules, known.Rules) || !maps.Equal(next.Read, known.Read) {
		st.remember = &remembrance{was: known, now: next}
	}
	return ruled, nil
}

// anew tells whether a reading goes by other settings than an earlier one of a measure, by the digests of that, if there was one.
func anew(earlier map[string]string, measure, digest string) bool {
	return earlier[measure] != "" && earlier[measure] != digest
}

// with is the document with another entry for a measure, or without one.
func (d guardDocument) with(measure string, held guardEntry, keep bool) guardDocument {
	next := guardDocument{Held: orEmpty(maps.Clone(d.Held)), Rules: orEmpty(maps.Clone(d.Rules)), Read: orEmpty(maps.Clone(d.Read))}
	if delete(next.Held, measure); keep {
		next.Held[measure] = held
	}
	return next
}

// after is what is known after a list under settings with that digest. While a drop is held back, none went through.
func (d guardDocument) after(digest string, held guardEntry, keep bool) guardDocument {
	next := d.with(guardAssets, held, keep)
	if _, waits := next.told(syncer.HeldAssets); next.Rules[guardAssets] == "" || !waits {
		next.Rules[guardAssets] = digest
	}
	next.Read[guardAssets] = digest
	return next
}

// verdict is what comes of a reading in view of an earlier one.
type verdict struct {
	reading
	earlier  guardEntry // of a drop that an earlier reading met
	known    bool       // there is one
	lasts    bool       // what it met is absent still
	doubtful bool       // a drop would leave now
	agreed   bool       // and goes through
}

// remembered is the entry to be kept, if any is.
func (st *stage) remembered(ctx context.Context, tx *sqlx.Tx, v verdict, ruled ruling) (e guardEntry, keep bool, err error) {
	e = v.earlier
	switch {
	case v.known && v.partly: // it shows nothing
		return e, true, nil
	case !v.doubtful:
		return e, false, nil
	case v.agreed:
		e.Agreed = true
		return e, true, nil
	}
	figures, err := st.figures(ctx, tx, v.reading, ruled)
	if err != nil {
		return e, false, err
	}
	if e.Latest = &figures; v.known && !e.further(v.reading) && e.Run != figures.Run { // too soon to agree
		return e, true, nil
	}
	return guardEntry{guardFigures: figures}, true, nil
}

// figures are what this run shows of a drop that it holds back.
func (st *stage) figures(ctx context.Context, tx *sqlx.Tx, r reading, ruled ruling) (f guardFigures, err error) {
	f = guardFigures{Run: st.job.Subject.String(), Before: r.before, After: r.after, Leaving: r.leaving, At: r.now}
	f.Samples, err = r.samples(ctx, tx, ruled.chosen)
	return f, err
}

// further tells whether so much more is absent than when the drop was met that what is left would be a drop in itself.
func (e guardEntry) further(r reading) bool {
	more := r.leaving - e.Leaving
	return more > 0 && drops(r.after+more, r.after)
}

// agrees tells whether a whole reading by a run confirms the drop, or goes through with what somebody has approved of.
func (e guardEntry) agrees(r reading, run string) bool {
	return !e.further(r) && (!e.Approved.IsZero() || e.Agreed || e.Run != run && r.now.Sub(e.At) >= r.over)
}

// rulesDigest tells settings apart that let different records count in a measure.
func rulesDigest(measure string, s inventory.Settings) (string, error) {
	rules := s.MachineRules()
	if measure == guardFindings {
		rules = s.RowRules()
	}
	value, err := settingsColumn(rules).Value()
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
