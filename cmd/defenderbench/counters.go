package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

// recount counts anew what the counters of a tenant sum up. The summary, which is held against the simulator, shows only some of them.
func (d *database) recount(ctx context.Context, number int32) (err error) {
	store, err := postgres.Open(ctx, d.url, postgres.ForOperator(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	differences, err := store.AuditCounters(ctx, tenant.ID(number))
	if err != nil || len(differences) == 0 {
		return err
	}
	var examples []string
	for _, d := range differences[:min(3, len(differences))] {
		examples = append(examples, fmt.Sprintf("%s of %s is %d, counted %d", d.Counter, d.Subject, d.Stored, d.Counted))
	}
	return fmt.Errorf("%d counters are not what they sum up; for example %s", len(differences), strings.Join(examples, ", "))
}
