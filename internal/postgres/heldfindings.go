package postgres

import (
	"context"
	"maps"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/syncer"
)

// What a finding is held back as: finding.held_as.
const (
	heldAbsent  = 1 // in a drop: it has no row
	heldRefused = 2 // in a drop: a rule refuses its row
	heldBeside  = 2 // is added for one of no drop, which waits because others have to: 3 and 4 are such
)

// asAbsent and asRefused are what a finding is held back as without a row, and with one that is refused: in a drop, or beside one.
const (
	asAbsent  = "(1, 3)"
	asRefused = "(2, 4)"
)

// hold is the judgement of the removal guard over the findings that a reading would close. It knows each finding of a drop
// (finding.held_since), so that none goes, or stays, for others' sake.
type hold struct {
	known    guardDocument
	earlier  guardEntry // what is told of a drop that an earlier reading met
	waits    bool       // there is one
	digest   string     // of the settings
	rejudged bool       // they are other ones than those of the last reading with nothing unread: what arrived and is refused leaves
	chosen   bool       // or than those of the last one that held nothing back: what was absent, arrived and is refused leaves
	partly   bool       // some rows could not be read
	changes  bool       // only changes were
	now      time.Time
	over     time.Duration // between the readings that hold a finding back and let it go
	run      string
	closing
	met bool // what is new of it is a drop
}

// closing counts what a reading would close, and what else bears on whether that is a drop.
type closing struct {
	Before  int64 `db:"before"`  // open until now; those that left with their asset or their import and are looked for again count as if they had stayed
	Fresh   int64 `db:"fresh"`   // open from now on, and not until now
	Refused int64 `db:"refused"` // would close because a rule refuses their rows
	Absent  int64 `db:"absent"`  // would close because they have none
	Chosen  int64 `db:"chosen"`  // leave because settings that were changed refuse their rows, which the guard does not judge
	Held    int64 `db:"held"`    // of Refused and Absent: known for a drop, or approved of
	Still   int64 `db:"still"`   // of Held: have to wait for another reading
}

// guardRows holds closings back when findings drop to nothing or by more than half: whatever would close and is not known for an earlier drop is
// weighed against what is left without that. Such a drop waits for another reading, six hours later, or for a person who approves of what was
// told of it; each finding by itself, wherever its asset has been meanwhile. While any has to wait, what else would close waits with it.
// Up to the first reading by other settings that leaves nothing unread, rows that arrived and are refused leave at once, those of a drop of refused
// rows too: the settings decide on all that is read, and where only changes are, on all that is stored. They are no part of what is weighed, and
// what is fresh makes up for no loss.
func (st *stage) guardRows(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	h, err := st.beginHold(ctx, tx, o)
	if err != nil {
		return err
	}
	if err := st.weighRows(ctx, tx, &h, o.Open); err != nil {
		return err
	}
	if h.met || h.Still > 0 {
		if c.Held, c.BackUnread, err = st.withhold(ctx, tx, h); err != nil {
			return err
		}
	}
	return st.rememberRows(ctx, tx, h)
}

func (st *stage) beginHold(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings) (h hold, err error) {
	h = hold{now: o.Now, over: betweenReadings(o.Removal), partly: o.Incomplete, changes: o.Changes, run: st.job.Subject.String()}
	if h.known, err = readGuard(ctx, tx, st.job.Tenant, st.integration.PublicID); err != nil {
		return h, err
	}
	if h.digest, err = rulesDigest(guardFindings, st.integration.Settings); err != nil {
		return h, err
	}
	h.chosen = anew(h.known.Rules, guardFindings, h.digest)
	h.rejudged = anew(h.known.Read, guardFindings, h.digest) || h.chosen && h.known.Read[guardFindings] == ""
	h.earlier, h.waits = h.known.Held[guardFindings]
	return h, nil
}

// judged is the condition on what is to be done that the guard may hold it back: $5 and $6 are rejudged and chosen.
const judged = `(d.op in ('f', 'g') or d.op = 'o' and not ($5 or $6 and coalesce(d.returned, false)))`

// mustWait is the condition on a held finding that it stays held: $1 is the tenant, $2 to $4 are waiting. One that waits beside others has no
// time of its own.
const mustWait = `not (d.held_as < 3 and d.held_since <= $2 and d.held_since <> $3
	or d.held_since <= $4 and d.asset_id in (select a.id from asset a where a.tenant_id = $1 and a.held_told))`

// waiting are the arguments of mustWait: held since when a finding may go, and of what moment it may not, because this very run has met it;
// and when somebody looked who has approved, which is of what was held by then. A reading that is not whole lets nothing go.
func (h hold) waiting() (until, met, looked time.Time) {
	if h.earlier.Run == h.run {
		met = h.earlier.At
	}
	if h.partly {
		return until, met, looked
	}
	if !h.earlier.Approved.IsZero() {
		looked = h.earlier.stands().At
	}
	return h.now.Add(-h.over), met, looked
}

// weighRows counts, and tells whether what is new is a drop. What cannot be told for want of rows that could not be read has to wait if anything has.
func (st *stage) weighRows(ctx context.Context, tx *sqlx.Tx, h *hold, open int64) error {
	until, met, looked := h.waiting()
	err := tx.GetContext(ctx, &h.closing, `
		select $7::bigint + count(*) filter (where withdrawn and op in ('b', 'g')) as before, count(*) filter (where op in ('c', 'r') or op = 'b' and not withdrawn) as fresh,
		       count(*) filter (where op = 'o' and judged) as refused, count(*) filter (where op = 'o' and not judged) as chosen,
		       count(*) filter (where op in ('f', 'g')) as absent, count(*) filter (where known) as held, count(*) filter (where known and waits) as still
		from (
		  select *, judged and held_since is not null and (held_as < 3 or not waits) as known
		  from (select d.*, `+judged+` as judged, `+mustWait+` as waits from delta d) d
		) d`, st.job.Tenant, until, met, looked, h.rejudged, h.chosen, open)
	if err != nil {
		return err
	}
	if h.partly && h.told() {
		h.Still = max(h.Still, 1)
	}
	h.met = h.Absent+h.Refused > h.Held && drops(h.Before-h.Chosen-h.Held, h.left())
	return nil
}

// told says whether anything is held back already that people are told of.
func (h hold) told() bool {
	_, told := h.known.told(syncer.HeldFindings)
	return told
}

// left is how many findings would be open if all closed that the guard judges, of those that the settings take.
func (h hold) left() int64 {
	left := h.Before - h.Chosen - h.Absent - h.Refused
	if h.rejudged {
		return left
	}
	return left + h.Fresh
}

// rememberRows has the integration remember what is to be told of this reading.
func (st *stage) rememberRows(ctx context.Context, tx *sqlx.Tx, h hold) error {
	figures, err := st.heldFigures(ctx, tx, h)
	if err != nil {
		return err
	}
	e, keep := h.earlier, true
	switch {
	case h.blind(figures):
	case figures.Leaving > 0 && h.waits && !h.met && e.Run != h.run:
		e.Latest, e.Approved = &figures, time.Time{}
	case figures.Leaving > 0:
		e = guardEntry{guardFigures: figures}
	case h.waits:
		if keep, err = st.holdsElsewhere(ctx, tx, h); err != nil {
			return err
		}
		e = e.outOfSight(figures)
	default:
		keep = false
	}
	next := h.known.with(guardFindings, e, keep)
	if !h.partly && figures.Leaving == 0 || next.Rules[guardFindings] == "" { // while a drop is held back, no reading went through
		next.Rules[guardFindings] = h.digest
	}
	switch last := next.Read[guardFindings]; {
	case !h.partly:
		next.Read[guardFindings] = h.digest
	case last != "" && last != h.digest:
		next.Read[guardFindings] = readByOthers
	}
	if keep || h.waits || !maps.Equal(next.Rules, h.known.Rules) || !maps.Equal(next.Read, h.known.Read) {
		st.remember = &remembrance{was: h.known, now: next, rows: !h.blind(figures), partly: h.partly}
	}
	return nil
}

// readByOthers is no digest: a reading that left something unread went by other settings than the last one that did not, so that the next one does in any case.
const readByOthers = "others"

// blind tells whether this reading shows nothing of what an earlier one met: it is not whole, and holds back nothing new.
func (h hold) blind(shown guardFigures) bool {
	return h.partly && h.waits && (h.told() || shown.Leaving == 0)
}

// heldFigures are what this reading shows of what is held back. What it lets go, and what leaves by settings that were changed, is not among
// them.
func (st *stage) heldFigures(ctx context.Context, tx *sqlx.Tx, h hold) (f guardFigures, err error) {
	f = guardFigures{Run: h.run, After: h.left(), At: h.now}
	if err = tx.GetContext(ctx, &f.Leaving, `select count(*) from withheld`); err != nil {
		return f, err
	}
	f.Before = h.Before - h.Chosen - (h.Absent + h.Refused - f.Leaving)
	if f.Leaving == 0 {
		return f, nil
	}
	err = tx.SelectContext(ctx, &f.Samples, `
		select a.source_id as sourceid, v.name, a.hostname as detail
		from (
		  select asset_id, vulnerability_id from withheld join finding f using (asset_id, vulnerability_id)
		  where f.tenant_id = $1 order by f.severity desc, asset_id, vulnerability_id limit $2
		) d
		join asset a on a.tenant_id = $1 and a.id = d.asset_id join vulnerability v on v.id = d.vulnerability_id`, st.job.Tenant, heldSamples)
	return f, err
}

// holdsElsewhere tells whether findings are held back that this reading does not look at, and that may come back with their assets.
func (st *stage) holdsElsewhere(ctx context.Context, tx *sqlx.Tx, h hold) (some bool, err error) {
	err = tx.GetContext(ctx, &some, `
		select exists (select from asset a where a.tenant_id = $1 and a.integration_id = $2 and a.held_findings > 0 and a.state <> 'removed' and ($3 or not (`+inSight+`)))`,
		st.job.Tenant, st.integration.ID, h.changes)
	return some, err
}

// outOfSight is the entry once a run shows nothing of it: there is nothing to be told, or approved of.
func (e guardEntry) outOfSight(by guardFigures) guardEntry {
	e.Latest, e.Approved = &by, time.Time{}
	return e
}

// withholdNothing notes that no finding is held back while all are out of scope. What was is remembered for when their import is on again.
func (st *stage) withholdNothing(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	known, err := readGuard(ctx, tx, st.job.Tenant, st.integration.PublicID)
	if err != nil {
		return err
	}
	e, told := known.told(syncer.HeldFindings)
	if !told {
		return nil
	}
	next := known.with(guardFindings, e.outOfSight(guardFigures{Run: st.job.Subject.String(), At: o.Now}), true)
	st.remember = &remembrance{was: known, now: next, rows: true}
	return nil
}
