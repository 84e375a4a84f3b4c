package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// auditLabel is what the keys of the audit trail are derived for.
const auditLabel = "audit"

func auditKey(ring *seal.Ring) audit.Key {
	return audit.Key{ID: ring.IDs()[0], Secret: ring.Derive(auditLabel)}
}

// auditKeys are the keys of all events that were written while one of the ring's keys was the first.
func auditKeys(ring *seal.Ring) map[string]audit.Key {
	keys := map[string]audit.Key{}
	if ring == nil {
		return keys
	}
	for id, secret := range ring.DeriveEach(auditLabel) {
		keys[id] = audit.Key{ID: id, Secret: secret}
	}
	return keys
}

// operatorActor answers for commands: the user of the operating system. In a container the user may have a number only.
func operatorActor() audit.Actor {
	a := audit.Actor{Kind: audit.CLI, ID: strconv.Itoa(os.Getuid())}
	if u, err := user.Current(); err == nil {
		a.Name = u.Username
	}
	if a.Name == "" {
		a.Name = "uid " + a.ID
	}
	return a
}

func (p *program) auditCommand() *cli.Command {
	return p.group(&cli.Command{
		Name: "audit", Usage: "read the audit trail, and prove that it is what was written",
		Description: "Every change, and who made it, is recorded in a chain of events per tenant, and one for the platform.",
	}, p.auditList(), p.auditVerify())
}

// chainView is the result for one chain, as it is shown.
type chainView struct {
	Chain    string `json:"chain"`
	Events   int64  `json:"events"`
	Unsealed int64  `json:"unsealed"`
	Broken   int64  `json:"broken_event,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

func (p *program) auditVerify() *cli.Command {
	flags, lookup := p.settingFlags(append([]string{"KEYRING"}, databaseSettings...)...)
	return &cli.Command{
		Name: "verify", Usage: "check every event of all chains, or of one tenant's, and name the first one that is broken",
		Description: "Needs every key of the keyring that was the first one at some time. Unsealed events come from commands that had no keyring:\n" +
			"whoever can write the database could have made those. Changes nothing. Ends with status 1 if a chain is broken.\n\n" +
			"Examples:\n\n    defenderd audit verify --keyring-file keyring\n    defenderd audit verify --keyring-file keyring --tenant tnt_0199...",
		Flags: append([]cli.Flag{&cli.StringFlag{Name: "tenant", Usage: "id of the tenant, as \"tenant list\" shows it; all, and the platform, if not given"}, outputFlag()}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			cfg, err := config.Read(lookup, p.environ, "DATABASE_URL", "KEYRING")
			if err != nil {
				return err
			}
			p.warn(cfg)
			keys := auditKeys(cfg.Keyring)
			if cmd.IsSet("tenant") {
				return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
					return p.verifyChains(ctx, cmd, s, keys, []tenant.ID{t.ID})
				})
			}
			return p.withStore(ctx, lookup, func(s *postgres.Store) error {
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
	views, rows, wrong := []chainView{}, [][]string{{"CHAIN", "EVENTS", "UNSEALED", "RESULT"}}, 0
	for _, chain := range chains {
		v := chainView{Chain: names[chain]}
		if v.Chain == "" {
			v.Chain = fmt.Sprintf("tenant %d, deleted", chain)
		}
		result := "holds"
		v.Events, v.Unsealed, err = s.VerifyAudit(ctx, chain, keys)
		var broken *audit.BrokenError
		switch {
		case errors.As(err, &broken):
			v.Broken, v.Reason, result = broken.Sequence, broken.Reason, "BROKEN at "+broken.Error()
			wrong++
		case err != nil:
			return err
		}
		views = append(views, v)
		rows = append(rows, []string{v.Chain, strconv.FormatInt(v.Events, 10), strconv.FormatInt(v.Unsealed, 10), result})
	}
	if err := show(p.stdout, cmd, views, rows...); err != nil || wrong == 0 {
		return err
	}
	return fmt.Errorf("%d of %d chains are broken", wrong, len(chains))
}

// chainNames are the public ids of the tenants there are.
func chainNames(ctx context.Context, s *postgres.Store) (map[tenant.ID]string, error) {
	names := map[tenant.ID]string{audit.Platform: "platform"}
	tenants, err := s.ListTenants(ctx, tenant.Filter{})
	for _, t := range tenants {
		names[t.ID] = publicID(tenantPrefix, t.PublicID)
	}
	return names, err
}
