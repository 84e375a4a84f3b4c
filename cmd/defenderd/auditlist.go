package main

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

// maxAuditLimit bounds what one command reads.
const maxAuditLimit = 100_000

func (p *program) auditList() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "list", Usage: "list a tenant's events, or the platform's, newest first",
		Description: "With -o json events look as they do in the API. Changes nothing, and leaves no event itself.\n\n" +
			"Examples:\n\n    defenderd audit list --tenant tnt_0199... --action integration.secret_rotated --from 2026-11-01T00:00:00Z\n" +
			"    defenderd audit list --tenant tnt_0199... --outcome refused -o json\n    defenderd audit list",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "tenant", Usage: "id of the tenant, as \"tenant list\" shows or showed it; the platform's own events if not given"},
			&cli.StringSliceFlag{Name: "actor", Usage: "only what these did: an id, or api_key, token, cli or system; may be repeated"},
			&cli.StringSliceFlag{Name: "action", Usage: "only these actions, such as api_key.created; may be repeated"},
			&cli.StringSliceFlag{Name: "resource", Usage: "only what was done to these ids; may be repeated"},
			&cli.StringSliceFlag{Name: "outcome", Usage: "succeeded, refused or failed; may be repeated"},
			&cli.StringFlag{Name: "from", Usage: "at or after this time, such as 2026-11-01T00:00:00Z"},
			&cli.StringFlag{Name: "before", Usage: "before this time"},
			&cli.IntFlag{Name: "limit", Value: 100, Usage: "how many events at most; up to 100000"},
			outputFlag(),
		}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			f, err := auditFilter(cmd)
			if err != nil {
				return err
			}
			if cmd.IsSet("tenant") {
				return p.withTrail(ctx, cmd, lookup, func(s *postgres.Store, chain tenant.ID) error { return p.listEvents(ctx, cmd, s, chain, f) })
			}
			return p.withStore(ctx, lookup, func(s *postgres.Store) error { return p.listEvents(ctx, cmd, s, audit.Platform, f) })
		},
	}
}

func auditFilter(cmd *cli.Command) (f audit.Filter, err error) {
	if err := noArguments(cmd); err != nil {
		return f, err
	}
	if n := cmd.Int("limit"); n < 1 || n > maxAuditLimit {
		return f, usagef("--limit must be between 1 and %d", maxAuditLimit)
	}
	f.Actors, f.Resources = cmd.StringSlice("actor"), cmd.StringSlice("resource")
	if f.Actions, err = knownWords("action", cmd.StringSlice("action"), audit.Actions()); err != nil {
		return f, err
	}
	outcomes := []audit.Outcome{audit.Succeeded, audit.Refused, audit.Failed}
	if f.Outcomes, err = knownWords("outcome", cmd.StringSlice("outcome"), outcomes); err != nil {
		return f, err
	}
	if f.From, err = instant("from", cmd.String("from")); err != nil {
		return f, err
	}
	f.Before, err = instant("before", cmd.String("before"))
	return f, err
}

// knownWords refuses words that are not known, because a misspelt one finds nothing.
func knownWords[T ~string](flag string, given []string, known []T) (words []T, err error) {
	for _, text := range given {
		if !slices.Contains(known, T(text)) {
			return nil, usagef("%q is none that --%s knows", text, flag)
		}
		words = append(words, T(text))
	}
	return words, nil
}

// instant reads a time; empty is the zero time.
func instant(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, usagef("--%s must be a time such as 2026-11-01T00:00:00Z", flag)
	}
	return t, nil
}

func (p *program) listEvents(ctx context.Context, cmd *cli.Command, s *postgres.Store, chain tenant.ID, f audit.Filter) error {
	views, rows := []api.AuditEvent{}, [][]string{{"ID", "AT", "ACTOR", "ACTION", "RESOURCE", "OUTCOME", "FROM", "CHANGES"}}
	for page, left := (inventory.PageRequest{}), cmd.Int("limit"); left > 0; left = cmd.Int("limit") - len(views) {
		page.Limit = min(left, 1000)
		events, next, err := s.ListAuditEvents(ctx, chain, f, page)
		if err != nil {
			return err
		}
		for i := range events {
			v := httpapi.AuditEvent(&events[i])
			views, rows = append(views, v), append(rows, eventRow(&v))
		}
		if page.After = next; next == nil {
			break
		}
	}
	return show(p.stdout, cmd, views, rows...)
}

func eventRow(e *api.AuditEvent) []string {
	changes := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		changes[i] = c.Field + ": " + c.Before + " → " + c.After
	}
	if e.Problem == api.AuditUnreadable {
		changes = []string{`cannot be read: the event was changed, see "audit verify"`}
	}
	row := []string{e.ID, showTime(e.At), string(e.Actor.Kind) + " " + e.Actor.Name, string(e.Action), e.Resource.ID, string(e.Outcome), e.Address, strings.Join(changes, "; ")}
	for i := range row {
		row[i] = strings.Map(visible, row[i])
	}
	return row
}

// visible keeps what others have chosen, such as a token's name, from moving the cursor of a terminal.
func visible(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '·'
}
