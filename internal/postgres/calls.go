package postgres

import (
	"context"
	"database/sql"
	"time"

	"pgp.internal/defender/internal/connector"
)

// TakeCall reserves a call or refuses it, in one statement. Reservations of one key are served in the order they came.
func (s *Store) TakeCall(ctx context.Context, r connector.CallRequest) (connector.CallGrant, error) {
	var row struct {
		Wait    int64        `db:"wait"`
		Ticket  sql.NullTime `db:"ticket"`
		Refused string       `db:"refused"`
		Failing bool         `db:"failing"`
		Probe   bool         `db:"probe"`
		Since   sql.NullTime `db:"since"`
	}
	err := s.getRow(ctx, &row, prepared+"select * from upstream_take($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
		r.Application, r.Directory, r.Family, r.Minute.Every.Microseconds(), r.Minute.Burst, r.Hour.Every.Microseconds(), r.Hour.Burst,
		r.MostRepeats*tenths, r.Caller, r.Person, sql.NullInt64{Int64: r.MostWait.Microseconds(), Valid: r.MostWait > 0},
		r.ProbeLease.Microseconds(), nullTime(r.At))
	return connector.CallGrant{
		Wait: time.Duration(row.Wait) * time.Microsecond, Ticket: utc(row.Ticket), Refused: connector.CallRefusal(row.Refused),
		Since: utc(row.Since), Failing: row.Failing, Probe: row.Probe,
	}, classify(ctx, err)
}

// tenths of a repeat are what is counted.
const tenths = 10

// CallStands tells whether a call that was reserved some time ago may be made: not if its quota has been held since, or the
// directory's breaker has opened.
func (s *Store) CallStands(ctx context.Context, r connector.CallRequest) (stands bool, err error) {
	err = s.getRow(ctx, &stands, prepared+`
		select not exists (select from upstream_quota where application = $1 and directory = $2 and family = $3
		                   and held_until > coalesce($5, clock_timestamp()))
		   and not exists (select from upstream_breaker where application = $1 and directory = $2
		                   and open_since is not null and probe_by is distinct from $4)`,
		r.Application, r.Directory, r.Family, r.Caller, nullTime(r.At))
	return stands, classify(ctx, err)
}

// CallsHeld tells for how much longer a quota is held; zero if it is not.
func (s *Store) CallsHeld(ctx context.Context, r connector.CallRequest) (time.Duration, error) {
	var left int64
	err := s.getRow(ctx, &left, prepared+`
		select coalesce((select greatest(round(extract(epoch from held_until - coalesce($4, clock_timestamp())) * 1000000), 0)
		                 from upstream_quota where application = $1 and directory = $2 and family = $3), 0)::bigint`,
		r.Application, r.Directory, r.Family, nullTime(r.At))
	return time.Duration(left) * time.Microsecond, classify(ctx, err)
}

// ReturnCall gives back a reserved call that will not be made. Once others have reserved behind it their times stand, and
// the call is lost.
func (s *Store) ReturnCall(ctx context.Context, r connector.CallRequest, g connector.CallGrant) error {
	_, err := s.exec(ctx, `
		update upstream_quota set minute_full = minute_full - $5 * interval '1 microsecond', hour_full = hour_full - $6 * interval '1 microsecond',
		       repeat_tenths = greatest(repeat_tenths - 1, 0)
		where application = $1 and directory = $2 and family = $3 and minute_full = $4`,
		r.Application, r.Directory, r.Family, g.Ticket, r.Minute.Every.Microseconds(), r.Hour.Every.Microseconds())
	return classify(ctx, err)
}

// RepeatCall spends a repeat, if there is one: a tenth of the calls may be repeats, beyond those saved up at the beginning.
// The repeat itself will earn a tenth like any call; it pays that in advance.
func (s *Store) RepeatCall(ctx context.Context, k connector.CallKey) (bool, error) {
	done, err := s.exec(ctx, `
		update upstream_quota set repeat_tenths = repeat_tenths - $4 - 1
		where application = $1 and directory = $2 and family = $3 and repeat_tenths > $4`, k.Application, k.Directory, k.Family, tenths)
	if err != nil {
		return false, classify(ctx, err)
	}
	n, err := done.RowsAffected()
	return n > 0, err
}

// HoldCalls lets no call of a quota through for a time, and those behind it one by one only: the source's own count is at
// its limit then.
func (s *Store) HoldCalls(ctx context.Context, r connector.CallRequest, d time.Duration) error {
	_, err := s.exec(ctx, `
		with moment as materialized (select coalesce($4, clock_timestamp()) + $5 * interval '1 microsecond' as until)
		update upstream_quota q set held_until = greatest(held_until, m.until), minute_full = greatest(minute_full, m.until + $6 * interval '1 microsecond')
		from moment m where application = $1 and directory = $2 and family = $3`,
		r.Application, r.Directory, r.Family, nullTime(r.At), d.Microseconds(), int64(r.Minute.Burst-1)*r.Minute.Every.Microseconds())
	return classify(ctx, err)
}

// CallFailed counts a call that was not answered, and tells whether the directory's breaker has opened by it.
func (s *Store) CallFailed(ctx context.Context, f connector.CallFailure) (opened bool, err error) {
	err = s.getRow(ctx, &opened, "select upstream_fail($1, $2, $3, $4, $5, $6, $7, $8)", f.Application, f.Directory, f.Caller,
		f.Threshold, f.Shortest.Microseconds(), f.Longest.Microseconds(), f.Cut, nullTime(f.At))
	return opened, classify(ctx, err)
}

// CallAnswered forgets the failures of a directory, and closes its breaker.
func (s *Store) CallAnswered(ctx context.Context, k connector.CallKey) error {
	_, err := s.exec(ctx, `delete from upstream_breaker where application = $1 and directory = $2`, k.Application, k.Directory)
	return classify(ctx, err)
}

// ProbeEnded lets others try a directory that a caller tried without learning whether it answers.
func (s *Store) ProbeEnded(ctx context.Context, r connector.CallRequest) error {
	_, err := s.exec(ctx, `
		update upstream_breaker set probe_by = null, probe_until = null where application = $1 and directory = $2 and probe_by = $3`,
		r.Application, r.Directory, r.Caller)
	return classify(ctx, err)
}

// pruneCalls deletes quotas and breakers that nothing has asked for in a long time. By then a quota is full again.
const pruneCalls = `
	with old_quota as (
	  select application, directory, family from upstream_quota where used_at < $1 and held_until < $1 limit $2 for update skip locked
	), old_breaker as (
	  select application, directory from upstream_breaker where used_at < $1 limit $2 for update skip locked
	), breakers as (
	  delete from upstream_breaker b using old_breaker o where b.application = o.application and b.directory = o.directory
	)
	delete from upstream_quota q using old_quota o
	where q.application = o.application and q.directory = o.directory and q.family = o.family`
