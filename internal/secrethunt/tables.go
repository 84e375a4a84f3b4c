package secrethunt

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// everyRow makes one statement that reads all rows of all tables as text; bytes are in hex then.
const everyRow = `select coalesce(string_agg(format('select %L, t::text from %s t', c.oid::regclass, c.oid::regclass), ' union all '), 'select '''', '''' where false')
	from pg_class c join pg_namespace n on n.oid = c.relnamespace
	where c.relkind = 'r' and n.nspname not like 'pg\_%' and n.nspname <> 'information_schema'`

// Tables searches every row of every table. The database is asked as one who sees all rows.
func (h *Hunt) Tables(db *sql.DB) error { return eachRow(db, h.Search) }

// CheckTables is Tables as Check is Search, of the database with that URL.
func (h *Hunt) CheckTables(tb TB, url string) {
	tb.Helper()
	db, err := sql.Open("postgres", url)
	if err == nil {
		defer func() { _ = db.Close() }()
		err = eachRow(db, func(table, row string) { h.Check(tb, table, row) })
	}
	if err != nil {
		tb.Errorf("the hunt for secrets: %v", err)
	}
}

func eachRow(db *sql.DB, visit func(table, row string)) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var statement string
	if err := db.QueryRowContext(ctx, everyRow).Scan(&statement); err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return fmt.Errorf("read the tables: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var table, row string
		if err := rows.Scan(&table, &row); err != nil {
			return fmt.Errorf("read the tables: %w", err)
		}
		visit("table "+table, row)
	}
	return rows.Err()
}
