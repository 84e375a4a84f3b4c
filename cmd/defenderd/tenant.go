package main

import (
	"context"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

func (p *program) tenantCommand() *cli.Command {
	return p.group(&cli.Command{
		Name: "tenant", Usage: "manage tenants: the PGP customer accounts that the service works for",
		Description: "A tenant has API keys and integrations of its own; none sees anything of another.",
	}, p.tenantCreate(), p.tenantList(), p.tenantUpdate(), p.tenantEntitle(), p.tenantState("suspend", tenant.Suspended), p.tenantState("resume", tenant.Active),
		p.tenantDelete(), p.tenantPlacement(), p.tenantAudit(), p.tenantAdmit())
}

// tenantView is a tenant as it is shown.
type tenantView struct {
	ID                  string    `json:"id"`
	Name                string    `json:"name"`
	Account             string    `json:"pgp_account,omitempty"`
	State               string    `json:"state"`
	InternalAssessments bool      `json:"internal_assessments"`
	MaxIntegrations     int       `json:"max_integrations,omitempty"`
	MaxAssets           int       `json:"max_assets,omitempty"`
	ValidFrom           string    `json:"valid_from,omitempty"`
	ValidUntil          string    `json:"valid_until,omitempty"`
	CreatedAt           time.Time `json:"created_at"`
}

var tenantHeading = []string{"ID", "NAME", "STATE", "INTERNAL ASSESSMENTS", "MAX ASSETS", "VALID FROM", "VALID UNTIL", "CREATED"}

func viewTenant(t tenant.Tenant, e tenant.Entitlement) (tenantView, []string) {
	v := tenantView{
		ID: publicID(tenantPrefix, t.PublicID), Name: t.Name, Account: t.Account, State: string(t.State),
		MaxIntegrations: t.Limits.MaxIntegrations, InternalAssessments: e.InternalAssessments, MaxAssets: e.MaxAssets, CreatedAt: t.CreatedAt,
	}
	if !e.ValidFrom.IsZero() {
		v.ValidFrom = showDay(e.ValidFrom)
	}
	if !e.ValidUntil.IsZero() {
		v.ValidUntil = showDay(e.ValidUntil)
	}
	limit := "no limit"
	if e.MaxAssets > 0 {
		limit = strconv.Itoa(e.MaxAssets)
	}
	included := map[bool]string{true: "yes", false: "no"}[e.InternalAssessments]
	return v, []string{v.ID, v.Name, v.State, included, limit, showDay(e.ValidFrom), showDay(e.ValidUntil), showTime(t.CreatedAt)}
}

func entitlementFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "internal-assessments", Usage: "whether the subscription includes internal assessments; without, nothing is imported"},
		&cli.IntFlag{Name: "max-assets", Usage: "assets that may be imported; 0 for no limit"},
		&cli.StringFlag{Name: "valid-from", Usage: "first day, YYYY-MM-DD in UTC; empty for no bound"},
		&cli.StringFlag{Name: "valid-until", Usage: "last day, YYYY-MM-DD in UTC; empty for no bound"},
	}
}

// entitle changes what was given on the command line and keeps the rest.
func entitle(cmd *cli.Command, e tenant.Entitlement) (_ tenant.Entitlement, err error) {
	e.Source = "cli"
	if cmd.IsSet("internal-assessments") {
		e.InternalAssessments = cmd.Bool("internal-assessments")
	}
	if cmd.IsSet("max-assets") {
		if e.MaxAssets = cmd.Int("max-assets"); e.MaxAssets < 0 {
			return e, usagef("--max-assets must not be negative")
		}
	}
	if cmd.IsSet("valid-from") {
		if e.ValidFrom, err = day("valid-from", cmd.String("valid-from")); err != nil {
			return e, err
		}
	}
	if cmd.IsSet("valid-until") {
		if e.ValidUntil, err = day("valid-until", cmd.String("valid-until")); err != nil {
			return e, err
		}
	}
	if !e.ValidFrom.IsZero() && !e.ValidUntil.IsZero() && e.ValidUntil.Before(e.ValidFrom) {
		return e, usagef("--valid-until is before --valid-from")
	}
	return e, nil
}

func (p *program) tenantCreate() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "create", Usage: "add a tenant",
		Description: "Example:\n\n    defenderd tenant create --name 'Contoso' --internal-assessments --valid-until 2027-12-31",
		Flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "name", Required: true, Usage: "name of the customer"},
			&cli.StringFlag{Name: "account", Usage: "PGP account (e-mail address) that the tenant stands for"},
			outputFlag(),
		}, entitlementFlags()...), flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			if err := checkName("name", cmd.String("name")); err != nil {
				return err
			}
			if err := checkAccount(cmd.String("account")); err != nil {
				return err
			}
			e, err := entitle(cmd, tenant.Entitlement{})
			if err != nil {
				return err
			}
			return p.withStore(ctx, lookup, func(s *postgres.Store) error {
				t, err := s.CreateTenant(ctx, cmd.String("name"), cmd.String("account"))
				if err != nil {
					return err
				}
				if err := s.SetEntitlement(ctx, t.ID, e); err != nil {
					return err
				}
				view, row := viewTenant(t, e)
				return show(p.stdout, cmd, view, tenantHeading, row)
			})
		},
	}
}

func (p *program) tenantList() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "list", Usage: "list tenants, oldest first",
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "state", Usage: "only these states: active, suspended or deleting; may be repeated"},
			&cli.StringFlag{Name: "name", Usage: "only tenants whose name contains this text, in any case"},
			outputFlag(),
		}, flags...),
		Description: "Example:\n\n    defenderd tenant list --state suspended -o json",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			states, err := knownWords("state", cmd.StringSlice("state"), []tenant.State{tenant.Active, tenant.Suspended, tenant.Deleting})
			if err != nil {
				return err
			}
			return p.withStore(ctx, lookup, func(s *postgres.Store) error {
				tenants, err := s.ListTenants(ctx, tenant.Filter{States: states, Name: cmd.String("name")})
				if err != nil {
					return err
				}
				views, rows := []tenantView{}, [][]string{tenantHeading}
				for _, t := range tenants {
					e, err := entitlementOf(ctx, s, t)
					if err != nil {
						return err
					}
					view, row := viewTenant(t, e)
					views, rows = append(views, view), append(rows, row)
				}
				return show(p.stdout, cmd, views, rows...)
			})
		},
	}
}

// entitlementOf is none for a tenant that is being deleted, whose entitlement may be gone already.
func entitlementOf(ctx context.Context, s *postgres.Store, t tenant.Tenant) (tenant.Entitlement, error) {
	if t.State == tenant.Deleting {
		return tenant.Entitlement{}, nil
	}
	return s.Entitlement(ctx, t.ID)
}

func (p *program) tenantEntitle() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "entitle", Usage: "change what a tenant's subscription includes; what is not given stays as it is", ArgsUsage: "TENANT",
		Description: "Example:\n\n    defenderd tenant entitle tnt_0199... --internal-assessments --valid-until 2027-12-31",
		Flags:       append(append([]cli.Flag{outputFlag()}, entitlementFlags()...), flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
				e, err := s.Entitlement(ctx, t.ID)
				if err != nil {
					return err
				}
				if e, err = entitle(cmd, e); err != nil {
					return err
				}
				if err := s.SetEntitlement(ctx, t.ID, e); err != nil {
					return err
				}
				view, row := viewTenant(t, e)
				return show(p.stdout, cmd, view, tenantHeading, row)
			})
		},
	}
}

func (p *program) tenantState(name string, state tenant.State) *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	usage := map[tenant.State]string{
		tenant.Suspended: "stop serving a tenant: its keys are refused, its runs end and nothing is imported; its data stay",
		tenant.Active:    "serve a suspended tenant again, which takes up its schedule",
	}[state]
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "TENANT", Flags: append([]cli.Flag{outputFlag()}, flags...),
		Description: "Example:\n\n    defenderd tenant " + name + " tnt_0199...",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
				if err := s.SetTenantState(ctx, t.ID, state); err != nil {
					return err
				}
				e, err := s.Entitlement(ctx, t.ID)
				if err != nil {
					return err
				}
				t.State = state
				view, row := viewTenant(t, e)
				return show(p.stdout, cmd, view, tenantHeading, row)
			})
		},
	}
}
