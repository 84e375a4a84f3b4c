package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// rowReasonNames gives the reasons by their number, for SQL.
func rowReasonNames() any {
	var names []string
	for code := range inventory.RowReasonCount() {
		names = append(names, string(inventory.RowReasonOf(uint8(code))))
	}
	return pq.Array(names)
}

// BeginCatalogue decides whether the shared catalogue has to be read now, and by whom.
func (s *Store) BeginCatalogue(ctx context.Context, j job.Job, source connector.Kind, p syncer.CataloguePolicy) (turn syncer.CatalogueTurn, err error) {
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into catalogue_read (source) values ($1) on conflict do nothing`, source)
		if err != nil {
			return err
		}
		var row struct {
			Now        time.Time    `db:"now"`
			ReadAt     sql.NullTime `db:"read_at"`
			FullReadAt sql.NullTime `db:"full_read_at"`
			GapsAt     sql.NullTime `db:"gaps_at"`
			Leased     bool         `db:"leased"`
		}
		err = tx.GetContext(ctx, &row, `
			select clock_timestamp() as now, read_at, full_read_at, gaps_at, coalesce(lease_until > clock_timestamp(), false) and holder <> $2 as leased
			from catalogue_read where source = $1 for update`, source, j.Subject.String())
		if err != nil {
			return err
		}
		full := !row.FullReadAt.Valid || row.Now.Sub(row.FullReadAt.Time) > p.FullEvery
		turn = syncer.CatalogueTurn{StartedAt: row.Now, ReadAt: cmp.Or(row.ReadAt.Time, row.GapsAt.Time)}
		switch {
		case row.Leased:
			turn.Wait = !row.ReadAt.Valid && !row.GapsAt.Valid && p.WaitForAny
			return nil
		case !full && row.Now.Sub(row.ReadAt.Time) < p.MaxAge, row.GapsAt.Valid && !p.GapsAtOnce && row.Now.Sub(row.GapsAt.Time) < p.MaxAge:
			return nil
		case !full:
			turn.Since = row.ReadAt.Time.Add(-p.Overlap).UTC()
		}
		turn.Read = true
		_, err = tx.ExecContext(ctx, `update catalogue_read set holder = $2, lease_until = clock_timestamp() + make_interval(secs => $3) where source = $1`,
			source, j.Subject.String(), p.LeaseFor.Seconds())
		return err
	})
	return turn, err
}

// EndCatalogue gives the reading back. Only a complete read, of which nothing was unreadable, moves the
// time from which the next one starts; one with gaps serves until it is as old as the catalogue may be,
// or a run by hand asks for it.
func (s *Store) EndCatalogue(ctx context.Context, j job.Job, source connector.Kind, turn syncer.CatalogueTurn, complete bool) error {
	return s.inSystem(ctx, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			update catalogue_read set lease_until = null, holder = '',
			  read_at = case when $3 and $6 = 0 then $4 else read_at end,
			  full_read_at = case when $3 and $5 and $6 = 0 then $4 else full_read_at end,
			  gaps_at = case when not $3 then gaps_at when $6 > 0 then $4 end
			where source = $1 and holder = $2`,
			source, j.Subject.String(), complete, turn.StartedAt, turn.Since.IsZero(), turn.Unread)
		return err
	})
}

// vulnerabilityDocument carries an entry to the database as one element of a JSON array, which costs one statement for a
// whole batch.
type vulnerabilityDocument struct {
	Name            string     `json:"name"`
	Words           string     `json:"words"`
	Title           string     `json:"title"`
	Description     string     `json:"description"`
	SeverityWord    string     `json:"severity_word"`
	Severity        int        `json:"severity"`
	Score           *float64   `json:"score"`
	Vector          string     `json:"vector"`
	AttackVector    int        `json:"attack_vector"`
	EPSS            *float64   `json:"epss"`
	PublicExploit   bool       `json:"public_exploit"`
	ExploitVerified bool       `json:"exploit_verified"`
	ExploitInKit    bool       `json:"exploit_in_kit"`
	ExploitTypes    []string   `json:"exploit_types"`
	ExploitURIs     []string   `json:"exploit_uris"`
	Tags            []string   `json:"tags"`
	Supportability  string     `json:"supportability"`
	PublishedAt     *time.Time `json:"published_at"`
	SourceUpdatedAt *time.Time `json:"source_updated_at"`
}

// PutVulnerabilities stores catalogue entries; unchanged ones cause no write.
func (s *Store) PutVulnerabilities(ctx context.Context, now time.Time, entries []inventory.Vulnerability) (created, updated int64, err error) {
	documents := make([]vulnerabilityDocument, 0, len(entries))
	seen := make(map[string]bool, len(entries))
	for i := range entries {
		if !seen[entries[i].Name] { // a statement cannot touch one row twice
			seen[entries[i].Name] = true
			documents = append(documents, documentOf(&entries[i]))
		}
	}
	body, err := json.Marshal(documents)
	if err != nil {
		return 0, 0, err
	}
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.QueryRowxContext(ctx, `
			with incoming as (
			  select * from json_to_recordset($1::json) as t(`+vulnerabilityRecord+`)
			), changed as (
			  select i.* from incoming i left join vulnerability v using (name)
			  where v.id is null or v.partial or (`+prefixed("i")+`) is distinct from (`+prefixed("v")+`)
			), done as (
			  insert into vulnerability as v (name, `+vulnerabilityData+`, partial, rules_at)
			  select name, `+vulnerabilityData+`, false, greatest($2::timestamptz, (
			    select rules_at + interval '1 microsecond' from vulnerability order by rules_at desc limit 1)) from changed order by name
			  on conflict (name) do update set (`+vulnerabilityData+`) = row(`+prefixed("excluded")+`), partial = false, updated_at = now(),
			    rules_at = case when v.partial or (`+askedOf("v")+`) is distinct from (`+askedOf("excluded")+`) then excluded.rules_at else v.rules_at end
			  returning id, name, xmax = 0 as fresh
			), learnt as (
			  insert into vulnerability_words as w (vulnerability_id, words) select d.id, c.words::tsvector from done d join changed c using (name)
			  on conflict (vulnerability_id) do update set words = excluded.words where w.words <> excluded.words
			)
			select count(*) filter (where fresh), count(*) filter (where not fresh) from done`, string(body), now).Scan(&created, &updated)
	})
	return created, updated, err
}

const vulnerabilityData = `title, description, severity_word, severity, score, vector, attack_vector, epss, public_exploit, exploit_verified,
	exploit_in_kit, exploit_types, exploit_uris, tags, supportability, published_at, source_updated_at`

const vulnerabilityRecord = `name text, words text, title text, description text, severity_word text, severity smallint, score real, vector text,
	attack_vector smallint, epss real, public_exploit boolean, exploit_verified boolean, exploit_in_kit boolean, exploit_types text[],
	exploit_uris text[], tags text[], supportability text, published_at timestamptz, source_updated_at timestamptz`

// askedOf is what the rules ask of a vulnerability; see [inventory.Traits].
func askedOf(alias string) string {
	return strings.ReplaceAll(`btrim(v.severity_word), case when btrim(v.severity_word) = '' then v.score end, v.attack_vector, substring(v.vector from 'UI:.'),
		v.public_exploit or v.exploit_verified or v.exploit_in_kit`, "v.", alias+".")
}

func prefixed(alias string) string {
	out := ""
	for i, column := range splitColumns(vulnerabilityData) {
		if i > 0 {
			out += ", "
		}
		out += alias + "." + column
	}
	return out
}

func documentOf(v *inventory.Vulnerability) vulnerabilityDocument {
	traits := inventory.TraitsOf(v)
	return vulnerabilityDocument{
		Name: v.Name, Words: wordVector(v.Name, v.Title, v.Description), Title: v.Title, Description: v.Description, SeverityWord: v.SeverityWord, Severity: int(traits.Severity()),
		Score: known(v.Score), Vector: v.Vector, AttackVector: int(traits.Vector), EPSS: known(v.EPSS), PublicExploit: v.PublicExploit,
		ExploitVerified: v.ExploitVerified, ExploitInKit: v.ExploitInKit, ExploitTypes: list(v.ExploitTypes), ExploitURIs: list(v.ExploitURIs),
		Tags: list(v.Tags), Supportability: v.Supportability, PublishedAt: optionalTime(v.PublishedAt), SourceUpdatedAt: optionalTime(v.UpdatedAt),
	}
}

// known stores a negative number, which stands for "not told", as NULL.
func known(v float64) *float64 {
	if v < 0 {
		return nil
	}
	return &v
}

func list(v []string) []string {
	if v == nil {
		return []string{}
	}
	return v
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// SoftwareIDs numbers software, adding what is new, in the order of the argument.
func (s *Store) SoftwareIDs(ctx context.Context, software []syncer.Software) ([]int32, error) {
	vendors, products, versions := make([]string, len(software)), make([]string, len(software)), make([]string, len(software))
	for i, w := range software {
		vendors[i], products[i], versions[i] = w.Vendor, w.Product, w.Version
	}
	args := []any{pq.Array(vendors), pq.Array(products), pq.Array(versions)}
	read := func(tx *sqlx.Tx) (ids []int32, err error) {
		err = tx.SelectContext(ctx, &ids, `
			select f.id from unnest($1::text[], $2::text[], $3::text[]) with ordinality as w(vendor, product, version, n)
			cross join lateral (
			  select k.id from software k where (k.vendor, k.product, k.version) = (w.vendor, w.product, w.version) offset 0 -- by the index, see vulnerabilitiesNamed
			) f order by w.n`, args...)
		return ids, err
	}
	add := func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			insert into software (vendor, product, version)
			select distinct w.vendor, w.product, w.version from unnest($1::text[], $2::text[], $3::text[]) as w(vendor, product, version)
			where not exists (select from software k where (k.vendor, k.product, k.version) = (w.vendor, w.product, w.version))
			order by 1, 2, 3
			on conflict do nothing`, args...)
		return err
	}
	return foundOrAdded(ctx, s, len(software), read, add)
}

// foundOrAdded reads what is asked for by name, and adds and reads once more if not all of it is there yet, which is rare. It fails if something is
// missing still.
func foundOrAdded[T any](ctx context.Context, s *Store, asked int, read func(*sqlx.Tx) ([]T, error), add func(*sqlx.Tx) error) (found []T, err error) {
	err = s.inSystem(ctx, func(tx *sqlx.Tx) (err error) {
		if found, err = read(tx); err != nil || len(found) == asked {
			return err
		}
		if err = add(tx); err == nil {
			found, err = read(tx)
		}
		return err
	})
	if err == nil && len(found) != asked {
		err = errors.New("entries were asked for by name but not all came back")
	}
	return found, err
}
