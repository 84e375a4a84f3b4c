package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

// placementView is where a tenant's findings are kept, as it is shown.
type placementView struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Table      string `json:"table"`
	Shared     bool   `json:"shared"`
	Findings   int64  `json:"findings"`
	TableBytes int64  `json:"table_bytes"`
	IndexBytes int64  `json:"index_bytes"`
}

var placementHeading = []string{"ID", "NAME", "TABLE", "SHARED", "FINDINGS", "TABLE MiB", "INDEXES MiB"}

func viewPlacement(t tenant.Tenant, p postgres.Placement) (placementView, []string) {
	v := placementView{
		ID: publicID(tenantPrefix, t.PublicID), Name: t.Name, Table: p.Table, Shared: !p.Apart(), Findings: p.Findings, TableBytes: p.TableBytes, IndexBytes: p.IndexBytes,
	}
	mib := func(n int64) string { return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) }
	return v, []string{
		v.ID, v.Name, v.Table, map[bool]string{true: "yes", false: "no"}[v.Shared], strconv.FormatInt(v.Findings, 10), mib(v.TableBytes), mib(v.IndexBytes),
	}
}

func (p *program) tenantPlacement() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "placement", Usage: "show which table holds each tenant's findings, or move those of one tenant", ArgsUsage: "[TENANT]",
		Description: "A tenant's first import makes a partition for it while there are fewer than DEFENDERD_TENANT_PARTITIONS; the others share some.\n" +
			"The findings told are the tenant's own, open or not; the sizes are those of the table, with what others have in it that share it.\n" +
			"With --move apart, imports of tenants that share wait while findings are copied; with --move shared, all readers of findings wait\n" +
			fmt.Sprintf("a second or two, so it takes at most %d of them. ", postgres.MaxTogether) + "It can be done at any time, and is done wholly or not at all: while somebody\n" +
			"reads findings without an end, it holds up nobody and gives up after some minutes.\n\n" +
			"Examples:\n\n    defenderd tenant placement\n    defenderd tenant placement tnt_0199... --move apart",
		Flags: append([]cli.Flag{outputFlag(), &cli.StringFlag{Name: "move", Usage: "where to move the tenant's findings: apart or shared"}}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			to := cmd.String("move")
			switch {
			case cmd.IsSet("move") && to != "apart" && to != "shared":
				return usagef("--move must be apart or shared")
			case cmd.Args().Present():
				return p.placeOne(ctx, cmd, lookup, to)
			case cmd.IsSet("move"):
				return usagef("--move needs a tenant")
			}
			return p.withStore(ctx, lookup, func(s *postgres.Store) error {
				tenants, err := s.ListTenants(ctx, tenant.Filter{})
				if err != nil {
					return err
				}
				return p.showPlacements(ctx, cmd, s, tenants)
			})
		},
	}
}

func (p *program) placeOne(ctx context.Context, cmd *cli.Command, lookup config.Lookup, to string) error {
	return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
		if to != "" {
			if _, err := s.Place(ctx, t.ID, to == "apart"); err != nil {
				return err
			}
		}
		return p.showPlacements(ctx, cmd, s, []tenant.Tenant{t})
	})
}

func (p *program) showPlacements(ctx context.Context, cmd *cli.Command, s *postgres.Store, tenants []tenant.Tenant) error {
	views, rows := []placementView{}, [][]string{placementHeading}
	for _, t := range tenants {
		placement, err := s.Placement(ctx, t.ID)
		if err != nil {
			return err
		}
		view, row := viewPlacement(t, placement)
		views, rows = append(views, view), append(rows, row)
	}
	return show(p.stdout, cmd, views, rows...)
}

// differenceView is a counter that is wrong, as it is shown.
type differenceView struct {
	Counter string `json:"counter"`
	Subject string `json:"subject"`
	Stored  int64  `json:"stored"`
	Counted int64  `json:"counted"`
}

func (p *program) tenantAudit() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "audit", Usage: "recount a tenant's open findings and compare the counters kept with assets and vulnerabilities", ArgsUsage: "TENANT",
		Description: "Reads all findings of the tenant and changes nothing. Ends with status 1 if a counter is wrong.\n\n" +
			"Example:\n\n    defenderd tenant audit tnt_0199...",
		Flags: append([]cli.Flag{outputFlag()}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
				differences, err := s.AuditCounters(ctx, t.ID)
				if err != nil {
					return err
				}
				views, rows := []differenceView{}, [][]string{{"COUNTER", "OF", "STORED", "COUNTED"}}
				if len(differences) == 0 {
					rows = [][]string{{"All counters equal the recount."}}
				}
				for _, d := range differences {
					views = append(views, differenceView(d))
					rows = append(rows, []string{d.Counter, d.Subject, strconv.FormatInt(d.Stored, 10), strconv.FormatInt(d.Counted, 10)})
				}
				if err := show(p.stdout, cmd, views, rows...); err != nil || len(differences) == 0 {
					return err
				}
				return fmt.Errorf("%d counters are wrong", len(differences))
			})
		},
	}
}
