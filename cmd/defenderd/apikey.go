package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

func (p *program) apiKeyCommand() *cli.Command {
	return p.group(&cli.Command{
		Name: "api-key", Usage: "manage the keys with which programs and people call the API",
		Description: "A key belongs to one tenant and has a role: readonly reads, analyst starts imports too, admin connects and manages keys too.",
	}, p.apiKeyCreate(), p.apiKeyList(), p.apiKeyRevoke())
}

// keyView is an API key as it is shown; the key itself only when it is made.
type keyView struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Role       string    `json:"role"`
	Hint       string    `json:"hint"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	Key        string    `json:"key,omitempty"`
}

func viewKey(k tenant.APIKey) keyView {
	return keyView{
		ID: publicID(keyPrefix, k.PublicID), Name: k.Name, Role: string(k.Role), Hint: "..." + k.Hint, CreatedAt: k.CreatedAt,
		ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt,
	}
}

func tenantFlag() cli.Flag {
	return &cli.StringFlag{Name: "tenant", Required: true, Usage: "id of the tenant, as \"tenant list\" shows it"}
}

// withTenant finds the tenant given by --tenant, or by the only argument of a command without that flag.
func (p *program) withTenant(ctx context.Context, cmd *cli.Command, lookup config.Lookup, use func(*postgres.Store, tenant.Tenant) error) error {
	text := cmd.String("tenant")
	if text == "" {
		if text = cmd.Args().First(); cmd.Args().Len() > 1 {
			return usagef("%q takes one tenant", cmd.FullName())
		}
	}
	id, err := parsePublicID(tenantPrefix, "tenant", text)
	if err != nil {
		return err
	}
	return p.withStore(ctx, lookup, func(s *postgres.Store) error {
		t, err := s.TenantByPublicID(ctx, id)
		if err != nil {
			return err
		}
		return use(s, t)
	})
}

func (p *program) apiKeyCreate() *cli.Command {
	flags, lookup := p.settingFlags(keyringSettings...)
	return &cli.Command{
		Name: "create", Usage: "make a key; it is shown once and cannot be read again",
		Description: "It needs the service's keyring: the first key seals what is stored instead of it.\n\n" +
			"Example:\n\n    defenderd api-key create --tenant tnt_0199... --name siem --role readonly --expires 90d",
		Flags: append([]cli.Flag{
			tenantFlag(),
			&cli.StringFlag{Name: "name", Required: true, Usage: "what the key is for"},
			&cli.StringFlag{Name: "role", Required: true, Usage: "readonly, analyst or admin"},
			&cli.StringFlag{Name: "expires", Value: longestLife(), Usage: "how long it is valid, such as 90d or 12h; at most " + longestLife()},
			outputFlag(),
		}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			k, err := draftKey(cmd)
			if err != nil {
				return err
			}
			if _, err := p.keyed(cmd, lookup); err != nil {
				return err
			}
			return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
				key := tenant.NewKey()
				k, err := s.CreateAPIKey(ctx, t.ID, k, key)
				if err != nil {
					return err
				}
				view := viewKey(k)
				view.Key = key.Reveal()
				return show(p.stdout, cmd, view, []string{"ID", "NAME", "ROLE", "EXPIRES", "KEY (shown only now)"},
					[]string{view.ID, view.Name, view.Role, showTime(view.ExpiresAt), view.Key})
			})
		},
	}
}

func draftKey(cmd *cli.Command) (k tenant.APIKey, err error) {
	if err := checkName("name", cmd.String("name")); err != nil {
		return k, err
	}
	if k.Role = tenant.Role(cmd.String("role")); !tenant.Admin.Includes(k.Role) {
		return k, usagef("--role must be readonly, analyst or admin")
	}
	life, err := parseLife(cmd.String("expires"))
	if err != nil {
		return k, err
	}
	k.Name, k.ExpiresAt = cmd.String("name"), time.Now().Add(life)
	return k, nil
}

// longestLife is tenant.MaxKeyLife as it is written for --expires.
func longestLife() string { return fmt.Sprintf("%dd", tenant.MaxKeyLife/(24*time.Hour)) }

// parseLife reads a duration; days are allowed too, because nobody thinks of a key's life in hours.
func parseLife(text string) (time.Duration, error) {
	life, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		n = min(n, 10_000) // refused below; more would overflow
		life = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || life <= 0 || life > tenant.MaxKeyLife {
		return 0, usagef("--expires must be a duration such as 90d or 12h, at most %s", longestLife())
	}
	return life, nil
}

func (p *program) apiKeyList() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "list", Usage: "list a tenant's keys that are not revoked", Flags: append([]cli.Flag{tenantFlag(), outputFlag()}, flags...),
		Description: "Example:\n\n    defenderd api-key list --tenant tnt_0199...",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
				views, rows := []keyView{}, [][]string{{"ID", "NAME", "ROLE", "ENDS IN", "CREATED", "EXPIRES", "LAST USED"}}
				for page := (inventory.PageRequest{Limit: 1000}); ; {
					keys, next, err := s.ListAPIKeys(ctx, t.ID, page)
					if err != nil {
						return err
					}
					for _, k := range keys {
						v := viewKey(k)
						views = append(views, v)
						rows = append(rows, []string{v.ID, v.Name, v.Role, k.Hint, showTime(v.CreatedAt), showTime(v.ExpiresAt), showTime(v.LastUsedAt)})
					}
					if page.After = next; next == nil {
						return show(p.stdout, cmd, views, rows...)
					}
				}
			})
		},
	}
}

func (p *program) apiKeyRevoke() *cli.Command {
	flags, lookup := p.settingFlags(databaseSettings...)
	return &cli.Command{
		Name: "revoke", Usage: "end a key at once", ArgsUsage: "KEY", Flags: append([]cli.Flag{tenantFlag()}, flags...),
		Description: "Example:\n\n    defenderd api-key revoke --tenant tnt_0199... key_0199...",
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() > 1 {
				return usagef("%q takes one key", cmd.FullName())
			}
			id, err := parsePublicID(keyPrefix, "key", cmd.Args().First())
			if err != nil {
				return err
			}
			return p.withTenant(ctx, cmd, lookup, func(s *postgres.Store, t tenant.Tenant) error {
				return s.RevokeAPIKey(ctx, t.ID, id)
			})
		},
	}
}
