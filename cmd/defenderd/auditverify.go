package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// Results of one chain.
const (
	chainHolds      = "holds"
	chainBroken     = "broken"
	chainKeyMissing = "key_missing" // nothing is wrong with what the keys at hand prove
)

// chainView is the result for one chain, as it is shown.
type chainView struct {
	Chain        string   `json:"chain"`
	Result       string   `json:"result"`
	Events       int64    `json:"events"`
	Unsealed     int64    `json:"unsealed"`
	UnsealedLate int64    `json:"unsealed_after_sealed,omitempty"`
	OlderKey     int64    `json:"older_key,omitempty"`
	OlderKeyFrom int64    `json:"older_key_from,omitempty"`
	Unproven     int64    `json:"unproven,omitempty"`
	MissingKeys  []string `json:"missing_keys,omitempty"`
	Broken       int64    `json:"broken_event,omitempty"`
	Reason       string   `json:"reason,omitempty"`
}

// unprovenError ends the program with a status of its own: what is not proven is neither sound nor tampered with.
type unprovenError string

func (e unprovenError) Error() string { return string(e) }

func (p *program) auditVerify() *cli.Command {
	flags, lookup := p.settingFlags(append([]string{"KEYRING"}, databaseSettings...)...)
	return &cli.Command{
		Name: "verify", Usage: "check every event of all chains, or of one tenant's, and name the first one that is broken",
		Description: "Needs every key of the keyring that was the first one at some time, the newest first. Unsealed events come from commands that\n" +
			"had no keyring: whoever can write the database could have made those. An older key may seal after a newer one only while\n" +
			"processes with both are running. Changes nothing.\n\nEnds with status 1 if a chain is broken, else with 3 if one cannot be proven because the keyring lacks a key.\n\n" +
			"Examples:\n\n    defenderd audit verify --keyring-file keyring\n    defenderd audit verify --keyring-file keyring --tenant tnt_0199...\n" +
			"    defenderd audit verify --keyring-file keyring --strict",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "tenant", Usage: "id of the tenant, as \"tenant list\" shows or showed it; all, and the platform, if not given"},
			&cli.BoolFlag{Name: "strict", Usage: "take a chain for broken, too, if it has unsealed events, or an older key seals after a newer one"},
			outputFlag(),
		}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			cfg, err := p.keyed(cmd, lookup)
			if err != nil {
				return err
			}
			keys := auditKeys(cfg.Keyring)
			if cmd.IsSet("tenant") {
				return p.withTrail(ctx, cmd, lookup, func(s *postgres.Store, chain tenant.ID) error {
					return p.verifyChains(ctx, cmd, s, keys, []tenant.ID{chain})
				})
			}
			return p.withAnyKeyring(ctx, lookup, func(s *postgres.Store, _ *seal.Ring) error {
				chains, err := s.AuditChains(ctx)
				if err != nil {
					return err
				}
				return p.verifyChains(ctx, cmd, s, keys, chains)
			})
		},
	}
}

func (p *program) verifyChains(ctx context.Context, cmd *cli.Command, s *postgres.Store, keys map[string]audit.Key, chains []tenant.ID) error {
	names, err := chainNames(ctx, s)
	if err != nil {
		return err
	}
	views, rows, results := []chainView{}, [][]string{{"CHAIN", "EVENTS", "UNSEALED", "RESULT"}}, map[string]int{}
	for _, chain := range chains {
		verdict, err := s.VerifyAudit(ctx, chain, keys)
		var broken *audit.BrokenError
		if err != nil && !errors.As(err, &broken) {
			return err
		}
		v := viewOf(verdict, broken, cmd.Bool("strict"))
		if v.Chain = names[chain]; v.Chain == "" {
			v.Chain = fmt.Sprintf("tenant %d, deleted", chain) // a chain that the platform's tells nothing of
		}
		results[v.Result]++
		views = append(views, v)
		rows = append(rows, []string{v.Chain, strconv.FormatInt(v.Events, 10), strconv.FormatInt(v.Unsealed, 10), v.told()})
	}
	if err := show(p.stdout, cmd, views, rows...); err != nil {
		return err
	}
	switch {
	case results[chainBroken] > 0:
		return fmt.Errorf("%d of %d chains are broken", results[chainBroken], len(chains))
	case results[chainKeyMissing] > 0:
		return unprovenError(fmt.Sprintf("%d of %d chains cannot be proven: the keyring lacks keys", results[chainKeyMissing], len(chains)))
	}
	return nil
}

func viewOf(d audit.Verdict, broken *audit.BrokenError, strict bool) chainView {
	v := chainView{
		Result: chainHolds, Events: d.Events, Unsealed: d.Unsealed, UnsealedLate: d.UnsealedLate, OlderKey: d.OlderKey,
		OlderKeyFrom: d.OlderKeyFrom, Unproven: d.Unproven, MissingKeys: d.MissingKeys,
	}
	switch {
	case broken != nil:
		v.Result, v.Broken, v.Reason = chainBroken, broken.Sequence, broken.Reason
	case strict && d.OlderKey > 0:
		v.Result, v.Broken, v.Reason = chainBroken, d.OlderKeyFrom, "sealed with an older key than one before it"
	case strict && d.Unsealed > 0:
		v.Result, v.Reason = chainBroken, fmt.Sprintf("%d events are not sealed", d.Unsealed)
	case d.Unproven > 0:
		v.Result = chainKeyMissing
		v.Reason = fmt.Sprintf("%d events are sealed with keys that the keyring lacks: %s; add them, or if there never were such keys, the events were changed",
			d.Unproven, strings.Join(d.MissingKeys, ", "))
	}
	return v
}

// told is the result in words; what holds may still need an explanation.
func (v *chainView) told() string {
	switch {
	case v.Broken > 0:
		return fmt.Sprintf("BROKEN at event %d: %s", v.Broken, v.Reason)
	case v.Result == chainBroken:
		return "BROKEN: " + v.Reason
	case v.Result == chainKeyMissing:
		return "NOT PROVEN: " + strings.Map(visible, v.Reason)
	}
	told := "holds"
	if v.UnsealedLate > 0 {
		told += fmt.Sprintf("; %d events after sealed ones are not sealed: commands without the keyring, or whoever can write the database", v.UnsealedLate)
	}
	if v.OlderKey > 0 {
		told += fmt.Sprintf("; %d events from %d on are sealed with an older key after a newer one: only right while processes with both were running", v.OlderKey, v.OlderKeyFrom)
	}
	return told
}

// chainNames are the public ids of the tenants there are, and of those that were.
func chainNames(ctx context.Context, s *postgres.Store) (map[tenant.ID]string, error) {
	names := map[tenant.ID]string{audit.Platform: "platform"}
	gone, err := s.GoneTenants(ctx)
	if err != nil {
		return nil, err
	}
	for chain, id := range gone {
		names[chain] = id + ", deleted"
	}
	live, err := s.LiveTenants(ctx)
	maps.Copy(names, live)
	return names, err
}

// withTrail opens the database for the trail of the tenant that --tenant names, also of one that is deleted: its trail stays.
func (p *program) withTrail(ctx context.Context, cmd *cli.Command, lookup config.Lookup, use func(*postgres.Store, tenant.ID) error) error {
	id, err := parsePublicID(tenantPrefix, "tenant", cmd.String("tenant"))
	if err != nil {
		return err
	}
	return p.withAnyKeyring(ctx, lookup, func(s *postgres.Store, _ *seal.Ring) error {
		live, err := s.LiveTenants(ctx)
		if err != nil {
			return err
		}
		gone, err := s.GoneTenants(ctx)
		if err != nil {
			return err
		}
		for _, chains := range []map[tenant.ID]string{live, gone} {
			for chain, public := range chains {
				if public == publicID(tenantPrefix, id) {
					return use(s, chain)
				}
			}
		}
		return fault.New(fault.CodeNotFound, "there is no such tenant, and the platform's trail tells of none that was")
	})
}
